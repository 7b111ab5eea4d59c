"""Carries facts to a subscription whose effects go to a store and not to tables.

Batches, halving, setting aside and parking are `Delivery`'s. What was set aside stays in the
module's schema; cursor and effects are in the store, and the two databases commit in an order
that a crash in between cannot hurt:

    a batch   rows set aside ─▶ effects and cursor    a crash: the rows stand behind a cursor that
                                                      has not come so far; they are swept away and
                                                      the batch is heard again
    a retry   effect and mark ─▶ row taken out        a crash: the row is tried again, its mark
                                                      says that it is done; so it is after its
                                                      last attempt, when a person tries it again

A replay takes out of the store what is to be heard again: nothing needs to be emptied first.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel import failpoints
from martech.kernel.bus.delivery import Delivery
from martech.kernel.bus.unfold import Heard
from martech.kernel.cursors import Cursor, Place
from martech.kernel.db import Transaction, Unit
from martech.kernel.host import Host
from martech.kernel.messages import Fact
from martech.kernel.module import ManifestError, Subscription
from martech.kernel.outbox import Origin
from martech.kernel.store import Engine, StoredCursors

log = logging.getLogger(__name__)

BATCH = 2000  # items
REST = 0.25  # seconds


class StoredDelivery(Delivery):
    """A subscription of a module that has a store.

    A column store takes two thousand rows in four times the time that it needs for twenty: it is
    told rarely, and much at a time. (At 5,000 events a second a third of the work for each.)
    """

    cursors: StoredCursors
    together = 1  # each has its mark

    def __init__(
        self,
        host: Host,
        module: str,
        subscription: Subscription,
        *,
        batch: int = BATCH,
        **limits: Any,
    ) -> None:
        super().__init__(host, module, subscription, batch=batch, **limits)
        self._writing: object = None

    def rest(self, handled: int) -> float:
        return REST

    @property
    def engine(self) -> Engine:
        """The host has it as soon as it is entered."""
        return self.cursors.engine

    async def _go_on(self) -> int:
        self._left = None  # whether a replay was asked for is seen where the cursor is
        return 0

    async def _next_batch(self, cursor: Cursor) -> int:
        if self.cursors.asked is not None:
            await self._rewind()
            return 1
        return await super()._next_batch(cursor)

    async def _rewind(self) -> None:
        async with self.database.across() as connection:
            await self.cursors.load(connection, lock=True)
            if self.cursors.asked is None:
                return
            to = await self.engine.rewind(self.subscription.name, self.cursors.asked)
            await self.cursors.rewound(connection, to)
        log.info("%s hears everything behind %d again", self.name, to)

    async def _at(self, unit: Unit, place: Place) -> AsyncConnection:
        connection = await super()._at(unit, place)
        await self.cursors.sweep(connection, place)
        return connection

    async def _together(self, heard: Sequence[Heard], place: Place, replaying: bool) -> Place:
        async with self._moving(place, heard[-1].next):
            reached = await super()._together(heard, place, replaying)
            await failpoints.reach("store.before_commit")
        await failpoints.reach("store.after_commit")
        return reached

    async def _set_aside(self, heard: Heard, place: Place, error: Exception) -> Place:
        async with self._moving(place, heard.next):
            reached = await super()._set_aside(heard, place, error)
            await failpoints.reach("store.before_commit")
        return reached

    async def _taken_out(self, rows: Sequence[Row[Any]]) -> None:
        (row,) = rows
        await self.engine.unmark(self.subscription.name, Place(row.position, row.item))

    async def _again(self, unit: Unit, rows: Sequence[Row[Any]], facts: list[Fact]) -> None:
        (row,) = rows
        item = Place(row.position, row.item)
        if await self.engine.is_marked(self.subscription.name, item):
            return
        async with self._into(self.engine.once(self.subscription.name, item)):
            await super()._again(unit, rows, facts)
        await failpoints.reach("store.after_once")

    async def _call(self, unit: Unit, tenant: UUID, facts: Sequence[Fact], origin: Origin) -> None:
        await super()._call(unit, tenant, facts, origin)
        if unit.told or unit.enqueued or unit.audited:
            raise ManifestError(
                f"{self.name} writes to a store and so can tell and do nothing: the two would not "
                "be one transaction."
            )

    def _service(self, tx: Transaction) -> Any:
        return self.host.service(self.module, tx, store=self._writing)

    def _moving(self, begin: Place, end: Place) -> AbstractAsyncContextManager[None]:
        return self._into(self.engine.moving(self.subscription.name, begin, end))

    @asynccontextmanager
    async def _into(self, transaction: AbstractAsyncContextManager[Any]) -> AsyncIterator[None]:
        """What is written inside is written in *transaction*."""
        async with transaction as writing:
            self._writing = writing
            try:
                yield
            finally:
                self._writing = None
