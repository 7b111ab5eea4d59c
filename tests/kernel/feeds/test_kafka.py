"""What Kafka carries, and what it says where something is missing."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from threading import Event

import pytest
from anyio.lowlevel import checkpoint
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

from martech.kernel.errors import Unavailable
from martech.kernel.feeds import Feed
from martech.kernel.feeds.broker import Mark
from martech.kernel.feeds.kafka import KEPT, KafkaBroker, KafkaFeed, ToSend
from martech.kernel.feeds.kafka.cluster import Cluster, Seldom, Shared
from martech.kernel.feeds.kafka.entry import Copy, Headers, headers_of
from martech.kernel.feeds.relay import Relay
from martech.kernel.host import Host
from martech.kernel.outbox import Recorded
from martech.kernel.settings import Settings, SettingsError
from tests.chaos.loads import TENANT
from tests.kernel.feeds.topics import MockKafka, Tansu, address, held, with_option
from tests.sample.shop.module import module as shop_module

pytestmark = [pytest.mark.anyio, pytest.mark.one_database]

KINDS = ("FAIL", "FAIL", "CONFWARN", "FAIL", "CONFWARN")
SOLD, PRICE = "shop.sold.v1", "shop.price_changed.v1"


@pytest.fixture(params=["mock", "tansu"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    if request.param == "mock":
        cluster = MockKafka()
        yield cluster.url
    else:
        tansu = Tansu()
        await tansu.start()
        yield tansu.url
        await tansu.kill()


@pytest.fixture
async def shop(sample_url: str) -> AsyncIterator[Host]:
    async with Host([shop_module], Settings(database_url=sample_url)) as host:
        yield host


@pytest.fixture
async def broker(url: str) -> AsyncIterator[KafkaBroker]:
    broker = KafkaBroker(url)
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


async def test_nothing_is_heard_that_was_added_behind_an_end_that_has_moved(
    shop: Host, feed: Feed, broker: KafkaBroker, relay: Relay
) -> None:
    await sell(shop, 6)
    records = await all_of(shop)
    assert await broker.append("shop", None, records[:3], after=0)
    mark = await broker.mark("shop")
    assert mark == Mark(3, records[2].id)
    for first, last in ((0, 4), (2, 5), (4, 6), (1, 3)):
        assert not await broker.append("shop", None, records[first:last], after=first)
        seen = Mark(first, records[first - 1].id)
        assert not await broker.append("shop", seen, records[first:last], after=first)
    assert await broker.append("shop", mark, records[3:5], after=3)
    assert await feed.read(after=0, types=[SOLD]) == records[:5]
    assert await relay.step() == 1


class Late(KafkaBroker):
    """Is held up between its look at the end and what it sends."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.looked, self.go = Event(), Event()

    def _send(self, source: str, messages: Sequence[ToSend]) -> int | None:
        self.looked.set()
        assert self.go.wait(30)
        return super()._send(source, messages)


@pytest.mark.parametrize("first", [0, 3], ids=["of nothing", "of a part"])
async def test_of_two_relays_that_saw_the_same_end_the_later_is_not_heard(
    shop: Host, feed: Feed, broker: KafkaBroker, url: str, relay: Relay, first: int
) -> None:
    await sell(shop, 9)
    records = await all_of(shop)
    assert not first or await broker.append("shop", None, records[:first], after=0)
    mark, late = await broker.mark("shop"), Late(url)
    held = asyncio.create_task(late.append("shop", mark, records[first : first + 2], after=first))
    assert await asyncio.to_thread(late.looked.wait, 30)
    assert await broker.append("shop", mark, records[first : first + 4], after=first)
    late.go.set()
    assert not await held
    assert await feed.read(after=0, types=[SOLD]) == records[: first + 4]
    assert await broker.mark("shop") == Mark(first + 4, records[first + 3].id)
    await settle(relay)
    assert await feed.read(after=first + 1, types=[SOLD]) == records[first + 1 :]
    assert await broker.feed(shop.feed("shop")).read(after=0, types=[SOLD]) == records
    await late.close()


