"""What people did: one person's timeline, and everybody's."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, and_, or_, select, union_all

from martech.kernel.paging import Moment, Number, cursor, place
from martech.modules.profiles import domain
from martech.modules.profiles.contract import EMPTY, Entries, Entry, Identity
from martech.modules.profiles.service.rows import NAME, Name, Rows, chunks
from martech.modules.profiles.tables import activities, identities

BRANCHES = 50  # SELECTs in one UNION


class Done(NamedTuple):
    """An activity's row."""

    position: int
    identity: int
    type: str
    event: str | None
    timestamp: datetime
    received_at: datetime
    message_id: str
    body: bytes | None


DONE = tuple(activities.c[name] for name in Done._fields)


class Remembering(Rows):
    async def timeline(
        self,
        profile_id: UUID,
        *,
        event: str | None = None,
        properties: Sequence[str] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Entries:
        """What a person did, newest first by event time: under every name they have by now."""
        kept = await self._kept(profile_id)
        names = (await self._names([kept]))[kept]
        shown = [] if event is None else [activities.c.event == event]
        if after is not None:
            at, position = place(after, tuple[Moment, Number])
            earlier = and_(activities.c.timestamp == at, activities.c.position < position)
            shown += [activities.c.timestamp <= at, or_(activities.c.timestamp < at, earlier)]
        found: list[Done] = []
        for chunk in chunks(names, BRANCHES):
            found += await self._newest([name.id for name in chunk], shown, limit + 1)
        found.sort(key=lambda row: (row.timestamp, row.position), reverse=True)
        rows = found[:limit]
        end = cursor(rows[-1].timestamp, rows[-1].position) if len(found) > limit else None
        owners = {name.id: name for name in names}
        return Entries(data=[_entry(r, owners[r.identity], properties) for r in rows], next=end)

    async def _newest(
        self, names: Sequence[int], shown: Sequence[ColumnElement[bool]], limit: int
    ) -> list[Done]:
        """Up to *limit* of each name: each walks its index and stops."""
        newest = activities.c.timestamp.desc(), activities.c.position.desc()
        branches = [
            select(*DONE)
            .where(*self._mine(activities), activities.c.identity == name, *shown)
            .order_by(*newest)
            .limit(limit)
            .subquery()
            for name in names
        ]
        rows = await self.tx.execute(union_all(*(select(b) for b in branches)))
        return [Done._make(row) for row in rows]

    async def activities(
        self,
        *,
        event: str | None = None,
        properties: Sequence[str] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Entries:
        """What everybody did, in the order in which it was recorded."""
        done = select(*DONE).where(*self._mine(activities))
        if event is not None:
            done = done.where(activities.c.event == event)
        if after is not None:
            done = done.where(activities.c.position > place(after, tuple[Number])[0])
        found = await self.tx.execute(done.order_by(activities.c.position).limit(limit + 1))
        rows = [Done._make(row) for row in found]
        end = cursor(rows[limit - 1].position) if len(rows) > limit else None
        mine = select(*NAME).where(*self._mine(identities))
        numbers = sorted({row.identity for row in rows})
        names = await self.tx.among(mine, identities.c.id, numbers)
        owners = {row.id: Name._make(row) for row in names}
        data = [_entry(row, owners[row.identity], properties) for row in rows[:limit]]
        return Entries(data=data, next=end)


def _entry(
    row: Done,
    name: Name,
    properties: Sequence[str] | None,
) -> Entry:
    body = EMPTY if row.body is None else domain.sparse(msgspec.Raw(row.body), properties)
    about_traits = row.type in domain.ABOUT_TRAITS
    return Entry(
        profile_id=name.profile_id,
        identity=Identity(name.kind, name.value),
        message_id=row.message_id,
        type=row.type,
        event=row.event,
        timestamp=row.timestamp,
        received_at=row.received_at,
        properties=EMPTY if about_traits else body,
        traits=body if about_traits else EMPTY,
    )
