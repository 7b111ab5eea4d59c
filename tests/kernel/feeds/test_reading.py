"""What `Feed` promises, asked directly."""

import asyncio

import pytest

from martech.kernel.feeds import Feed
from martech.kernel.host import Host
from martech.kernel.messages import wire_name
from tests.kernel.feeds.listeners import host_of
from tests.kernel.feeds.telling import change_price, sell, sell_folded
from tests.kernel.feeds.ways import Way
from tests.sample.shop.contract import PriceChanged, Sold

pytestmark = pytest.mark.anyio

SALES, PRICES = wire_name(Sold), wire_name(PriceChanged)


async def positions(feed: Feed, types: list[str], items: int) -> list[int]:
    """Those of all events of *types*, read page by page."""
    found: list[int] = []
    while page := await feed.read(after=max([0, *found]), types=types, items=items):
        assert sum(record.items for record in page) <= max(items, page[0].items)
        assert {record.type for record in page} <= set(types)
        found += [record.position for record in page]
    return found


async def test_pages_follow_each_other_without_gap_or_overlap(way: Way, shop: Host) -> None:
    await sell(shop, 0, 3)
    await change_price(shop, "tea", 2)
    await sell_folded(shop, 3, 13)
    await sell(shop, 13, 15)
    async with host_of(way) as host:
        feed = host.feed("shop")
        await way.arrived()
        for items in (1, 4, 500):
            assert await positions(feed, [SALES], items) == [1, 2, 3, 6, 7, 8]
            assert await positions(feed, [SALES, PRICES], items) == list(range(1, 9))
        assert await positions(feed, [PRICES], 500) == [4, 5]
        assert await positions(feed, [], 500) == []


async def test_an_event_comes_as_it_stands_in_the_outbox(way: Way, shop: Host) -> None:
    await sell(shop, 7, 8)
    async with host_of(way) as host:
        await way.arrived()
        (came,) = await host.feed("shop").read(after=0, types=[SALES])
    (stands,) = await shop.feed("shop").read(after=0, types=[SALES])
    assert bytes(came.data) == bytes(stands.data) == b'{"items":[{"buyer":"ada","number":7}]}'
    assert [getattr(came, name) for name in CARRIED] == [getattr(stands, name) for name in CARRIED]


CARRIED = (
    *("position", "id", "source", "type", "tenant", "subject", "time", "items"),
    *("correlationid", "causationid", "traceparent"),
)


async def test_how_much_there_is_is_known_before_it_is_read(way: Way, shop: Host) -> None:
    async with host_of(way) as host:
        feed = host.feed("shop")
        assert await feed.head([SALES]) == 0
        await sell(shop, 0, 2)
        await sell_folded(shop, 2, 12)
        await change_price(shop, "tea", 1)
        assert (await feed.head([SALES]), await feed.head([SALES, PRICES])) == (3, 4)
        assert (await feed.head([]), await feed.head(["shop.unheard_of.v1"])) == (0, 0)
        assert [await feed.waiting(after=after, types=[SALES]) for after in (0, 2, 3)] == [
            12,
            10,
            0,
        ]
        assert await feed.waiting(after=0, types=[]) == 0


async def test_who_watches_is_woken_by_what_another_process_tells(way: Way, shop: Host) -> None:
    woken, number = asyncio.Event(), 0
    async with host_of(way) as host:
        watching = asyncio.create_task(host.feed("shop").watch(woken.set))
        try:
            async with asyncio.timeout(30):
                while not woken.is_set():
                    await sell(shop, number, number + 1)
                    number += 1
        finally:
            watching.cancel()
            await asyncio.wait([watching])
    assert watching.cancelled()
