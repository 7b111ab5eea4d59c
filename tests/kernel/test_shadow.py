"""A projection is made anew beside the one in use. On both databases."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import delete, inspect, update

from martech.kernel import shadow
from martech.kernel.bus import Bus
from martech.kernel.clock import SystemClock
from martech.kernel.errors import Conflict, NotFound
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.module import ManifestError, Projection
from martech.kernel.settings import Settings
from tests.chaos.loads import TENANT, lines, set_aside
from tests.chaos.reminding import REMINDING, Outside, RemindingLedger
from tests.sample.ledger import tables
from tests.sample.ledger.handlers import write_sales_down

pytestmark = pytest.mark.anyio

NAME = "ledger.write_sales_down"
SHOP, LEDGER = REMINDING
REBUILDING = [
    SHOP,
    replace(
        LEDGER,
        subscriptions=[write_sales_down],
        projections=[Projection(of=write_sales_down, tables=[tables.lines])],
    ),
]


@pytest.fixture
async def host(sample_url: str) -> AsyncIterator[Host]:
    async with Host(REBUILDING, Settings(database_url=sample_url)) as host:
        yield host


async def sell(host: Host, *numbers: int, buyer: str = "ada") -> None:
    async with host.unit("shop", TENANT) as shop:
        await shop.sell(numbers, buyer)


async def settle(host: Host, *, patience: int = 8) -> None:
    await Bus(host, patience=patience).settle()
    await Jobs(host).settle()


async def rebuild(host: Host, **limits: float) -> list[tuple[int, int]]:
    """What was seen of it."""
    seen: list[tuple[int, int]] = []
    await shadow.rebuild(host, NAME, lambda *step: seen.append(step), **limits)
    return seen


async def spoil(host: Host) -> None:
    """Whatever is in use is wrong in every line but one, which is lost."""
    async with host.databases["ledger"].across() as connection:
        await connection.execute(update(tables.lines).values(number=-1))
        await connection.execute(delete(tables.lines).where(tables.lines.c.id == 1))


async def numbers(host: Host) -> list[int]:
    return [number for _, number in await lines(host)]


def reminded(host: Host) -> Counter[int]:
    outside = host.resources["ledger"][Outside]
    assert isinstance(outside, Outside)
    return Counter(outside.reminded)


async def test_what_was_wrong_is_right_again_and_nobody_outside_notices(host: Host) -> None:
    await sell(host, 1, 2, 3)
    await sell(host, 4)
    await settle(host)
    await spoil(host)
    seen = await rebuild(host)
    assert seen[-1][0] == seen[-1][1] > 0
    await sell(host, 5)
    await settle(host)
    assert await numbers(host) == [1, 2, 3, 4, 5]
    assert reminded(host) == Counter([1, 2, 3, 4, 5])


async def test_the_one_in_use_goes_on_meanwhile(host: Host) -> None:
    await sell(host, *range(100))
    await settle(host)
    await spoil(host)
    going_on = asyncio.create_task(Bus(host).run())
    try:
        making = asyncio.create_task(rebuild(host, batch=10))
        for number in range(100, 140):
            await sell(host, number)
        await making
    finally:
        going_on.cancel()
        with suppress(asyncio.CancelledError):
            await going_on
    await settle(host)
    assert await numbers(host) == list(range(140))
    assert reminded(host) == Counter(range(140))
