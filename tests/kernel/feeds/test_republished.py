"""An outbox is copied anew, beside those who listen and those who copy; by each broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from martech.kernel import outbox
from martech.kernel.feeds import Feed, brokers, redis
from martech.kernel.feeds.broker import Broker, Mark
from martech.kernel.feeds.kafka import reading
from martech.kernel.feeds.relay import Relay
from martech.kernel.host import Host
from martech.kernel.outbox import Recorded
from martech.kernel.settings import Settings
from tests import databases, servers
from tests.kernel.feeds.telling import change_price, sell
from tests.kernel.feeds.topics import MockKafka
from tests.sample.shop.module import module as shop_module

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.one_database,
    pytest.mark.parametrize("feed", ["redis", "kafka"]),
]

SOLD, PRICE = "shop.sold.v1", "shop.price_changed.v1"


@pytest.fixture
async def broker(feed: str) -> AsyncIterator[Broker]:
    kafka = MockKafka() if feed == "kafka" else None
    made = brokers.broker(kafka.url if kafka else servers.fresh_redis())
    yield made
    await made.close()


@pytest.fixture
async def past(kind: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    """What the shop was, until its database was restored from a backup."""
    url = databases.fresh(kind, databases.SAMPLE, tmp_path_factory.mktemp("past"))
    async with Host([shop_module], Settings(database_url=url)) as host:
        yield host


@pytest.fixture
async def listener(shop: Host, broker: Broker) -> AsyncIterator[Feed]:
    listener = broker.feed(shop.feed("shop"))
    yield listener
    await listener.close()


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """They end after the first look."""
    monkeypatch.setattr(redis, "TURN", 0)
    monkeypatch.setattr(redis, "LOOKS", 4)
    monkeypatch.setattr(reading, "TURN", 0)
    monkeypatch.setattr(reading, "AT_ONCE", 4)


async def copy(host: Host, broker: Broker) -> None:
    relay = Relay(host.databases["shop"], broker)
    while await relay.step():
        pass


async def republish(host: Host, broker: Broker) -> None:
    await Relay(host.databases["shop"], broker).republish(0, lambda reached, last: None)


async def told(host: Host, *types: str, after: int = 0) -> list[Recorded]:
    return await host.feed("shop").read(after=after, types=types)


async def test_whoever_had_looked_through_another_past_hears_what_is_true(
    past: Host, shop: Host, broker: Broker, listener: Feed
) -> None:
    await sell(past, 0, 2)
    await change_price(past, "tea", 8)
    await copy(past, broker)
    assert await listener.read(after=2, types=[SOLD]) == []
    await sell(shop, 0, 6)  # of which two were in the backup
    await change_price(shop, "tea", 8)
    await republish(shop, broker)
    assert await listener.read(after=2, types=[SOLD]) == await told(shop, SOLD, after=2)


async def test_whoever_is_new_hears_what_is_true(past: Host, shop: Host, broker: Broker) -> None:
    await sell(past, 0, 10)
    await copy(past, broker)
    await change_price(shop, "tea", 12)
    await republish(shop, broker)
    listener = broker.feed(shop.feed("shop"))
    for after in (0, 5):
        heard = await listener.read(after=after, types=[SOLD, PRICE])
        assert heard == await told(shop, SOLD, PRICE, after=after)
    await listener.close()


async def test_whoever_is_behind_hears_no_more_of_another_past(
    past: Host, shop: Host, broker: Broker, listener: Feed
) -> None:
    await sell(past, 0, 40)
    await copy(past, broker)
    assert len(await listener.read(after=0, types=[SOLD], items=2)) == 2
    await sell(shop, 0, 40, "bob")
    await republish(shop, broker)
    assert await listener.read(after=2, types=[SOLD], items=2) == (await told(shop, SOLD))[2:4]
    assert await listener.read(after=4, types=[SOLD]) == await told(shop, SOLD, after=4)


@pytest.mark.usefixtures("short_pages")
async def test_whoever_is_looking_through_another_past_begins_anew(
    past: Host, shop: Host, broker: Broker, listener: Feed
) -> None:
    await sell(past, 0, 1)
    await change_price(past, "tea", 40)
    await copy(past, broker)
    assert await listener.read(after=1, types=[SOLD]) == []
    await sell(shop, 0, 3)
    await change_price(shop, "tea", 40)
    await republish(shop, broker)
    assert (await listener.read(after=1, types=[SOLD]))[0] == (await told(shop, SOLD))[1]


async def test_an_outbox_that_tells_nothing_any_more_is_empty_for_listeners_too(
    past: Host, shop: Host, broker: Broker, listener: Feed
) -> None:
    await sell(past, 0, 3)
    await copy(past, broker)
    await republish(shop, broker)
    assert await broker.mark("shop") is None
    assert await listener.read(after=0, types=[SOLD]) == []
    await sell(shop, 0, 1)
    await copy(shop, broker)
    assert await listener.read(after=0, types=[SOLD]) == await told(shop, SOLD)


@pytest.mark.usefixtures("short_pages")
async def test_a_page_in_which_nothing_is_found_ends_in_time_and_is_gone_on_with(
    shop: Host, broker: Broker, listener: Feed
) -> None:
    await change_price(shop, "tea", 40)
    await sell(shop, 0, 1)
    await copy(shop, broker)
    assert await listener.read(after=0, types=[SOLD]) == []
    woken, pages = asyncio.Event(), 1
    watching = asyncio.create_task(listener.watch(woken.set))
    async with asyncio.timeout(60):
        await woken.wait()  # it watches
        while not (page := await listener.read(after=0, types=[SOLD])):
            await woken.wait()
            woken.clear()
            pages += 1
    assert page == await told(shop, SOLD)
    assert pages >= 40 / 8
    watching.cancel()
    await asyncio.wait([watching])


class Held(Relay):
    """Is held up when it has read what it is going to publish."""

    def __init__(self, host: Host, broker: Broker) -> None:
        super().__init__(host.databases["shop"], broker, batch=5)
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    async def _publish(self, mark: Mark | None, records: list[Recorded], after: int) -> bool:
        self.reached.set()
        await self.go.wait()
        return await super()._publish(mark, records, after)


class Audible(Relay):
    """Says when it has copied, or was not let."""

    def __init__(self, host: Host, broker: Broker) -> None:
        super().__init__(host.databases["shop"], broker, batch=5)
        self.stepped = asyncio.Event()

    async def step(self, *, anew: int | None = None) -> int:
        copied = await super().step(anew=anew)
        self.stepped.set()
        return copied


async def test_beside_a_relay_that_has_something_in_hand_everything_is_copied(
    shop: Host, broker: Broker, listener: Feed
) -> None:
    await sell(shop, 0, 20)
    newest = await told(shop, SOLD, after=10)
    assert await broker.append("shop", None, newest, after=10), "its oldest events are gone"
    await sell(shop, 20, 21)
    running, republishing = Held(shop, broker), Audible(shop, broker)
    step = asyncio.create_task(running.step())
    await running.reached.wait()
    whole = asyncio.create_task(republishing.republish(0, lambda reached, last: None))
    await republishing.stepped.wait()
    running.go.set()
    await step
    assert await whole == 21
    assert await listener.read(after=0, types=[SOLD]) == await told(shop, SOLD)


async def test_nobody_copies_while_another_process_does(shop: Host, broker: Broker) -> None:
    await sell(shop, 0, 3)
    running, other = Held(shop, broker), Relay(shop.databases["shop"], broker)
    step = asyncio.create_task(running.step())
    await running.reached.wait()
    assert await other.step() == 0
    assert await broker.mark("shop") is None
    running.go.set()
    assert await step == 3


class Late(Relay):
    """Has looked at the outbox when another tells and copies."""

    async def copy_after(self, meanwhile: Callable[[], Awaitable[None]]) -> int:
        async with self._database.across(write=False) as connection:
            await outbox.last(connection, self._database.metadata)
            await meanwhile()
            return await self._copy(connection, None)


async def test_what_was_told_and_copied_since_it_looked_is_no_other_past(
    shop: Host, broker: Broker
) -> None:
    """Its transaction sees the outbox as it was before it had the lock."""
    late = Late(shop.databases["shop"], broker)

    async def meanwhile() -> None:
        await sell(shop, 0, 3)
        await copy(shop, broker)

    assert await late.copy_after(meanwhile) == 0
    assert (mark := await broker.mark("shop")) is not None
    assert mark.position == 3


async def test_one_who_dies_before_a_later_copy_is_begun_has_changed_nothing(
    shop: Host, broker: Broker, listener: Feed
) -> None:
    await sell(shop, 0, 10)
    await copy(shop, broker)
    republishing = Held(shop, broker)
    begun = asyncio.create_task(republishing.step(anew=7))
    await republishing.reached.wait()
    begun.cancel()
    await asyncio.wait([begun])
    assert await Relay(shop.databases["shop"], broker).step() == 0
    assert await listener.read(after=0, types=[SOLD]) == await told(shop, SOLD)


async def test_a_copy_that_begins_later_is_not_begun_before_by_another_process(
    shop: Host, broker: Broker, listener: Feed
) -> None:
    await sell(shop, 0, 10)
    await copy(shop, broker)
    republishing = Held(shop, broker)
    begun = asyncio.create_task(republishing.step(anew=7))
    await republishing.reached.wait()
    assert await Relay(shop.databases["shop"], broker).step() == 0
    republishing.go.set()
    assert await begun == 3
    assert await listener.read(after=7, types=[SOLD]) == await told(shop, SOLD, after=7)
