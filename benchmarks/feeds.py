"""How fast what a module tells comes to another by each feed, and how late.

The ways are those of the conformance suite: a process of its own serves the shop, and a broker and
a relay stand between where the feed has them. The ledger's handler does nothing here: what is
measured is the feed, the bus and the cursor.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import uvicorn
from msgspec import structs

from benchmarks.load import percentile
from benchmarks.questions import Answer
from martech.kernel.auth import Follower, Keyring
from martech.kernel.bus import Bus
from martech.kernel.feeds.relay import Relays
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.messages import wire_name
from martech.kernel.module import Module, on
from martech.kernel.settings import Settings
from tests import databases, servers
from tests.chaos.processes import Child, Say
from tests.kernel.feeds.children import listener
from tests.kernel.feeds.ways import WAYS
from tests.sample.ledger.module import module as ledger
from tests.sample.ledger.service import LedgerService
from tests.sample.shop.contract import Sale, Sold
from tests.sample.shop.module import module as shop

TENANT = UUID(int=1)
FOLDED = 500  # items of an event
EVENTS = 20  # of so many items, for each second that was asked for
PAUSE = 0.1  # seconds between single events: longer than a bus rests that has handled one
SINGLE = 1_000_000  # the number of the first of them
SINGLES = 20  # of them for each second that was asked for
WARM = 10  # of them do not count: connections, statements, caches
PATIENCE = 30.0  # seconds for the last of them
BARS = {"http": 10_000, "redis": 20_000}  # items a second
WAKE_UP = 0.005  # seconds, in one process

heard: dict[int, float] = {}
"""When each single event was handled."""


@on(Sold)
async def note(sales: Sequence[Sale], ledger: LedgerService) -> None:
    now = time.time()
    heard.update((sale.number, now) for sale in sales if sale.number >= SINGLE)


LISTENER = replace(ledger, subscriptions=[note])


@dataclass
class Measured:
    feed: str
    rate: float
    """Items a second, of a backlog."""

    lag: float
    """Seconds, p99."""

    def __str__(self) -> str:
        return f"{self.feed} {self.rate:,.0f} items/s, p99 {self.lag * 1000:.1f} ms"

    @property
    def met(self) -> bool:
        return self.rate >= BARS.get(self.feed, 0) and (self.feed != "local" or self.lag <= WAKE_UP)


def feeds(kind: str, seconds: float) -> Answer:
    """A backlog by each feed, and then one event after the other."""
    with TemporaryDirectory(prefix="martech-bench-") as folder:
        alone, all_of_them = asyncio.run(_ask(kind, seconds, Path(folder)))
    return Answer(
        "what a module tells, by each feed",
        kind,
        "http ≥ 10,000 items/s, redis ≥ 20,000; a wake-up in one process p99 ≤ 5 ms",
        "; ".join(map(str, all_of_them)),
        all(each.met for each in all_of_them),
        f"{alone:,.0f} items/s (the outbox read, and nobody told)",
        {each.feed: {"items_per_second": each.rate, "p99_s": each.lag} for each in all_of_them},
    )


async def _ask(kind: str, seconds: float, folder: Path) -> tuple[float, list[Measured]]:
    measured, alone = list[Measured](), 0.0
    for feed in WAYS:
        (place := folder / feed).mkdir()
        url = databases.fresh(kind, databases.SAMPLE, place)
        await _tell(url, round(EVENTS * seconds))
        alone = alone or await _read_alone(url)
        rate, lag = await _rate(feed, url), await _lag(feed, url, seconds)
        measured.append(Measured(feed, rate, lag))
    return alone, measured


async def _tell(url: str, events: int) -> None:
    async with Host([shop], Settings(database_url=url)) as host:
        for first in range(0, events * FOLDED, FOLDED):
            sales = [Sale(buyer="ada", number=number) for number in range(first, first + FOLDED)]
            async with host.unit("shop", TENANT) as service:
                service.tx.publish(Sold(items=sales))


async def _read_alone(url: str) -> float:
    async with Host([shop], Settings(database_url=url)) as host:
        feed, position, items, began = host.feed("shop"), 0, 0, time.perf_counter()
        while page := await feed.read(after=position, types=[wire_name(Sold)], items=1000):
            position, items = page[-1].position, items + sum(record.items for record in page)
        return items / (time.perf_counter() - began)


async def _rate(feed: str, url: str) -> float:
    way = WAYS[feed](url)
    await way.begin()
    try:
        await way.arrived()
        async with Host(_hosted(way.modules), way.settings) as host:
            bus = Bus(host)
            items, began = sum([await each.lag() for each in bus.deliveries]), time.perf_counter()
            await bus.settle()
            return items / (time.perf_counter() - began)
    finally:
        await way.end()


async def _lag(feed: str, url: str, seconds: float) -> float:
    """Seconds from commit to handler, p99, of events told by the process that serves them."""
    heard.clear()
    way, events = WAYS[feed](url), WARM + round(SINGLES * seconds)
    gc.collect()
    gc.freeze()  # as a server does before it serves
    await way.begin()
    async with AsyncExitStack() as stack:
        stack.callback(gc.unfreeze)
        stack.push_async_callback(way.end)
        if "shop" in way.modules:
            host = await _listening(stack, Host(_hosted(way.modules), way.settings))
            told = await _tell_singly(host, events)
        else:
            there = Settings(
                database_url=url,
                peer_secret=way.settings.peer_secret,
                broker_url=way.settings.broker_url,
                port=servers.free_port(),
            )
            child = Child(serve_and_tell, there, events)
            stack.push_async_callback(child.kill)
            assert await child.said() == "serving"
            settings = structs.replace(way.settings, peers={"shop": there.public})
            await _listening(stack, Host(_hosted(way.modules), settings))
            told = await child.said()
        async with asyncio.timeout(PATIENCE):
            while len(heard) < events:  # noqa: ASYNC110 - whatever the feed
                await asyncio.sleep(PAUSE)
    late = [max(0.0, heard[number] - at) for number, at in told.items()]
    return percentile(late[WARM:], 0.99) / 1000


async def _listening(stack: AsyncExitStack, host: Host) -> Host:
    await stack.enter_async_context(host)
    hearing = asyncio.create_task(Bus(host).run())
    stack.push_async_callback(_ended, hearing)
    return host


async def _tell_singly(host: Host, events: int) -> dict[int, float]:
    """When each was committed."""
    told = {}
    for number in range(SINGLE, SINGLE + events):
        async with host.unit("shop", TENANT) as service:
            service.tx.publish(Sold(items=[Sale(buyer="ada", number=number)]))
        told[number] = time.time()
        await asyncio.sleep(PAUSE)
    return told


async def serve_and_tell(say: Say, settings: Settings, events: int) -> None:
    """What a host of the shop does: serve its peers, copy to the broker, and tell."""
    logging.disable()
    host = Host([shop], settings)
    app = application(host, Keyring(), Follower(Keyring(), None, host.clock))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_config=None, access_log=False))
    with listener(settings) as taken:
        serving = asyncio.create_task(server.serve([taken]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0)
        if host.broker:
            relays = Relays(host.databases, host.broker, host.process.signals)
            relaying = asyncio.create_task(relays.run())
            serving.add_done_callback(lambda _: relaying.cancel())
        say("serving")
        say(await _tell_singly(host, events))
        await serving


def _hosted(names: Sequence[str]) -> list[Module]:
    return [module for module in (shop, LISTENER) if module.name in names]


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
