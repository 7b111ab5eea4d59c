"""What every feed keeps: the cases that Watermill puts to its transports, in our words."""

import pytest

from martech.kernel.bus import Bus
from martech.kernel.bus.replay import replay
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests.chaos.loads import SlowPublisher, lines, set_aside
from tests.chaos.writers import WRITERS, write
from tests.chaos.writers import sell as sells
from tests.kernel.feeds.ledgers import REFUSED, divided, hesitant, superstitious, twofold
from tests.kernel.feeds.listeners import by_what, host_of, listening
from tests.kernel.feeds.telling import change_price, sell, sell_folded, tell_bytes
from tests.kernel.feeds.ways import Way
from tests.sample.shop.module import module as shop_module

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

NO_JSON = b'\xff{"items":'
LARGE = 12_000  # bytes of a buyer's name; five hundred of them are more than a page


async def test_what_is_told_arrives_once_and_in_order(
    way: Way, shop: Host, processes: int, full: bool
) -> None:
    each, folded = (9000, 1000) if full else (50, 500)
    async with listening(way, processes) as listeners:
        await sell(shop, 0, each)
        await sell_folded(shop, each, each + folded)
        written = await listeners.have(each + folded)
    assert by_what(written) == {"ada": list(range(each + folded))}


async def test_several_subscriptions_hear_everything_each(way: Way, shop: Host) -> None:
    async with listening(way, 3, twofold) as listeners:
        await sell(shop, 0, 30)
        written = await listeners.have(60)
    assert by_what(written) == {"ada": list(range(30)), "again ada": list(range(30))}


async def test_a_subscription_that_waits_holds_up_no_other(way: Way, shop: Host) -> None:
    async with listening(way, 1, divided) as listeners:
        await sell(shop, 0, 30)
        assert by_what(await listeners.have(30)) == {"ada": list(range(30))}
        assert await set_aside(listeners.host) == []
    async with listening(way, 1, twofold) as listeners:
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
    async with host_of(way, twofold) as host:
        await Bus(host).settle()
        written = by_what(await lines(host))
    assert written == {"ada": list(range(20)), "again ada": list(range(20))}


async def test_what_fails_is_told_again_and_what_follows_of_its_subject_waits(
    way: Way, shop: Host, processes: int
) -> None:
    async with listening(way, processes, hesitant) as listeners:
        await sell(shop, 0, REFUSED + 5)
        await sell(shop, 100, 110, "bob")
        written = await listeners.have(REFUSED + 15)
    assert by_what(written) == {"ada": list(range(REFUSED + 5)), "bob": list(range(100, 110))}


async def test_what_always_fails_is_parked_with_its_bytes_and_the_rest_goes_on(
    way: Way, shop: Host
) -> None:
    await sell_folded(shop, REFUSED - 3, REFUSED + 3)
    await tell_bytes(shop, NO_JSON)
    await sell(shop, 101, 105, "bob")
    async with host_of(way, superstitious) as host:
        await way.arrived()
        await Bus(host, patience=1).settle()
        parked = [(row.data, row.due_at) for row in await set_aside(host)]
        written = by_what(await lines(host))
    assert parked == [(b'{"buyer":"ada","number":13}', None), (NO_JSON, None)]
    assert written == {"ada": [10, 11, 12, 14, 15], "bob": [101, 102, 103, 104]}


async def test_who_comes_back_goes_on_where_it_was(way: Way, shop: Host) -> None:
    for first in (0, 20, 40):
        async with listening(way, 1) as listeners:
            await sell(shop, first, first + 20)
            await listeners.have(first + 10)  # and is killed, perhaps in the middle
    async with listening(way, 1) as listeners:
        assert by_what(await listeners.have(60)) == {"ada": list(range(60))}


async def test_others_take_over_from_whoever_is_killed(way: Way, shop: Host) -> None:
    async with listening(way, 3) as listeners:
        for first in (0, 20):
            await sell(shop, first, first + 10)
            await listeners.kill()
            await sell(shop, first + 10, first + 20)
            await listeners.have(first + 20)
        await listeners.begin(2)
        await sell(shop, 40, 60)
        assert by_what(await listeners.have(60)) == {"ada": list(range(60))}


async def test_a_replay_tells_everything_again(way: Way, shop: Host) -> None:
    await sell(shop, 0, 10)
    await sell_folded(shop, 10, 30)
    async with host_of(way) as host:
        await way.arrived()
        await Bus(host).settle()
        await replay(host, "ledger.write_sales_down", 5)
        await Bus(host).settle()
        written = await lines(host)
    assert [number for _, number in written] == [*range(30), *range(5, 30)]


async def test_positions_that_were_never_told_are_no_gap(
    way: Way, sample_url: str, full: bool
) -> None:
    publisher, each = SlowPublisher(5, 0.002, share=0.3), 50 if full else 5
    settings = Settings(database_url=sample_url)
    async with listening(way, 3) as listeners:
        async with Host([shop_module], settings, publisher=publisher) as host:
            history = await write(host, each, sells)
        assert history.taken_back
        written = await listeners.have(len(history.acknowledged))
    assert len(history.attempted) == each * WRITERS
    history.compare(number for _, number in written).hold()


async def test_an_event_may_be_larger_than_a_page(way: Way, shop: Host) -> None:
    buyer = "x" * LARGE
    await sell_folded(shop, 0, 500, buyer)
    await sell(shop, 500, 502)
    async with host_of(way) as host:
        await way.arrived()
        await Bus(host).settle()
        written = by_what(await lines(host))
    assert written == {buyer: list(range(500)), "ada": [500, 501]}