async def test_behind_an_event_that_kafka_refused_nothing_counts(
    shop: Host, feed: Feed, broker: KafkaBroker, url: str, relay: Relay
) -> None:
    await sell(shop, 5)
    records = await all_of(shop)
    copy = Copy.anew(0)
    sent = [(records[n], headers_of(records[n], n, copy, n)) for n in range(5)]
    send(url, [sent[0], *sent[2:]])  # the second was larger than it takes
    assert await feed.read(after=0, types=[SOLD]) == records[:1]
    assert await broker.mark("shop") == Mark(1, records[0].id)
    await settle(relay)
    assert await feed.read(after=1, types=[SOLD]) == records[1:]
    assert await feed.read(after=0, types=[SOLD]) == records


def send(url: str, messages: Sequence[tuple[Recorded, Headers]]) -> None:
    producer = Producer({"bootstrap.servers": address(url), "batch.num.messages": 1})
    for record, headers in messages:
        producer.produce("martech.outbox.shop", bytes(record.data), partition=0, headers=headers)
    assert producer.flush(30) == 0


@pytest.mark.parametrize("since", [0, 2], ids=["from the beginning", "from its middle"])
async def test_a_copy_without_its_beginning_is_followed_by_nobody(
    shop: Host, feed: Feed, broker: KafkaBroker, url: str, relay: Relay, since: int
) -> None:
    """A broker that dies and forgets while it is sent to may keep the end of what was sent last,
    behind something that was sent before."""
    await sell(shop, 9)
    records = await all_of(shop)
    one, other = Copy.anew(0), Copy.anew(since)
    kept = [(records[n], headers_of(records[n], n, one, n)) for n in range(since + 1)]
    rest = [(records[n], headers_of(records[n], n, other, n)) for n in range(since + 1, 6)]
    send(url, [*kept, *rest])
    assert await feed.read(after=0, types=[SOLD]) == records[: since + 1]
    assert await broker.mark("shop") == Mark(since + 1, records[since].id)
    await settle(relay)
    assert await feed.read(after=since + 1, types=[SOLD]) == records[since + 1 :]
    assert await feed.read(after=0, types=[SOLD]) == records
    assert await broker.feed(shop.feed("shop")).read(after=0, types=[SOLD]) == records


async def test_after_a_failure_nothing_is_sent_behind_what_is_refused(
    shop: Host, feed: Feed, url: str
) -> None:
    async with shop.unit("shop", TENANT) as service:
        await service.change_price("tea")
        await service.change_price("x" * 20_000)
        await service.change_price("tea")
    broker = KafkaBroker(with_option(url, "message.max.bytes=9000"))
    for _ in range(3):
        with pytest.raises(Unavailable, match="too large"):
            await Relay(shop.databases["shop"], broker).step()
    assert held(url, "martech.outbox.shop") == 1
    assert [r.position for r in await feed.read(after=0, types=[PRICE])] == [1]
    await broker.close()


class Stumbling(Consumer):
    """Once something is wrong in the middle of what it was to fetch."""

    stumbled = False

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        found = super().consume(num_messages, timeout)
        if len(found) < 3 or self.stumbled:
            return found
        self.stumbled = True
        return [*found[:2], Message(error=KafkaError(KafkaError._ALL_BROKERS_DOWN))]


class Unsteady(Cluster):
    def consumer(self) -> Consumer:
        return Stumbling(self.consuming)


async def test_what_came_before_an_error_is_fetched_again(
    shop: Host, relay: Relay, url: str
) -> None:
    feed = KafkaFeed(Unsteady(url), shop.feed("shop"))
    await sell(shop, 1)
    await settle(relay)
    assert len(await feed.read(after=0, types=[SOLD])) == 1
    await sell(shop, 6)
    await settle(relay)
    with pytest.raises(Unavailable, match="ALL_BROKERS_DOWN"):
        await feed.read(after=1, types=[SOLD])
    assert await feed.read(after=1, types=[SOLD]) == (await all_of(shop))[1:]
    await feed.close()


