"""A module's schema behind a pool of its own, so that no module can starve another.

(One shared pool deadlocks as soon as a use case asks another module while it holds a
connection: 30 of 30 launches timed out; with a pool each, none.)
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final
from uuid import UUID

from sqlalchemy import MetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from martech.kernel import audit, commands, failpoints, outbox
from martech.kernel.auth import Principal
from martech.kernel.clock import Clock
from martech.kernel.db.engines import create_engine, is_busy, is_passing, is_sqlite, sqlite_file
from martech.kernel.db.transaction import Transaction, Unit
from martech.kernel.errors import Unavailable
from martech.kernel.messages import Command
from martech.kernel.outbox import Origin, Publisher
from martech.kernel.process import Process
from martech.kernel.telemetry import Sending
from martech.kernel.tenancy import ACROSS, Scope

PATIENCE = 15.0  # seconds to wait for a writer of another process
PAUSE = 0.01

AWAY = "is not available; try again"
LOST = "was lost while it wrote, and may have written; look before you try again"

SNAPSHOT: Final[Mapping[str, Mapping[str, Any]]] = {
    "postgresql": {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"},
    "sqlite": {},
}
"""What a unit that reads asks for: however many statements it has, they see one state of things.
(On SQLite that is so anyway.)"""


class Database:
    def __init__(
        self,
        url: str,
        metadata: MetaData,
        *,
        clock: Clock,
        process: Process,
        publisher: Publisher | None = None,
        inward: Collection[type[Command]] = (),
        engine: AsyncEngine | None = None,
    ) -> None:
        """*inward* are the commands that are kept while a subscription replays; *engine* is
        another way in than everybody's."""
        self.name = str(metadata.schema)
        self.url = url
        self.metadata = metadata
        self.engine = engine or create_engine(url, self.name)
        self.clock = clock
        self.process = process
        self.publisher = publisher or Publisher()
        self.inward = inward
        self.dropped = 0
        """Outward commands that were not written because a replay asked for them."""

        self.untold = 0
        """Events that were not told because they were told when their cause was heard first."""

        file = str(sqlite_file(url, self.name).absolute()) if is_sqlite(url) else None
        self._turn = process.turn(file) if file else None

    @asynccontextmanager
    async def transaction(
        self,
        tenant: UUID,
        *,
        write: bool = True,
        principal: Principal | None = None,
        origin: Origin | None = None,
    ) -> AsyncIterator[Transaction]:
        """One tenant's unit of work; commits when the block ends, rolls back when it raises."""
        async with self.unit(write=write) as unit:
            yield unit.of(tenant, principal=principal, origin=origin)

    @asynccontextmanager
    async def unit(
        self, *, write: bool = True, replaying: bool = False, heard_before: bool = False
    ) -> AsyncIterator[Unit]:
        """The kernel's unit of work over all tenants: bus, sweeper, group commit.

        Of what is *replaying*, nothing is done outside. Of what was *heard_before* besides, nothing
        is told and nothing audited: that was so when it was heard first.

        Raises `Unavailable` when the database cannot be reached. Nothing is committed then, unless
        it was lost in the middle of the commit: nobody here knows, and the detail says so.
        """
        async with AsyncExitStack() as stack:

            async def connect(write: bool, scope: Scope) -> AsyncConnection:
                if write:
                    await failpoints.reach("unit.before_write")
                if write and self._turn:
                    await stack.enter_async_context(self._turn.taken())
                with self._reached():
                    connection = await stack.enter_async_context(self.engine.connect())
                    looking = {} if write else SNAPSHOT[self.engine.dialect.name]
                    await connection.execution_options(write=write, begins_for=scope, **looking)
                    await _begin(connection)
                return connection

            dialect, now = self.engine.dialect.name, self.clock.now()
            unit = Unit(connect, dialect, now, write, replaying, heard_before)
            with self._translated():
                yield unit
                await self._finish(unit)

    @asynccontextmanager
    async def across(self, *, write: bool = True) -> AsyncIterator[AsyncConnection]:
        """A connection of the kernel's own, over all tenants; commits when the block ends."""
        async with self.unit(write=write) as unit:
            connection = await unit.enter(ACROSS)
            yield await connection.execution_options(scope=ACROSS)

    async def _finish(self, unit: Unit) -> None:
        """Write down what was said and is to be done, the outbox last, and commit. What only read
        has nothing to commit: its connection goes back as it is."""
        if unit.heard_before:
            self.untold += len(unit.told)
            unit.told.clear()
            unit.audited.clear()
        if unit.audited or unit.enqueued or unit.told:
            recorder = self.process.recorder
            with (
                Sending(recorder, f"{self.name}.outbox") as told,
                Sending(recorder, f"{self.name}.commands") as enqueued,
            ):
                await self._write_down(unit, told, enqueued)
        if unit.connection is None or not unit.write:
            return
        await failpoints.reach("unit.before_commit")
        with self._translated(LOST):
            await unit.connection.commit()
        await failpoints.reach("unit.after_commit")
        if unit.told:
            self.process.signals.wake(self.name)
        if unit.enqueued:
            self.process.signals.wake(f"{self.name}.commands")

    async def _write_down(self, unit: Unit, told: Sending, enqueued: Sending) -> None:
        connection = await unit.enter(_scope(unit))
        await connection.execution_options(scope=ACROSS)
        if unit.enqueued:
            self.dropped += await commands.record(
                connection,
                self.metadata,
                unit.enqueued,
                unit.now,
                replaying=unit.replaying,
                inward=self.inward,
                carry=enqueued.carry,
            )
        if unit.audited:  # under the outbox's lock, so after whatever may wait for a row's
            await self.publisher.lock(connection, self.metadata)
            await audit.append(connection, self.metadata, unit.audited, unit.now)
        if unit.told:
            rows = outbox.rows_of(unit.told, unit.now, told.carry)
            await failpoints.reach("outbox.before_insert")
            await self.publisher.append(connection, self.metadata, rows)
            await failpoints.reach("outbox.after_insert")

    @contextmanager
    def _translated(self, how: str = AWAY) -> Iterator[None]:
        """A database that is away is `Unavailable`, whichever library noticed."""
        try:
            yield
        except DBAPIError as exc:
            if not is_passing(exc):
                raise
            raise Unavailable(f"The database of {self.name} {how}.") from exc

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (PoolTimeout, OSError, DBAPIError) as exc:
            raise Unavailable(f"The database of {self.name} does not answer; try again.") from exc

    async def close(self) -> None:
        await self.engine.dispose()


async def _begin(connection: AsyncConnection) -> None:
    """Begin; on SQLite wait for another process's write lock with the event loop free."""
    give_up = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            await connection.begin()
        except DBAPIError as exc:
            if not is_busy(exc) or asyncio.get_running_loop().time() > give_up:
                raise
            await asyncio.sleep(PAUSE)
        else:
            return


def _scope(unit: Unit) -> Scope:
    """The one tenant for whom something is written down, or all."""
    tenants = {told.tenant for told in unit.told}
    tenants |= {audited.tenant for audited in unit.audited}
    tenants |= {enqueued.tenant for enqueued in unit.enqueued}
    return tenants.pop() if len(tenants) == 1 else ACROSS
