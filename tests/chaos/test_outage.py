"""M10: while something is away everything waits; nothing is parked, and afterwards all is done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic

import pytest

from martech.kernel.bus import Bus, Delivery
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases
from tests.chaos.defects import CountsUnavailable
from tests.chaos.history import GuaranteeBroken, History, insist
from tests.chaos.loads import TENANT, lines, set_aside
from tests.chaos.moody import Mood, moody
from tests.chaos.wire import wired

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

RATE = 200  # events a second
DRAINED = 60.0  # seconds, at full size


@asynccontextmanager
async def running(bus: Bus) -> AsyncIterator[None]:
    task = asyncio.create_task(bus.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def feed(host: Host, history: History, mood: Mood, *, seconds: float, refusals: int) -> None:
    """Sell *RATE* a second for *seconds*, and until the ledger was asked *refusals* times."""
    begun, number = monotonic(), 0
    while number < RATE * seconds or len(mood.calls) < refusals:
        history.attempt(number)
        async with host.unit("shop", TENANT) as shop:
            await shop.sell([number], f"buyer {number % 50}")
        history.acknowledge(number)
        number += 1
        await asyncio.sleep(max(0.0, begun + number / RATE - monotonic()))  # the rate, not a wait


async def outlast(url: str, delivery: type[Delivery], *, seconds: float, refusals: int) -> None:
    mood, history = Mood(), History()
    mood.away = True
    async with Host(moody(mood), Settings(database_url=url)) as host:
        bus = Bus(host, delivery=delivery, patience=3)
        async with running(bus):
            await feed(host, history, mood, seconds=seconds, refusals=refusals)
            refused, early = len(mood.calls), len(await lines(host))
        mood.away = False
        healed = monotonic()
        parked = await set_aside(host)
        await bus.settle()
        if parked := parked or await set_aside(host):
            raise GuaranteeBroken(f"parked or set aside {len(parked)}")
        if monotonic() - healed > DRAINED:
            raise GuaranteeBroken(f"the backlog took {monotonic() - healed:.0f} s")
        heard = await lines(host)
        insist(
            faults=refused,
            wanted=refusals,
            tried=len(history.attempted),
            planned=round(RATE * seconds),
            progress=len(heard) - early,
            outstanding=sum([await d.lag() for d in bus.deliveries]),
        )
    history.compare(number for _, number in heard).hold()


async def test_an_outage_parks_nothing_and_the_backlog_is_drained(
    sample_url: str, full: bool
) -> None:
    await outlast(sample_url, Delivery, seconds=60 if full else 0.5, refusals=5)


@pytest.mark.planted
async def test_counting_an_outage_as_failure_is_found_out(sample_url: str, full: bool) -> None:
    with pytest.raises(GuaranteeBroken, match=r"parked or set aside [1-9]"):
        await outlast(sample_url, CountsUnavailable, seconds=10 if full else 0.2, refusals=5)


async def test_a_database_that_is_cut_off_again_and_again_is_caught_up_with(
    postgresql_url: str, full: bool
) -> None:
    """The listener's own database is away; the shop, and the bus, go on without a restart."""
    cuts, history = 20 if full else 3, History()
    async with wired(postgresql_url) as (url, wire):
        settings = Settings(database_url=postgresql_url, database_urls={"ledger": url})
        async with Host(databases.SAMPLE, settings) as host:
            bus, sold = Bus(host), 0
            async with running(bus):
                for _ in range(cuts):
                    sold = await sell_until_heard(host, history, sold, postgresql_url)
                    wire.cut()
                    sold = await sell(host, history, sold)
                    wire.mend()
                sold = await sell_until_heard(host, history, sold, postgresql_url)
            await bus.settle()
            heard = await lines(host)
            insist(
                faults=cuts,
                wanted=cuts,
                tried=wire.connections,
                planned=cuts,
                progress=len(heard),
                outstanding=len(await set_aside(host))
                + sum([await d.lag() for d in bus.deliveries]),
            )
    history.compare(number for _, number in heard).hold()


async def sell(host: Host, history: History, first: int) -> int:
    """Twenty sales; returns the next number."""
    for number in range(first, first + 20):
        history.attempt(number)
        async with host.unit("shop", TENANT) as shop:
            await shop.sell([number], f"buyer {number % 7}")
        history.acknowledge(number)
    return first + 20


async def sell_until_heard(host: Host, history: History, sold: int, url: str) -> int:
    """Sell on until the ledger, looked at past the wire, has something of it."""
    async with Host(databases.SAMPLE, Settings(database_url=url)) as aside:
        before = len(await lines(aside))
        while len(await lines(aside)) <= before:
            sold = await sell(host, history, sold)
    return sold