async def test_a_hole_is_waited_at_until_what_is_missing_comes(
    shop: Host, feed: Feed, broker: KafkaBroker, relay: Relay
) -> None:
    await sell(shop, 9)
    records = await all_of(shop)
    await broker.append("shop", None, records[:3], after=0)
    await broker.append("shop", Mark(3, records[2].id), records[6:], after=6)
    assert await feed.read(after=0, types=[SOLD]) == records[:3]
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"behind position 3 and before 7.*republish shop"):
            await feed.read(after=3, types=[SOLD])
    assert await feed.read(after=6, types=[SOLD]) == records[6:], "who heard the rest goes on"
    await relay.republish(0, lambda reached, last: None)
    assert await feed.read(after=3, types=[SOLD]) == records[3:]
    assert await feed.read(after=0, types=[SOLD]) == records
    assert await relay.step() == 0, "it is copied no third time"


async def test_others_can_read_it_as_cloudevents(shop: Host, relay: Relay, url: str) -> None:
    await change_prices(shop, 1)
    await sell(shop, 1)
    await settle(relay)
    record, _ = await all_of(shop)
    consumer = Consumer({"bootstrap.servers": address(url), "group.id": "others"})
    consumer.assign([TopicPartition("martech.outbox.shop", 0, 0)])
    message, folded = consumer.consume(2, timeout=30)
    consumer.close()
    assert "ce_subject" not in dict(folded.headers() or []), "CloudEvents has no empty ones"
    headers = dict(message.headers() or [])
    assert message.value() == b'{"article":"tea","version":1}'
    assert message.key() == b"tea"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == str(record.id).encode()
    assert headers["ce_subject"] == b"tea"
    assert headers["ce_type"] == PRICE.encode()
    assert headers["ce_source"] == b"/martech/shop"
    assert headers["ce_before"] == b"0"


@pytest.mark.parametrize("url", ["tansu"], indirect=True)  # the mock makes no topics
async def test_of_a_topic_that_is_made_here_nothing_is_dropped(
    shop: Host, url: str, relay: Relay
) -> None:
    await sell(shop, 1)
    await settle(relay)
    topic = ConfigResource(ConfigResource.Type.TOPIC, "martech.outbox.shop")
    admin = AdminClient({"bootstrap.servers": address(url)})
    kept = await asyncio.to_thread(admin.describe_configs([topic])[topic].result, 30)
    assert {name: kept[name].value for name in KEPT} == KEPT


async def test_while_kafka_is_away_everything_waits(shop: Host) -> None:
    broker = KafkaBroker("kafka://127.0.0.1:1?socket.timeout.ms=300")
    feed = broker.feed(shop.feed("shop"))
    await sell(shop, 1)
    with pytest.raises(Unavailable, match="Kafka does not carry the outbox of shop"):
        await Relay(shop.databases["shop"], broker).step()
    with pytest.raises(Unavailable):
        await feed.read(after=0, types=[SOLD])
    await feed.close()
    await broker.close()


def test_that_a_connection_has_failed_is_said_seldom_and_all_else_each_time() -> None:
    seldom = Seldom()
    said = [logging.makeLogRecord({"args": (kind, "rdkafka#1", "refused")}) for kind in KINDS]
    assert [seldom.filter(record) for record in said] == [True, False, True, False, True]


async def test_who_waits_for_a_consumer_that_is_closed_waits_in_vain_and_no_longer() -> None:
    """Eight relays that ask one after the other would hold up the end of a process."""
    shared, entered, go = Shared(Cluster("kafka://127.0.0.1:1").looking), Event(), Event()

    def hold(wait: bool) -> None:
        with shared.held():
            entered.set()
            assert not wait or go.wait(30)

    first = asyncio.create_task(asyncio.to_thread(hold, True))
    assert await asyncio.to_thread(entered.wait, 30)
    closing = asyncio.create_task(asyncio.to_thread(shared.close))
    while not shared.closing:
        await checkpoint()
    second = asyncio.create_task(asyncio.to_thread(hold, False))
    go.set()
    await first
    await closing
    with pytest.raises(KafkaException, match="_DESTROY"):
        await second


def test_a_kafka_without_its_client_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    for name in [name for name in sys.modules if name.startswith("martech.kernel.feeds.kafka")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SettingsError, match=r"Install martech\[kafka\]"):
        Host([], Settings(broker_url="kafka://127.0.0.1:9092"))
