"""Carries what one module has said to one subscription of another.

    read a batch ─▶ handle it and move the cursor, one transaction ─▶ …
                        │ it fails
                        ▼
                  by halves down to the one that fails ─▶ set aside, the cursor goes on
                                                            │ due again, with backoff: claimed
                                                            ▼
                                              handled, or after PATIENCE attempts parked

* An effect happens exactly once: it and the cursor are one transaction.
* Whoever handles something holds the cursor's row, so of a subscription there is one handler at a
  time, however many processes carry it: a handler may read, decide and write.
* However many processes carry it, what was set aside is tried once each time that it is due.
* Facts about one subject stay in order: while one is set aside, later ones about the same
  subject are set aside behind it, and nobody else waits.
* What was heard before was told of and done outside before: neither happens in a replay.
* A tenant of whose facts many fail costs the others a bounded number of transactions: the rest of
  its facts in the batch is set aside untried, and tried in turns with everybody else's.
* `Unavailable` is not a failure: the subscription waits, or what was set aside alone, and nothing
  is ever parked for it.
"""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel import failpoints
from martech.kernel.bus.again import FIRST_RETRY, Again
from martech.kernel.bus.fairness import Patience
from martech.kernel.bus.handling import Portion, across
from martech.kernel.bus.unfold import Heard, origin_of, unfold
from martech.kernel.cursors import UNKNOWN, Cursor, Overtaken, Place
from martech.kernel.db import Unit
from martech.kernel.db.hiding import said
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.messages import FOLD, Fact
from martech.kernel.module import Subscription
from martech.kernel.outbox import Origin

log = logging.getLogger(__name__)

BATCH = 2 * FOLD  # items
SHORTEST_REST, LONGEST_REST = 0.05, 0.2  # seconds


