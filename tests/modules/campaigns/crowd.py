"""Personalization, so small that a test sees through it: who is in a segment is said."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Boolean, Column, Integer, Table, func, select, tuple_, update

from martech.kernel.columns import Id, tenant_column
from martech.kernel.db import Transaction, module_metadata
from martech.kernel.errors import NotFound, Unavailable
from martech.kernel.paging import cursor, place
from martech.modules.personalization.contract import Members, Personalization, Segment

crowds = module_metadata("personalization")
segments = Table(
    "segments",
    crowds,
    tenant_column(primary_key=True),
    Column("id", Id, primary_key=True),
    Column("ready", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("turn", Integer, nullable=False),  # how often people came
)
members = Table(
    "members",
    crowds,
    tenant_column(primary_key=True),
    Column("segment_id", Id, primary_key=True),
    Column("profile_id", Id, primary_key=True),
    Column("turn", Integer, nullable=False),
)


class Crowd(Personalization):
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    async def gather(self, segment_id: UUID, people: Sequence[UUID], *, ready: bool = True) -> None:
        """Whoever comes to a segment; the first time it is made."""
        first = {"tenant": self.tx.tenant, "id": segment_id, "version": 1}
        row = {**first, "ready": ready, "turn": 1}
        await self.tx.upsert(segments, [row], keys=["tenant", "id"], update=["ready"], add=["turn"])
        come = {"tenant": self.tx.tenant, "segment_id": segment_id}
        come["turn"] = await self._turn(segment_id)
        rows = [{**come, "profile_id": person} for person in people]
        await self.tx.insert_new(members, rows, returning=["profile_id"])

    async def merge(self, segment_id: UUID, kept: UUID, gone: UUID) -> None:
        """Somebody's membership is another's from here on."""
        theirs = members.c.segment_id == segment_id, members.c.profile_id == gone
        await self.tx.execute(members.delete().where(members.c.tenant == self.tx.tenant, *theirs))
        await self.gather(segment_id, [kept])

    async def redefine(self, segment_id: UUID) -> None:
        """Another condition; for the sake of brevity the same people."""
        mine = segments.c.tenant == self.tx.tenant, segments.c.id == segment_id
        changed = update(segments).where(*mine).values(version=segments.c.version + 1)
        await self.tx.execute(changed)

    async def lose(self, segment_id: UUID) -> None:
        """There is no such segment any more."""
        await self.tx.execute(
            segments.delete().where(
                segments.c.tenant == self.tx.tenant, segments.c.id == segment_id
            )
        )

    async def segment(self, segment_id: UUID) -> Segment:
        mine = members.c.tenant == self.tx.tenant, members.c.segment_id == segment_id
        size = (
            await self.tx.execute(select(func.count()).select_from(members).where(*mine))
        ).scalar_one()
        return Segment(
            id=segment_id,
            name="A segment",
            condition=msgspec.Raw(b"{}"),
            version=await self._version(segment_id),
            ready=await self._ready(segment_id),
            progress=1.0,
            size=size,
            created_at=self.tx.now,
            updated_at=self.tx.now,
        )

    async def members(
        self,
        segment_id: UUID,
        *,
        after: str | None = None,
        limit: int = 1000,
        entered_after: int | None = None,
    ) -> Members:
        if not await self._ready(segment_id):
            raise Unavailable("The segment is being computed.")
        position = await self._turn(segment_id)
        here = members.c.tenant == self.tx.tenant, members.c.segment_id == segment_id
        if entered_after is not None:
            place_of = tuple_(members.c.turn, members.c.profile_id)
            last = (entered_after, UUID(int=2**128 - 1))
            if after is not None:
                last = place(after, tuple[int, UUID])
            mine = select(members).where(*here, place_of > last)
            order = [members.c.turn, members.c.profile_id]
        else:
            mine = select(members).where(*here)
            if after is not None:
                mine = mine.where(members.c.profile_id > place(after, tuple[UUID])[0])
            order = [members.c.profile_id]
        found = (await self.tx.execute(mine.order_by(*order).limit(limit + 1))).all()
        more = None
        if len(found) > limit:
            more = cursor(*(getattr(found[limit - 1], column.name) for column in order))
            if entered_after is not None:
                position = found[limit - 1].turn - 1
        return Members(
            data=[row.profile_id for row in found[:limit]],
            next=more,
            version=await self._version(segment_id),
            position=position,
        )

    async def _turn(self, segment_id: UUID) -> int:
        mine = segments.c.tenant == self.tx.tenant, segments.c.id == segment_id
        found = await self.tx.execute(select(segments.c.turn).where(*mine))
        return found.scalar_one_or_none() or 0

    async def _version(self, segment_id: UUID) -> int:
        mine = segments.c.tenant == self.tx.tenant, segments.c.id == segment_id
        found = await self.tx.execute(select(segments.c.version).where(*mine))
        return found.scalar_one_or_none() or 0

    async def _ready(self, segment_id: UUID) -> bool:
        mine = segments.c.tenant == self.tx.tenant, segments.c.id == segment_id
        found = await self.tx.execute(select(segments.c.ready).where(*mine))
        ready: bool | None = found.scalar_one_or_none()
        if ready is None:
            raise NotFound(f"There is no segment {segment_id}.")
        return ready
