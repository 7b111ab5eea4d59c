"""What people did: one person's timeline, and everybody's.

Which rows make a page is found out without their bodies; those are read of what is shown.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    Label,
    func,
    select,
    tuple_,
    union_all,
)

from martech.kernel.paging import Moment, Number, cursor, last_looked_at, place
from martech.modules.profiles import domain
from martech.modules.profiles.contract import EMPTY, Entries, Entry, Identity
from martech.modules.profiles.service import pages
from martech.modules.profiles.service.rows import NAME, Name, Rows
from martech.modules.profiles.tables import activities, identities

T = TypeVar("T")
Place = tuple[datetime, int]

BRANCHES = 50  # SELECTs in one UNION: its cost is in their number


class Done(NamedTuple):
    """An activity's row, and how many bytes its body has."""

    position: int
    identity: int
    type: str
    event: str | None
    timestamp: datetime
    received_at: datetime
    message_id: str
    weight: int


WEIGHT = func.coalesce(func.length(activities.c.body), 0).label("weight")
DONE = (*(activities.c[name] for name in Done._fields[:-1]), WEIGHT)
PLACE = activities.c.timestamp, activities.c.position


class Head(NamedTuple):
    """A name of a person, and the newest that was done under it."""

    name: Name
    place: Place


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
        start = None if after is None else place(after, tuple[Moment, Number])
        heads = await self._heads(kept, start)
        if not heads:
            return Entries(data=[], next=None)
        horizon = heads[-1].place if len(heads) == BRANCHES else None  # others did nothing since
        shown = []
        if event is not None:
            horizon = await self._last_looked_at(heads, start, horizon) or horizon
            shown.append(activities.c.event == event)
        mine = self._newest(DONE, heads, [*_between(start, horizon), *shown])
        found = [Done._make(row) for row in await self.tx.execute(mine.limit(limit + 1))]
        rows = _fitting(found, limit)
        end = _place(rows[-1]) if len(rows) < len(found) else horizon
        return Entries(
            data=await self._entries(rows, [head.name for head in heads], properties),
            next=None if end is None else cursor(*end),
        )

    async def _heads(self, profile_id: UUID, start: Place | None) -> list[Head]:
        """Of however many names, those under which something was done last before *start*. One
        look into the index for each name."""

        def newest(column: Column[T]) -> Label[T | None]:
            own = activities.c.identity == identities.c.id, *_between(start, None)
            first = select(column).where(*self._mine(activities), *self._mine(identities), *own)
            found = first.order_by(*_descending(*PLACE)).limit(1).correlate(identities)
            return found.scalar_subquery().label(column.name)

        each = (
            select(*NAME, newest(activities.c.timestamp), newest(activities.c.position))
            .where(*self._mine(identities), identities.c.profile_id == profile_id)
            .subquery()
        )
        some = select(each).where(each.c.position.is_not(None))
        last = some.order_by(*_descending(each.c.timestamp, each.c.position)).limit(BRANCHES)
        rows = await self.tx.execute(last)
        return [Head(Name._make(row[:-2]), (row.timestamp, row.position)) for row in rows]

    async def _last_looked_at(
        self, heads: Sequence[Head], start: Place | None, horizon: Place | None
    ) -> Place | None:
        near = self._newest(PLACE, heads, _between(start, horizon))
        row = (await self.tx.execute(last_looked_at(near, pages.LOOKED_THROUGH))).one_or_none()
        return None if row is None else (row.timestamp, row.position)

    def _newest(
        self,
        columns: Sequence[ColumnElement[object]],
        heads: Sequence[Head],
        shown: Sequence[ColumnElement[bool]],
    ) -> CompoundSelect[*tuple[object, ...]]:
        """The newest first, without an end: each name walks its index, and only as far as the
        reader does."""
        mine = select(*columns).where(*self._mine(activities), *shown)
        all_ = union_all(*(mine.where(activities.c.identity == head.name.id) for head in heads))
        found = all_.selected_columns
        return all_.order_by(*_descending(found.timestamp, found.position))

    async def activities(
        self,
        *,
        event: str | None = None,
        properties: Sequence[str] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Entries:
        """What everybody did, in the order in which it was recorded."""
        shown, horizon = [*self._mine(activities)], None
        if after is not None:
            shown.append(activities.c.position > place(after, tuple[Number])[0])
        if event is not None:
            near = select(activities.c.position).where(*shown).order_by(activities.c.position)
            last = await self.tx.execute(last_looked_at(near, pages.LOOKED_THROUGH))
            horizon = last.scalar_one_or_none()
            shown.append(activities.c.event == event)
        if horizon is not None:
            shown.append(activities.c.position <= horizon)
        done = select(*DONE).where(*shown).order_by(activities.c.position).limit(limit + 1)
        found = [Done._make(row) for row in await self.tx.execute(done)]
        rows = _fitting(found, limit)
        end = rows[-1].position if len(rows) < len(found) else horizon
        mine = select(*NAME).where(*self._mine(identities))
        numbers = sorted({row.identity for row in rows})
        names = await self.tx.among(mine, identities.c.id, numbers)
        return Entries(
            data=await self._entries(rows, map(Name._make, names), properties),
            next=None if end is None else cursor(end),
        )

    async def _entries(
        self, rows: Sequence[Done], names: Iterable[Name], properties: Sequence[str] | None
    ) -> list[Entry]:
        owners = {name.id: name for name in names}
        mine = select(activities.c.position, activities.c.body).where(*self._mine(activities))
        positions = [row.position for row in rows if row.weight]
        found = await self.tx.among(mine, activities.c.position, positions)
        bodies = {row.position: domain.sparse(msgspec.Raw(row.body), properties) for row in found}
        return [_entry(row, owners[row.identity], bodies.get(row.position, EMPTY)) for row in rows]


def _between(start: Place | None, end: Place | None) -> list[ColumnElement[bool]]:
    """Behind *start*, and no further than *end*."""
    behind = [] if start is None else [tuple_(*PLACE) < start]
    return behind if end is None else [*behind, tuple_(*PLACE) >= end]


def _descending(*columns: ColumnElement[T]) -> list[ColumnElement[T]]:
    return [column.desc() for column in columns]


def _fitting(found: Sequence[Done], limit: int) -> Sequence[Done]:
    return found[: pages.fitting([row.weight for row in found[:limit]])]


def _place(row: Done) -> Place:
    return row.timestamp, row.position


def _entry(row: Done, name: Name, body: msgspec.Raw) -> Entry:
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
