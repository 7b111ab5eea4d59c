"""M2 and M3: a position that has been passed never fills up later, and keys stay in order."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from martech.kernel.bus import Bus, Delivery
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases
from tests.chaos.children import carry
from tests.chaos.defects import OrdersByXid, TakesNoLock
from tests.chaos.history import GuaranteeBroken, History, insist
from tests.chaos.loads import TENANT, SlowPublisher, TakenBack, lines
from tests.chaos.processes import Child
from tests.sample.shop.service import ShopService
from tests.sample.shop.tables import sales

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1200)]

WRITERS = 16
KEYS = 20


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


async def write(
    host: Host, transactions: int, work: Callable[[ShopService, int, random.Random], Awaitable[int]]
) -> History:
    """Sixteen writers, each doing *work* in *transactions* units of its own."""
    history = History()

    async def writer(number: int) -> None:
        seed = random.Random(number)
        for turn in range(transactions):
            what = number * transactions + turn
            history.attempt(what)
            try:
                async with host.unit("shop", TENANT) as shop:
                    await work(shop, what, seed)
            except TakenBack:
                history.take_back(what)
            else:
                history.acknowledge(what)

    await asyncio.gather(*(writer(number) for number in range(WRITERS)))
    return history


async def sell(shop: ShopService, what: int, seed: random.Random) -> int:
    return len(await shop.sell([what]))


async def lose_nothing(url: str, publisher: SlowPublisher, transactions: int) -> None:
    async with carried(url) as follower:
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
        progress=early,  # the follower followed while there was something to overtake
    )
    history.compare(number for _, number in heard).hold()


async def lines_of(url: str) -> list[tuple[str, int]]:
    async with Host(databases.SAMPLE, Settings(database_url=url)) as host:
        return await lines(host)


async def test_a_follower_misses_nothing_of_sixteen_writers(
    postgresql_url: str, full: bool
) -> None:
    await lose_nothing(postgresql_url, SlowPublisher(2, 0.01, 0.03), 500 if full else 15)


async def test_a_publisher_without_the_lock_is_found_out(postgresql_url: str, full: bool) -> None:
    with pytest.raises(GuaranteeBroken, match=r"lost [1-9]"):
        await lose_nothing(postgresql_url, TakesNoLock(2, 0.01, 0.03), 500 if full else 60)


async def change_price(shop: ShopService, what: int, seed: random.Random) -> int:
    """A first write that gives the transaction its id, and then one that waits for its key."""
    row = {"tenant": TENANT, "number": what, "buyer": "ada"}
    await shop.tx.insert_new(sales, [row], returning=["number"])
    await asyncio.sleep(seed.uniform(0, 0.005))  # the work, not a wait
    return await shop.change_price(f"article {seed.randrange(KEYS)}")


async def keep_order(url: str, delivery: type[Delivery], transactions: int) -> None:
    async with carried(url, delivery) as follower:
        async with Host(
            databases.SAMPLE, Settings(database_url=url), publisher=SlowPublisher(3, 0.002)
        ) as host:
            history = await write(host, transactions, change_price)
        early = len(await lines(follower))
    versions: dict[str, list[int]] = {}
    for article, version in await lines_of(url):
        versions.setdefault(article, []).append(version)
    planned = WRITERS * transactions
    insist(faults=0, wanted=0, tried=len(history.acknowledged), planned=planned, progress=early)
    inversions = sum(
        later <= earlier for heard in versions.values() for earlier, later in pairwise(heard)
    )
    skips = planned - sum(len(set(heard)) for heard in versions.values())
    if inversions or skips:
        raise GuaranteeBroken(f"{inversions} inversions, {skips} skips")


async def test_each_key_is_heard_in_order_without_a_gap(sample_url: str, full: bool) -> None:
    await keep_order(sample_url, Delivery, 300 if full else 15)


async def test_order_by_transaction_id_is_found_out(postgresql_url: str, full: bool) -> None:
    with pytest.raises(GuaranteeBroken, match=r"[1-9]\d* inversions"):
        await keep_order(postgresql_url, OrdersByXid, 300 if full else 15)
