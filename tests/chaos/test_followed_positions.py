"""M2 and M3: a position that has been passed never fills up later, and keys stay in order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from martech.kernel.bus import Bus, Delivery
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases
from tests.chaos.children import carry
from tests.chaos.defects import OrdersByXid, TakesNoLock
from tests.chaos.history import GuaranteeBroken, insist
from tests.chaos.loads import TENANT, SlowPublisher, lines
from tests.chaos.processes import Child
from tests.chaos.writers import WRITERS, Work, change_price, in_order, sell, write

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1200)]

FIRST = 10**6
"""A number that none of the writers has."""


@asynccontextmanager
async def carried(url: str, delivery: type[Delivery] = Delivery) -> AsyncIterator[Host]:
    """A bus in a process of its own until the block ends; then what it left is delivered."""
    async with Host(databases.SAMPLE, Settings(database_url=url)) as host:
        child = Child(carry, url, "", 500, delivery)
        assert await child.said() == "carrying"
        try:
            yield host
        finally:
            await child.kill()
        await Bus(host, delivery=delivery).settle()


async def first_heard(follower: Host, work: Work) -> None:
    """One thing is told and heard: the follower follows before there is something to overtake,
    however slow its start."""
    async with follower.unit("shop", TENANT) as shop:
        await work(shop, FIRST, Random(0))
    while not await lines(follower):
        pass


async def lose_nothing(url: str, publisher: SlowPublisher, transactions: int) -> None:
    async with carried(url) as follower:
        await first_heard(follower, sell)
        settings = Settings(database_url=url)
        async with Host(databases.SAMPLE, settings, publisher=publisher) as host:
            history = await write(host, transactions, sell)
        early = len(await lines(follower))
    heard = await lines_of(url)
    insist(
        faults=len(history.taken_back),
        wanted=1,
        tried=len(history.attempted),
        planned=WRITERS * transactions,
        progress=early,
    )
    history.compare(number for _, number in heard if number != FIRST).hold()


async def lines_of(url: str) -> list[tuple[str, int]]:
    async with Host(databases.SAMPLE, Settings(database_url=url)) as host:
        return await lines(host)


async def test_a_follower_misses_nothing_of_sixteen_writers(
    postgresql_url: str, full: bool
) -> None:
    await lose_nothing(postgresql_url, SlowPublisher(2, 0.01, 0.03), 500 if full else 15)


@pytest.mark.planted
async def test_a_publisher_without_the_lock_is_found_out(postgresql_url: str, full: bool) -> None:
    with pytest.raises(GuaranteeBroken, match=r"lost [1-9]"):
        await lose_nothing(postgresql_url, TakesNoLock(2, 0.01, 0.03), 500 if full else 60)


async def keep_order(url: str, delivery: type[Delivery], transactions: int) -> None:
    async with carried(url, delivery) as follower:
        await first_heard(follower, change_price)
        async with Host(
            databases.SAMPLE, Settings(database_url=url), publisher=SlowPublisher(3, 0.002)
        ) as host:
            history = await write(host, transactions, change_price)
        early = len(await lines(follower))
    planned = WRITERS * transactions
    insist(faults=0, wanted=0, tried=len(history.acknowledged), planned=planned, progress=early)
    in_order(await lines_of(url), 1 + planned)


async def test_each_key_is_heard_in_order_without_a_gap(sample_url: str, full: bool) -> None:
    await keep_order(sample_url, Delivery, 300 if full else 15)


@pytest.mark.planted
async def test_order_by_transaction_id_is_found_out(postgresql_url: str, full: bool) -> None:
    with pytest.raises(GuaranteeBroken, match=r"[1-9]\d* inversions"):
        await keep_order(postgresql_url, OrdersByXid, 300 if full else 15)
