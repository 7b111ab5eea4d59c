"""What Kafka carries, and what it says where something is missing. On both databases."""

import sys
from collections.abc import AsyncIterator

import pytest
from confluent_kafka import Consumer, TopicPartition

from martech.kernel.errors import Unavailable
from martech.kernel.feeds import Feed
from martech.kernel.feeds.kafka import KafkaBroker
from martech.kernel.feeds.relay import Relay
from martech.kernel.host import Host
from martech.kernel.outbox import Recorded
from martech.kernel.settings import Settings, SettingsError
from tests.chaos.loads import TENANT
from tests.kernel.feeds.topics import MockKafka
from tests.sample.shop.module import module as shop_module

pytestmark = pytest.mark.anyio

SOLD, PRICE = "shop.sold.v1", "shop.price_changed.v1"


@pytest.fixture
def cluster() -> MockKafka:
    return MockKafka()


@pytest.fixture
async def shop(sample_url: str) -> AsyncIterator[Host]:
    async with Host([shop_module], Settings(database_url=sample_url)) as host:
        yield host


@pytest.fixture
async def broker(cluster: MockKafka) -> AsyncIterator[KafkaBroker]:
    broker = KafkaBroker(cluster.url)
    yield broker
    await broker.close()


@pytest.fixture
async def feed(shop: Host, broker: KafkaBroker) -> AsyncIterator[Feed]:
    feed = broker.feed(shop.feed("shop"))
    yield feed
    await feed.close()


@pytest.fixture
def relay(shop: Host, broker: KafkaBroker) -> Relay:
    return Relay(shop.databases["shop"], broker, batch=50)


async def sell(shop: Host, times: int) -> None:
    """One event each."""
    for _ in range(times):
        async with shop.unit("shop", TENANT) as service:
            await service.sell([1000 - (await service.stock()).left])


async def change_prices(shop: Host, times: int) -> None:
    async with shop.unit("shop", TENANT) as service:
        for _ in range(times):
            await service.change_price("tea")


async def settle(relay: Relay) -> None:
    while await relay.step():
        pass


async def all_of(shop: Host) -> list[Recorded]:
    return await shop.feed("shop").read(after=0, types=[SOLD, PRICE])


async def test_a_page_is_that_of_the_outbox_whatever_is_asked(
    shop: Host, feed: Feed, relay: Relay
) -> None:
    for number in range(5):
        await sell(shop, 1 + number % 3)
        await change_prices(shop, number % 4)
        await settle(relay)
    record = shop.feed("shop")
    for types in ([SOLD], [PRICE], [SOLD, PRICE]):
        for items in (2, 500):
            for after in range(0, await shop.told("shop") + 2, 4):
                page = await feed.read(after=after, types=types, items=items)
                assert page == await record.read(after=after, types=types, items=items)


async def test_what_is_there_twice_is_heard_once(
    shop: Host, feed: Feed, broker: KafkaBroker
) -> None:
    await sell(shop, 6)
    records = await all_of(shop)
    for first, last in ((0, 4), (0, 4), (2, 5), (4, 6), (1, 3)):  # relays that did not know
        await broker.append("shop", None, records[first:last], after=first)
    assert await feed.read(after=0, types=[SOLD]) == records
    assert await feed.read(after=3, types=[SOLD]) == records[3:]
    assert await feed.read(after=6, types=[SOLD]) == []


async def test_a_hole_is_waited_at_until_what_is_missing_comes(
    shop: Host, feed: Feed, broker: KafkaBroker, relay: Relay
) -> None:
    await sell(shop, 9)
    records = await all_of(shop)
    await broker.append("shop", None, records[:3], after=0)
    await broker.append("shop", None, records[6:], after=6)
    assert await feed.read(after=0, types=[SOLD]) == records[:3]
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"behind position 3 and before 7.*republish shop"):
            await feed.read(after=3, types=[SOLD])
    await relay.republish(0, lambda reached, last: None)
    assert await feed.read(after=3, types=[SOLD]) == records[3:]
    assert await feed.read(after=0, types=[SOLD]) == records
    assert await relay.step() == 0, "it is copied no third time"


async def test_others_can_read_it_as_cloudevents(
    shop: Host, relay: Relay, cluster: MockKafka
) -> None:
    await change_prices(shop, 1)
    await settle(relay)
    (record,) = await all_of(shop)
    asked = {"bootstrap.servers": cluster.url.removeprefix("kafka://"), "group.id": "others"}
    consumer = Consumer(asked)
    consumer.assign([TopicPartition("martech.outbox.shop", 0, 0)])
    (message,) = consumer.consume(1, timeout=30)
    consumer.close()
    headers = dict(message.headers() or [])
    assert message.value() == b'{"article":"tea","version":1}'
    assert message.key() == b"tea"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == str(record.id).encode()
    assert headers["ce_type"] == PRICE.encode()
    assert headers["ce_source"] == b"/martech/shop"
    assert headers["ce_before"] == b"0"


async def test_while_kafka_is_away_everything_waits(shop: Host) -> None:
    broker = KafkaBroker("kafka://127.0.0.1:1")
    feed = broker.feed(shop.feed("shop"))
    await sell(shop, 1)
    with pytest.raises(Unavailable, match="Kafka does not carry the outbox of shop"):
        await Relay(shop.databases["shop"], broker).step()
    with pytest.raises(Unavailable):
        await feed.read(after=0, types=[SOLD])
    await feed.close()
    await broker.close()


def test_a_kafka_without_its_client_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    for name in [name for name in sys.modules if name.startswith("martech.kernel.feeds.kafka")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SettingsError, match=r"Install martech\[kafka\]"):
        Host([], Settings(broker_url="kafka://127.0.0.1:9092"))
