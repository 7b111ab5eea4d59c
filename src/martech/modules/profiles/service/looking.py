"""Who people are."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from martech.kernel.paging import cursor, place
from martech.modules.profiles import domain
from martech.modules.profiles.contract import Counts, Identity, Kind, People, Profile
from martech.modules.profiles.service.rows import Rows, stored
from martech.modules.profiles.tables import counts, identities, profiles


class Known(NamedTuple):
    """A profile's row."""

    id: UUID
    first_seen: datetime
    traits: bytes


KNOWN = tuple(profiles.c[name] for name in Known._fields)


class Looking(Rows):
    async def get(self, profile_id: UUID) -> Profile:
        kept = await self._kept(profile_id)
        rows = await self.tx.execute(
            select(*KNOWN).where(*self._mine(profiles), profiles.c.id == kept)
        )
        (profile,) = await self._views([Known._make(row) for row in rows])
        return profile

    async def find(self, kind: Kind, value: str) -> Profile | None:
        """Addresses are compared in their one spelling."""
        if kind == "email":
            value = value.strip().lower()
        owner = select(identities.c.profile_id).where(
            *self._mine(identities), identities.c.kind == kind, identities.c.value == value
        )
        profile_id = (await self.tx.execute(owner)).scalar_one_or_none()
        return None if profile_id is None else await self.get(profile_id)

    async def members(self, *, after: str | None = None, limit: int = 100) -> People:
        people = select(*KNOWN).where(*self._mine(profiles), profiles.c.merged_into.is_(None))
        if after is not None:
            people = people.where(profiles.c.id > place(after, tuple[UUID])[0])
        found = await self.tx.execute(people.order_by(profiles.c.id).limit(limit + 1))
        rows = [Known._make(row) for row in found]
        end = cursor(rows[limit - 1].id) if len(rows) > limit else None
        return People(data=await self._views(rows[:limit]), next=end)

    async def counts(self) -> Counts:
        row = (await self.tx.execute(select(counts).where(*self._mine(counts)))).one_or_none()
        if row is None:
            return Counts(people=0, identities=0, activities=0)
        return Counts(people=row.people, identities=row.identities, activities=row.activities)

    async def _views(self, rows: Sequence[Known]) -> list[Profile]:
        people = [row.id for row in rows]
        names = await self._names(people)
        merged: dict[UUID, list[UUID]] = {}
        mine = select(profiles.c.id, profiles.c.merged_into).where(*self._mine(profiles))
        for row in await self.tx.among(mine, profiles.c.merged_into, people):
            merged.setdefault(row.merged_into, []).append(row.id)
        return [
            Profile(
                id=row.id,
                identities=[Identity(name.kind, name.value) for name in names[row.id]],
                traits=domain.shown(stored.decode(row.traits)),
                first_seen=row.first_seen,
                merged=sorted(merged.get(row.id, [])),
            )
            for row in rows
        ]
