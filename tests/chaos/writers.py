"""Sixteen who write to the shop at once, and what came of it in the ledger."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise

from martech.kernel.host import Host
from tests.chaos.history import GuaranteeBroken, History
from tests.chaos.loads import TENANT, TakenBack
from tests.sample.shop.service import ShopService
from tests.sample.shop.tables import sales

WRITERS = 16
KEYS = 20

Work = Callable[[ShopService, int, random.Random], Awaitable[int]]


async def write(host: Host, transactions: int, work: Work) -> History:
    """Each does *work* in *transactions* units of its own."""
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


async def change_price(shop: ShopService, what: int, seed: random.Random) -> int:
    """A first write that gives the transaction its id, and then one that waits for its key."""
    row = {"tenant": TENANT, "number": what, "buyer": "ada"}
    await shop.tx.insert_new(sales, [row], returning=["number"])
    await asyncio.sleep(seed.uniform(0, 0.005))  # the work, not a wait
    return await shop.change_price(f"article {seed.randrange(KEYS)}")


def in_order(heard: Iterable[tuple[str, int]], changes: int) -> None:
    """Raise `GuaranteeBroken` unless *changes* of prices were heard, each article's in order and
    without a gap."""
    versions: dict[str, list[int]] = {}
    for article, version in heard:
        versions.setdefault(article, []).append(version)
    inversions = sum(
        later <= earlier for each in versions.values() for earlier, later in pairwise(each)
    )
    skips = changes - sum(len(set(each)) for each in versions.values())
    if inversions or skips:
        raise GuaranteeBroken(f"{inversions} inversions, {skips} skips")
