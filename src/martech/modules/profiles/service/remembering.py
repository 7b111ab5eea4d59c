"""What people did: one person's timeline, and everybody's."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Column, ColumnElement, Label, Select, and_, or_, select, union_all

from martech.kernel.paging import Moment, Number, cursor, place
from martech.modules.profiles import domain
from martech.modules.profiles.contract import EMPTY, Entries, Entry, Identity
from martech.modules.profiles.service.rows import NAME, Name, Rows
from martech.modules.profiles.tables import activities, identities

T = TypeVar("T")

BRANCHES = 50  # SELECTs in one UNION: its cost is in their number


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
NEWEST = activities.c.timestamp.desc(), activities.c.position.desc()


class Head(NamedTuple):
    """A name of a person, and the newest that was done under it."""

    name: Name
    place: tuple[datetime, int]


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
        shown = [] if event is None else [activities.c.event == event]
        if after is not None:
            at, position = place(after, tuple[Moment, Number])
            earlier = and_(activities.c.timestamp == at, activities.c.position < position)
            shown += [activities.c.timestamp <= at, or_(activities.c.timestamp < at, earlier)]
        names = await self._some_names(kept, BRANCHES + 1)
        if len(names) <= BRANCHES:
            found = await self._newest([name.id for name in names], shown, limit + 1)
        else:
            heads = await self._heads(kept, shown, limit + 1)
            names = [head.name for head in heads]
            found = await self._newest_by_head(heads, shown, limit + 1)
        found.sort(key=_place, reverse=True)
        rows = found[:limit]
        end = cursor(*_place(rows[-1])) if len(found) > limit else None
        owners = {name.id: name for name in names}
        return Entries(data=[_entry(r, owners[r.identity], properties) for r in rows], next=end)

    async def _some_names(self, profile_id: UUID, most: int) -> list[Name]:
        mine = select(*NAME).where(*self._mine(identities), identities.c.profile_id == profile_id)
        return [Name._make(row) for row in await self.tx.execute(mine.limit(most))]

    async def _newest(
        self, names: Sequence[int], shown: Sequence[ColumnElement[bool]], limit: int
    ) -> list[Done]:
        """Up to *limit* of each name: each walks its index and stops."""
        if not names:
            return []
        branches = [self._of(name, shown, limit).subquery() for name in names]
        rows = await self.tx.execute(union_all(*(select(b) for b in branches)))
        return [Done._make(row) for row in rows]

    async def _newest_by_head(
        self, heads: Sequence[Head], shown: Sequence[ColumnElement[bool]], limit: int
    ) -> list[Done]:
        """The newest *limit*, and others. A name whose newest is older than those has none of them,
        nor has any name behind it."""
        found: list[Done] = []
        for head in heads:
            if len(found) >= limit and _place(found[limit - 1]) > head.place:
                break
            rows = await self.tx.execute(self._of(head.name.id, shown, limit))
            found += [Done._make(row) for row in rows]
            found.sort(key=_place, reverse=True)
            del found[limit:]
        return found

    async def _heads(
        self, profile_id: UUID, shown: Sequence[ColumnElement[bool]], limit: int
    ) -> list[Head]:
        """Of however many names, those *limit* under which something was done last: nobody else can
        have one of the newest *limit*. One look into the index for each name."""

        def newest(column: Column[T]) -> Label[T | None]:
            own = activities.c.identity == identities.c.id
            first = select(column).where(
                *self._mine(activities), *self._mine(identities), own, *shown
            )
            found = first.order_by(*NEWEST).limit(1).correlate(identities)
            return found.scalar_subquery().label(column.name)

        each = (
            select(*NAME, newest(activities.c.timestamp), newest(activities.c.position))
            .where(*self._mine(identities), identities.c.profile_id == profile_id)
            .subquery()
        )
        some = select(each).where(each.c.position.is_not(None))
        last = some.order_by(each.c.timestamp.desc(), each.c.position.desc()).limit(limit)
        rows = await self.tx.execute(last)
        return [Head(Name._make(row[:-2]), (row.timestamp, row.position)) for row in rows]

    def _of(
        self, name: int, shown: Sequence[ColumnElement[bool]], limit: int
    ) -> Select[*tuple[object, ...]]:
        mine = select(*DONE).where(*self._mine(activities), activities.c.identity == name, *shown)
        return mine.order_by(*NEWEST).limit(limit)

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


def _place(row: Done) -> tuple[datetime, int]:
    return row.timestamp, row.position


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
