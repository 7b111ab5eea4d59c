"""Who people are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from martech.kernel.paging import cursor, last_looked_at, place
from martech.modules.profiles import domain
from martech.modules.profiles.contract import Counts, Identity, Kind, People, Profile
from martech.modules.profiles.service import pages
from martech.modules.profiles.service.rows import Rows, stored
from martech.modules.profiles.tables import counts, identities, profiles

NAME_BYTES = 200  # that one more name takes here, about


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
        shown = [*self._mine(profiles)]
        if after is not None:
            shown.append(profiles.c.id > place(after, tuple[UUID])[0])
        near = select(profiles.c.id).where(*shown).order_by(profiles.c.id)
        last = await self.tx.execute(last_looked_at(near, pages.LOOKED_THROUGH))
        horizon: UUID | None = last.scalar_one_or_none()
        if horizon is not None:
            shown.append(profiles.c.id <= horizon)
        shown.append(profiles.c.merged_into.is_(None))
        light = select(profiles.c.id, func.length(profiles.c.traits)).where(*shown)
        found = await self.tx.execute(light.order_by(profiles.c.id).limit(limit + 1))
        weights = {row.id: row.length for row in found}
        if not weights:
            return People(data=[], next=None if horizon is None else cursor(horizon))
        people = await self._fitting(dict(islice(weights.items(), limit)))
        mine = select(*KNOWN).where(*shown, profiles.c.id <= people[-1]).order_by(profiles.c.id)
        rows = [Known._make(row) for row in await self.tx.execute(mine)]
        end = people[-1] if len(people) < len(weights) else horizon
        return People(data=await self._views(rows), next=None if end is None else cursor(end))

    async def _fitting(self, traits: Mapping[UUID, int]) -> list[UUID]:
        """Who is on a page, of neighbours in order whose traits weigh so much; so do names."""
        people, weights = list(traits), Counter(traits)
        for owner in (identities.c.profile_id, profiles.c.merged_into):
            number = func.count().label("number")
            each = select(owner.label("id"), number).where(*self._mine(owner.table)).group_by(owner)
            for row in await self.tx.execute(each.where(owner.between(people[0], people[-1]))):
                weights[row.id] += row.number * NAME_BYTES
        return people[: pages.fitting([weights[id_] for id_ in people])]

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
