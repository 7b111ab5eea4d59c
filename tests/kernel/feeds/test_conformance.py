"""What every feed keeps: the cases that Watermill puts to its transports, in our words."""

import pytest

from martech.kernel.bus import Bus
from martech.kernel.host import Host
from tests.chaos.loads import TENANT, lines
from tests.kernel.feeds.ledgers import twofold
from tests.kernel.feeds.listeners import by_what, host_of, listening
from tests.kernel.feeds.ways import Way

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def sell(shop: Host, first: int, after: int, buyer: str = "ada") -> None:
    """One event for each."""
    for number in range(first, after):
        await sell_folded(shop, number, number + 1, buyer)


async def sell_folded(shop: Host, first: int, after: int, buyer: str = "ada") -> None:
    """One event for all."""
    async with shop.unit("shop", TENANT) as service:
        await service.sell(range(first, after), buyer)


async def change_price(shop: Host, article: str, times: int) -> None:
    for _ in range(times):
        async with shop.unit("shop", TENANT) as service:
            await service.change_price(article)


async def test_what_is_told_arrives_once_and_in_order(
    way: Way, shop: Host, processes: int, full: bool
) -> None:
    each, folded = (9000, 1000) if full else (50, 500)
    async with listening(way, processes) as listeners:
        await sell(shop, 0, each)
        await sell_folded(shop, each, each + folded)
        written = await listeners.have(each + folded)
    assert by_what(written) == {"ada": list(range(each + folded))}


async def test_several_subscriptions_hear_everything_each(
    way: Way, shop: Host, processes: int
) -> None:
    async with listening(way, processes, twofold) as listeners:
        await sell(shop, 0, 30)
        written = await listeners.have(60)
    assert by_what(written) == {"ada": list(range(30)), "again ada": list(range(30))}


async def test_a_subscription_hears_its_own_types_only(way: Way, shop: Host) -> None:
    await sell(shop, 0, 5)
    await change_price(shop, "tea", 5)
    await sell(shop, 5, 10)
    async with host_of(way) as host:
        await way.arrived()
        await Bus(host).settle()
        assert by_what(await lines(host)) == {"ada": list(range(10)), "tea": [1, 2, 3, 4, 5]}


async def test_a_new_subscription_hears_what_was_told_before_it(way: Way, shop: Host) -> None:
    await sell(shop, 0, 20)
    async with host_of(way) as host:
        await way.arrived()
        await Bus(host).settle()
        assert by_what(await lines(host)) == {"ada": list(range(20))}