class Delivery(Again):
    """One subscription. `step` moves it on; the bus decides when."""

    def __init__(
        self,
        host: Host,
        module: str,
        subscription: Subscription,
        *,
        batch: int = BATCH,
        **limits: Any,
    ) -> None:
        """*limits* are those of `Handling`, and *batch* the items of a transaction."""
        super().__init__(host, module, subscription, **limits)
        self.feed = host.feed(subscription.source)
        self.batch = batch
        self._with = Patience()
        self._left: Cursor | None = None
        self._read = Cursor(Place(0, 0), UNKNOWN)
        """As it was when we read what we handle."""

    def had_room(self, handled: int) -> bool:
        """Whether a step that *handled* so many items left none behind for want of room. A folded
        event is read whole or not at all."""
        return handled <= self.batch - FOLD

    def rest(self, handled: int) -> float:
        """Seconds from the begin of a step that had room to that of the next. What trickles in is
        handled together: the more comes in, the more of it."""
        return max(SHORTEST_REST, LONGEST_REST * handled / FOLD)

    async def step(self) -> int:
        """Handle the next batch, and try again what is due. How much that was; 0 for nothing.

        Raises `Unavailable` when the source, the own database or a port is away.
        """
        try:
            handled = await self._go_on()
            async with self.database.across(write=False) as connection:
                cursor = await self.cursors.load(connection)
                due = await self.cursors.due(connection, self.host.clock.now(), cursor.place)
            if cursor.replay_until == UNKNOWN:
                return await self._find_head()
            tried = await self._retry_due(due)
            if cursor != self._left:
                handled += await self._next_batch(cursor)
            return tried + handled
        except Overtaken:
            return 1

    async def _go_on(self) -> int:
        """Handle what comes behind the place where we left the cursor. That saves news a look at
        the cursor first; whether it still stands there is seen as soon as it is held."""
        return await self._next_batch(self._left) if self._left else 0

    async def _find_head(self) -> int:
        """What the source, met for the first time, has told until now is the past."""
        head = await self.feed.head(list(self.subscription.types))
        async with self.database.across() as connection:
            await self.cursors.found(connection, head)
        return 1

    async def lag(self) -> int:
        """How many items stand between the cursor and the source's last."""
        async with self.database.across(write=False) as connection:
            place = (await self.cursors.load(connection)).place
        return await self.behind(place)

    async def behind(self, place: Place) -> int:
        """How many items stand between *place* and the source's last. Raises `Unavailable`."""
        behind = await self.feed.waiting(after=place.position, types=list(self.subscription.types))
        return behind - place.item

    async def _hear(self, place: Place) -> list[Heard]:
        """What comes behind *place*."""
        records = await self.feed.read(
            after=place.position,
            types=list(self.subscription.types),
            items=self.batch + place.item,
        )
        return unfold(records, self.subscription, place)

    async def _next_batch(self, cursor: Cursor) -> int:
        place = cursor.place
        self._left, self._read = None, cursor
        self._with.next_batch()
        heard = await self._hear(place)
        for part, replaying in self._parts(heard):
            for start in range(0, len(part), self.batch):
                chunk = part[start : start + self.batch]
                place = await self._handle(chunk, place, replaying)
        self._left = cursor._replace(place=place)
        return len(heard)

    def _parts(self, heard: Sequence[Heard]) -> Iterator[tuple[Sequence[Heard], bool]]:
        """What was heard before, what is of the past all the same, and the news; each with whether
        it is of the past."""
        _, replay_until, heard_until = self._read
        at = [h.record.position for h in heard]
        again = bisect_right(at, heard_until)
        past = max(again, bisect_right(at, replay_until))
        yield from ((heard[:again], True), (heard[again:past], True), (heard[past:], False))

    async def _handle(self, heard: Sequence[Heard], place: Place, replaying: bool) -> Place:
        """Handle *heard*, by halves if it must be; return the cursor behind it."""
        self._go_on_unless_ending()
        try:
            return await self._together(heard, place, replaying)
        except (Unavailable, Overtaken):
            raise
        except Exception as exc:
            if len(heard) == 1:
                log.warning("%s cannot handle %s", self.name, heard[0].record.id, exc_info=exc)
                self._with.has_failed(heard[0].tenant, exc)
                return await self._set_aside(heard[0], place, exc)
        if self._with.is_exhausted:
            self._with.ends_with({h.tenant for h in heard})
            return await self._together(heard, place, replaying)
        middle = len(heard) // 2
        place = await self._handle(heard[:middle], place, replaying)
        return await self._handle(heard[middle:], place, replaying)

    async def _together(self, heard: Sequence[Heard], place: Place, replaying: bool) -> Place:
        """One transaction: the handler's effects for every tenant, and the cursor."""
        deadline = max(self.shortest, self.deadline * len(heard) / self.batch)
        again = self._read.has_heard(heard[-1].record.position)
        async with self.database.unit(replaying=replaying, heard_before=again) as unit:
            connection = await self._at(unit, place)
            ready = await self._hold_back(unit, connection, heard, place)
            await failpoints.reach("bus.before_handle")
            async with asyncio.timeout(deadline):
                for tenant, facts, origins in self._portions(ready):
                    with self._doing(tenant, facts, origins) as origin:
                        await self._call(unit, tenant, facts, origin)
            await failpoints.reach("bus.before_cursor")
            await self.cursors.move(await across(unit), heard[-1].next)
        return heard[-1].next

    async def _at(self, unit: Unit, place: Place) -> AsyncConnection:
        """The unit's connection, holding the cursor, which must still be where we read from; and
        what we read as news must not have become a replay meanwhile."""
        connection = await across(unit)
        cursor = await self.cursors.load(connection, lock=True)
        if cursor != self._read._replace(place=place):
            raise Overtaken
        return connection

    async def _hold_back(
        self, unit: Unit, connection: AsyncConnection, heard: Sequence[Heard], place: Place
    ) -> Sequence[Heard]:
        """Set aside what cannot be decoded, and what must wait behind something set aside or for
        its tenant's turn; leave out what is set aside already."""
        held = await self.cursors.held(connection, place, {h.tenant for h in heard})
        if held.ahead:
            heard = [h for h in heard if h.place not in held.ahead]
        broken = [h for h in heard if h.fact is None]
        over = self._with.over
        behind = [
            h
            for h in heard
            if h.fact and (held.is_behind((h.tenant, h.subject), h.place) or h.tenant in over)
        ]
        if not broken and not behind:
            return heard
        for h in broken:  # trying again would decode no better
            await self.cursors.set_aside(
                connection, [h.aside()], attempts=1, due_at=None, error=h.error
            )
        if behind:
            asides = [h.aside() for h in behind]
            reason = "waits behind an earlier one of its subject, or behind many of its tenant"
            await self.cursors.set_aside(
                connection, asides, attempts=0, due_at=unit.now, error=reason
            )
        out = {id(h) for h in (*broken, *behind)}
        return [h for h in heard if id(h) not in out]

    def _portions(self, heard: Sequence[Heard]) -> Iterator[Portion]:
        for tenant, facts, origins in _by_tenant(heard):
            yield from self._in_one_go(tenant, facts, origins)

    async def _set_aside(self, heard: Heard, place: Place, error: Exception) -> Place:
        async with self.database.unit() as unit:
            connection = await self._at(unit, place)
            due_at = unit.now + FIRST_RETRY if self.patience > 1 else None
            await self.cursors.set_aside(
                connection, [heard.aside()], attempts=1, due_at=due_at, error=said(error)
            )
            await self.cursors.move(connection, heard.next)
        return heard.next


def _by_tenant(heard: Sequence[Heard]) -> list[Portion]:
    """Each tenant's facts in order, each with its origin."""
    groups: dict[UUID, tuple[list[Fact], list[Origin]]] = {}
    for h in heard:
        facts, origins = groups.setdefault(h.tenant, ([], []))
        if h.fact is not None:
            facts.append(h.fact)
            origins.append(origin_of(h.record))
    return [(tenant, facts, origins) for tenant, (facts, origins) in groups.items()]
