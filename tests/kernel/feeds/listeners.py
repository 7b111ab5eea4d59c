"""Processes that keep the ledger, and what has come to them."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from martech.kernel.host import Host
from tests.chaos.loads import lines
from tests.chaos.processes import Child
from tests.kernel.feeds.children import Making, listen
from tests.kernel.feeds.ledgers import plain
from tests.kernel.feeds.ways import Way

PATIENCE = 30.0  # seconds in which nothing arrives, until a test gives up


def host_of(way: Way, making: Making = plain) -> Host:
    """A host of the ledger in this process."""
    modules = [module for module in making() if module.name in way.modules]
    return Host(modules, way.settings)


class Listeners:
    """Some processes with the same subscriptions; *host* looks at their ledger."""

    def __init__(self, way: Way, host: Host, making: Making) -> None:
        self.host = host
        self._way, self._making = way, making
        self._news = asyncio.Event()
        self.children: list[Child] = []
        self._hearing: list[asyncio.Task[None]] = []

    async def begin(self, processes: int) -> None:
        for _ in range(processes):
            child = Child(listen, self._way.settings, self._way.modules, self._making)
            assert await child.said() == 0
            self.children.append(child)
            self._hearing.append(asyncio.create_task(self._hear(child)))

    async def end(self) -> None:
        for child in self.children:
            await child.kill()
        self.children.clear()
        await asyncio.gather(*self._hearing)

    async def kill(self) -> None:
        """One of them; the others go on."""
        await self.children.pop().kill()

    async def have(self, count: int) -> list[tuple[str, int]]:
        """What is written, as soon as it is *count* lines."""
        while True:
            self._news.clear()
            written = await lines(self.host)
            if len(written) >= count:
                return written
            async with asyncio.timeout(PATIENCE):
                await self._news.wait()

    async def _hear(self, child: Child) -> None:
        with suppress(EOFError, OSError):
            while True:
                with suppress(TimeoutError):
                    await child.said()
                    self._news.set()


@asynccontextmanager
async def listening(way: Way, processes: int, making: Making = plain) -> AsyncIterator[Listeners]:
    async with host_of(way, making) as host:
        listeners = Listeners(way, host, making)
        await listeners.begin(processes)
        try:
            yield listeners
        finally:
            await listeners.end()


def by_what(written: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """The numbers of each, in the order of writing."""
    found = defaultdict[str, list[int]](list)
    for what, number in written:
        found[what].append(number)
    return dict(found)
