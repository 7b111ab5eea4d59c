"""Copies the outboxes of the modules that are hosted here to the broker.

    take the lock ─▶ ask the broker how far it is ─▶ read what comes behind ─▶ append it there

How far it is, is written nowhere else. So whoever takes over from a relay that was killed begins
with what the broker lacks, and a broker that forgot is healed by the next step. Several processes
may relay one module: the lock spares them doing it twice, and where it fails (a connection that was
lost unnoticed) the broker takes nothing behind an end that has moved.
"""

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TextIO

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel import failpoints, outbox
from martech.kernel.db import Database
from martech.kernel.db.engines import is_sqlite, sqlite_file
from martech.kernel.errors import Invalid, Unavailable
from martech.kernel.feeds.broker import ANEW, Broker, Mark
from martech.kernel.feeds.wake import watch
from martech.kernel.outbox import Recorded
from martech.kernel.process import Signals
from martech.kernel.trouble import Trouble

log = logging.getLogger(__name__)

BATCH = 1000  # items
REST = 0.02  # seconds between steps that left nothing behind: what trickles in is copied together
POLL = 1.0  # seconds, when nobody wakes us: a broker that forgot is not heard of
LONGEST_WAIT = 5.0  # seconds between looks while something is away


class Relay:
    """One module's outbox on its way to the broker. `step` copies; `run` decides when."""

    def __init__(self, database: Database, broker: Broker, *, batch: int = BATCH) -> None:
        self.source = database.name
        self._database = database
        self._broker = broker
        self._batch = batch

    async def step(self, *, anew: int | None = None) -> int:
        """Copy the next batch; how many items that was. 0 also while another process copies.

        With *anew* the broker forgets what it has, and begins behind that position: both or
        neither, for whoever came in between would begin with the first. Raises `Unavailable`.
        """
        async with (
            self._database.across(write=False) as connection,
            _alone(self._database, connection) as mine,
        ):
            return await self._copy(connection, anew) if mine else 0

    async def run(self, signals: Signals) -> None:
        """Copy what is told, until cancelled."""
        wait, trouble = POLL, Trouble(log)
        with signals.listening(self.source) as news:
            while True:
                news.clear()
                try:
                    copied, wait = await self.step(), POLL
                    trouble.ends(f"the outbox of {self.source} is copied again")
                    if copied:
                        await asyncio.sleep(0 if copied >= self._batch / 2 else REST)
                        continue
                except Unavailable as exc:
                    wait = min(wait * 2, LONGEST_WAIT)
                    trouble.begins(f"the outbox of {self.source} is not copied", exc.detail)
                except Exception:
                    wait = min(wait * 2, LONGEST_WAIT)
                    log.exception("the relay of %s stumbled and tries again", self.source)
                try:
                    async with asyncio.timeout(wait):
                        await news.wait()
                except TimeoutError:
                    continue

    async def watch(self, signals: Signals) -> None:
        """Notice what other processes commit to this outbox."""
        await watch(self._database, partial(signals.wake, self.source))

    async def republish(self, after: int, progress: Callable[[int, int], None]) -> int:
        """Have the broker forget what it has, and copy everything behind position *after*; tell
        *progress* of the position reached, and of the last, which is returned.

        Beside a relay that runs, which may do some of it. Raises `Unavailable`, and `Invalid` if
        nothing was told behind *after*.
        """
        async with self._database.across(write=False) as connection:
            last = await outbox.last(connection, self._database.metadata)
        if after and after >= last:
            raise Invalid(f"{self.source} has told up to {last}; begin before that.")
        if not last:
            await self._broker.forget(self.source)
            return last
        copied = 0
        while not copied:
            copied = await self.step(anew=after)
            await asyncio.sleep(0 if copied else REST)
        while (mark := await self._broker.mark(self.source)) is None or mark.position < last:
            progress(mark.position if mark else after, last)
            if not await self.step():
                await asyncio.sleep(REST)
        progress(last, last)
        return last

    async def _copy(self, connection: AsyncConnection, anew: int | None) -> int:
        mark = await self._broker.mark(self.source) if anew is None else ANEW
        if anew is None and mark is not None:
            await self._check(connection, mark)
        after = anew if anew is not None else mark.position if mark else 0
        records = await outbox.read(
            connection, self._database.metadata, after=after, types=None, items=self._batch
        )
        if not records or not await self._publish(mark, records, after):
            return 0
        return sum(record.items for record in records)

    async def _publish(self, mark: Mark | None, records: list[Recorded], after: int) -> bool:
        await failpoints.reach("relay.before_publish")
        taken = await self._broker.append(self.source, mark, records, after=after)
        await failpoints.reach("relay.after_publish")
        return taken

    async def _check(self, connection: AsyncConnection, mark: Mark) -> None:
        """A database that was restored, or made anew, tells other things at the same positions."""
        if await self._is_told(connection, mark):
            return
        async with self._database.across(write=False) as fresh:
            if await self._is_told(fresh, mark):
                return  # and copied by another relay since our transaction began, before our lock
        raise Unavailable(
            f"The broker has an event of {self.source} at position {mark.position} that its outbox "
            "does not have: another database, or one that was restored. If this one is right, run "
            f"`martech republish {self.source}`."
        )

    async def _is_told(self, connection: AsyncConnection, mark: Mark) -> bool:
        told = await outbox.told_at(connection, self._database.metadata, mark.position)
        return told == mark.id


@asynccontextmanager
async def _alone(database: Database, connection: AsyncConnection) -> AsyncIterator[bool]:
    """Whether nobody else copies this outbox meanwhile. Who is killed holds nothing.

    On SQLite by a file beside the module's: to hold its one write lock while a broker is waited for
    would stop the module."""
    if not is_sqlite(database.url):
        key = {"key": f"{database.name}.relay"}
        taken = text("SELECT pg_try_advisory_xact_lock(hashtext(:key))")
        yield bool((await connection.execute(taken, key)).scalar_one())
        return
    with sqlite_file(database.url, database.name).with_suffix(".relay").open("a") as held:
        yield _held(held)


def _held(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Relays:
    """The relays of all modules of a host."""

    def __init__(
        self,
        databases: Mapping[str, Database],
        broker: Broker,
        signals: Signals,
        *,
        relay: type[Relay] = Relay,
    ) -> None:
        self._broker = broker
        self._signals = signals
        self.relays = {name: relay(database, broker) for name, database in databases.items()}

    async def run(self) -> None:
        """Copy until cancelled; and warn, as soon as the broker can be asked."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._warn())
            for name, relay in self.relays.items():
                tasks.create_task(relay.run(self._signals), name=f"relay of {name}")
                tasks.create_task(relay.watch(self._signals), name=f"watch {name}")

    async def settle(self) -> None:
        """Copy until nothing is left to copy."""
        for relay in self.relays.values():
            while await relay.step():
                pass

    async def _warn(self) -> None:
        while True:
            try:
                if warning := await self._broker.warning():
                    log.warning(warning)
            except Unavailable:  # every relay says so
                await asyncio.sleep(LONGEST_WAIT)
            else:
                return
