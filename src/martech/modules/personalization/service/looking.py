"""What segments there are and who belongs to them."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import select, tuple_

from martech.kernel.errors import NotFound, Unavailable
from martech.kernel.paging import Number, cursor, place
from martech.modules.personalization.contract import (
    Members,
    Membership,
    Memberships,
    Segment,
    SegmentPage,
)
from martech.modules.personalization.service.rows import Rows
from martech.modules.personalization.tables import members, people, registers, segments


class Kept(NamedTuple):
    """A segment's row."""

    id: UUID
    name: str
    condition: bytes
    version: int
    ready: bool
    looked_at: int
    size: int
    created_at: datetime
    updated_at: datetime


KEPT = tuple(segments.c[name] for name in Kept._fields)


class Looking(Rows):
    async def segment(self, segment_id: UUID) -> Segment:
        mine = select(*KEPT).where(
            *self._mine(segments), segments.c.id == segment_id, segments.c.deleted.is_(False)
        )
        row = (await self.tx.execute(mine)).one_or_none()
        if row is None:
            raise NotFound(f"There is no segment {segment_id}.")
        return _segment(Kept._make(row), 0 if row.ready else await self._population())

    async def segments(self, *, after: str | None = None, limit: int = 100) -> SegmentPage:
        """In the order in which they were made."""
        mine = select(*KEPT).where(*self._mine(segments), segments.c.deleted.is_(False))
        if after is not None:
            mine = mine.where(segments.c.id > place(after, tuple[UUID])[0])
        found = await self.tx.execute(mine.order_by(segments.c.id).limit(limit + 1))
        rows = [Kept._make(row) for row in found]
        everybody = await self._population()
        return SegmentPage(
            data=[_segment(row, everybody) for row in rows[:limit]],
            next=cursor(rows[limit - 1].id) if len(rows) > limit else None,
        )

    async def members(
        self,
        segment_id: UUID,
        *,
        after: str | None = None,
        limit: int = 1000,
        entered_after: int | None = None,
    ) -> Members:
        segment = await self.segment(segment_id)
        if not segment.ready:
            raise Unavailable(
                f"The segment {segment_id} is being computed. Its `progress` says how far.",
                retry_after=2,
            )
        position = await self._position()  # before the page: of a later turn it may show too much
        mine = select(members.c.turn, members.c.profile_id).where(
            *self._mine(members), members.c.segment_id == segment_id
        )
        order = [members.c.profile_id]
        if entered_after is not None:
            order = [members.c.turn, members.c.profile_id]
            mine = mine.where(members.c.turn > entered_after)
        if after is not None and entered_after is None:
            mine = mine.where(members.c.profile_id > place(after, tuple[UUID])[0])
        elif after is not None:
            mine = mine.where(tuple_(*order) > place(after, tuple[Number, UUID]))
        rows = (await self.tx.execute(mine.order_by(*order).limit(limit + 1))).all()
        page, more = rows[:limit], None
        if len(rows) > limit:
            last = page[-1]
            more = cursor(*(getattr(last, column.name) for column in order))
            position = position if entered_after is None else last.turn - 1
        return Members(
            data=[row.profile_id for row in page],
            next=more,
            version=segment.version,
            position=position,
        )

    async def memberships(self, profile_id: UUID) -> Memberships:
        """To what somebody belongs; whoever was merged is answered for by whom they were merged
        into."""
        known = select(people.c.kept).where(*self._mine(people), people.c.id == profile_id)
        row = (await self.tx.execute(known)).one_or_none()
        if row is None:
            raise NotFound(f"There is no person {profile_id}.")
        mine = select(members.c.segment_id, members.c.since).where(
            *self._mine(members), members.c.profile_id == (row.kept or profile_id)
        )
        since = {row.segment_id: row.since for row in await self.tx.execute(mine)}
        there = select(segments.c.id, segments.c.name).where(
            *self._mine(segments), segments.c.deleted.is_(False)
        )
        found = await self.tx.among(there, segments.c.id, sorted(since))
        rows = sorted({row.id: row.name for row in found}.items())
        return Memberships(
            data=[Membership(segment_id=i, name=name, since=since[i]) for i, name in rows]
        )

    async def _position(self) -> int:
        mine = select(registers.c.turn).where(*self._mine(registers))
        return (await self.tx.execute(mine)).scalar_one_or_none() or 0

    async def _population(self) -> int:
        mine = select(registers.c.people).where(*self._mine(registers))
        return (await self.tx.execute(mine)).scalar_one_or_none() or 0


def _segment(row: Kept, everybody: int) -> Segment:
    done = 1.0 if row.ready else min(row.looked_at / max(everybody, 1), 0.99)
    return Segment(
        id=row.id,
        name=row.name,
        condition=msgspec.Raw(row.condition),
        version=row.version,
        ready=row.ready,
        progress=round(done, 2),
        size=row.size,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
