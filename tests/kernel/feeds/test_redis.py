"""What Redis carries, and what it says where something is missing."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from martech.app import work
from martech.kernel.errors import Unavailable
from martech.kernel.feeds import Feed
from martech.kernel.feeds.broker import Mark
from martech.kernel.feeds.redis import LOOKS, RedisBroker, stream
from martech.kernel.feeds.relay import Relay
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases, servers
from tests.chaos.loads import TENANT
from tests.kernel.feeds.children import SECRET
from tests.kernel.feeds.streams import OwnRedis, copied
from tests.sample.shop.module import module as shop_module

pytestmark = [pytest.mark.anyio, pytest.mark.one_database]

SOLD, PRICE = "shop.sold.v1", "shop.price_changed.v1"


@pytest.fixture
def url() -> str:
    return servers.fresh_redis()


@pytest.fixture
async def redis(url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(url) as client:
        yield client


@pytest.fixture
async def shop(sample_url: str, url: str) -> AsyncIterator[Host]:
    settings = Settings(database_url=sample_url, broker_url=url)
    async with Host([shop_module], settings) as host:
        yield host


@pytest.fixture
async def broker(url: str) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker(url)
    yield broker
    await broker.close()


@pytest.fixture
def feed(shop: Host, broker: RedisBroker) -> Feed:
    return broker.feed(shop.feed("shop"))


@pytest.fixture
def relay(shop: Host, broker: RedisBroker) -> Relay:
    return Relay(shop.databases["shop"], broker, batch=50)


async def sell(shop: Host, first: int, after: int) -> None:
    async with shop.unit("shop", TENANT) as service:
        await service.sell(range(first, after))


async def change_prices(shop: Host, times: int, article: str = "tea") -> None:
    async with shop.unit("shop", TENANT) as service:
        for _ in range(times):
            await service.change_price(article)


async def settle(relay: Relay) -> None:
    while await relay.step():
        pass


async def test_a_page_is_that_of_the_outbox_whatever_is_asked(
    shop: Host, feed: Feed, relay: Relay
) -> None:
    for number in range(0, 60, 6):
        await sell(shop, number, number + 1 + number % 5)
        await change_prices(shop, number % 7)
    await settle(relay)
    record = shop.feed("shop")
    last = await shop.told("shop")
    for types in ([SOLD], [PRICE], [SOLD, PRICE]):
        for items in (1, 3, 500):
            for after in range(last + 2):
                asked = {"after": after, "types": types, "items": items}
                assert await feed.read(**asked) == await record.read(**asked), asked  # type: ignore[arg-type]
        assert await feed.head(types) == await record.head(types)
        assert await feed.waiting(after=7, types=types) == await record.waiting(
            after=7, types=types
        )


async def test_large_events_come_a_few_at_a_time(shop: Host, feed: Feed, relay: Relay) -> None:
    for number in range(5):
        async with shop.unit("shop", TENANT) as service:
            await service.sell([number], "a very long name " * 90_000)
    await settle(relay)
    assert [len(await feed.read(after=after, types=[SOLD])) for after in (0, 2, 4)] == [2, 2, 1]


async def test_what_nobody_here_waits_for_is_looked_through_once(
    shop: Host, feed: Feed, relay: Relay, redis: Redis
) -> None:
    await sell(shop, 0, 1)
    await change_prices(shop, LOOKS + 10)
    await settle(relay)
    assert await feed.read(after=1, types=[SOLD]) == []
    await redis.xtrim(stream("shop"), minid=f"{LOOKS}-0")  # who looked again would find a hole
    await sell(shop, 1, 2)
    await settle(relay)
    (record,) = await feed.read(after=1, types=[SOLD])
    assert record.position == LOOKS + 12


async def test_a_hole_is_waited_at_and_never_stepped_over(
    shop: Host, feed: Feed, relay: Relay, redis: Redis
) -> None:
    for number in range(10):
        await sell(shop, number, number + 1)
    await settle(relay)
    await redis.xdel(stream("shop"), "6-0")
    assert [r.position for r in await feed.read(after=2, types=[SOLD])] == [3, 4, 5]
    with pytest.raises(Unavailable, match=r"behind position 5 and before 7: .*republish shop"):
        await feed.read(after=5, types=[SOLD])
    with pytest.raises(Unavailable):
        await feed.read(after=5, types=[PRICE])
    assert [r.position for r in await feed.read(after=6, types=[SOLD])] == [7, 8, 9, 10]
    await relay.republish(0, lambda reached, last: None)
    assert len(await feed.read(after=0, types=[SOLD])) == 10


async def test_a_trimmed_beginning_stops_who_has_not_read_it_and_nobody_else(
    shop: Host, feed: Feed, relay: Relay, redis: Redis
) -> None:
    for number in range(10):
        await sell(shop, number, number + 1)
    await settle(relay)
    await redis.xtrim(stream("shop"), maxlen=4, approximate=False)
    with pytest.raises(Unavailable, match="behind position 0 and before 7"):
        await feed.read(after=0, types=[SOLD])
    assert len(await feed.read(after=6, types=[SOLD])) == 4


async def test_what_was_emptied_is_copied_again(shop: Host, relay: Relay, redis: Redis) -> None:
    await sell(shop, 0, 3)
    await sell(shop, 3, 6)
    await settle(relay)
    was = await redis.xrange(stream("shop"))
    await redis.xtrim(stream("shop"), maxlen=0)  # it would still refuse the ids that it had
    await settle(relay)
    assert await redis.xrange(stream("shop")) == was
    await redis.flushall()
    await settle(relay)
    assert await redis.xrange(stream("shop")) == was


async def test_nothing_is_added_behind_an_end_that_has_moved(
    shop: Host, broker: RedisBroker, url: str, relay: Relay
) -> None:
    for number in range(3):
        await sell(shop, number, number + 1)
    records = await shop.feed("shop").read(after=0, types=[SOLD])
    assert await broker.append("shop", None, records[:2], after=0)
    mark = await broker.mark("shop")
    assert mark == Mark(2, records[1].id)
    assert not await broker.append("shop", None, records, after=0)
    assert not await broker.append("shop", Mark(1, records[0].id), records[1:], after=1)
    assert await broker.append("shop", mark, records[2:], after=2)
    assert [position for position, _ in await copied(url)] == [1, 2, 3]


async def test_two_relays_of_one_module_copy_everything_once(
    shop: Host, sample_url: str, url: str, relay: Relay
) -> None:
    for number in range(200):
        await sell(shop, number, number + 1)
    async with Host([shop_module], Settings(database_url=sample_url, broker_url=url)) as other:
        assert other.broker
        second = Relay(other.databases["shop"], other.broker, batch=7)
        while len(await copied(url)) < 200:
            await asyncio.gather(relay.step(), second.step())
    assert [position for position, _ in await copied(url)] == list(range(1, 201))


async def test_another_database_is_not_copied_behind_the_first(
    shop: Host,
    relay: Relay,
    broker: RedisBroker,
    kind: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    await sell(shop, 0, 1)
    await settle(relay)
    elsewhere = databases.fresh(kind, databases.SAMPLE, tmp_path_factory.mktemp("elsewhere"))
    async with Host([shop_module], Settings(database_url=elsewhere)) as restored:
        anew = Relay(restored.databases["shop"], broker)
        with pytest.raises(Unavailable, match=r"position 1 that its outbox does not have"):
            await anew.step()
        await sell(restored, 0, 1)
        with pytest.raises(Unavailable, match="republish shop"):
            await anew.step()
        await anew.republish(0, lambda reached, last: None)
        assert await anew.step() == 0


async def test_while_redis_is_away_the_module_goes_on_and_is_copied_afterwards(
    shop: Host,
) -> None:
    own = OwnRedis()
    broker = RedisBroker(own.url)
    relay, feed = Relay(shop.databases["shop"], broker), broker.feed(shop.feed("shop"))
    await sell(shop, 0, 1)
    with pytest.raises(Unavailable, match="Redis does not carry the outbox of shop"):
        await relay.step()
    with pytest.raises(Unavailable):
        await feed.read(after=0, types=[SOLD])
    await sell(shop, 1, 2)
    await own.start()
    try:
        await settle(relay)
        assert len(await feed.read(after=0, types=[SOLD])) == 2
        await own.kill()
        with pytest.raises(Unavailable):
            await feed.read(after=0, types=[SOLD])
        await own.start()
        await settle(relay)
        assert len(await feed.read(after=0, types=[SOLD])) == 2
    finally:
        await broker.close()
        await own.stop()


@pytest.mark.parametrize(
    ("appendonly", "policy", "said"),
    [
        ("no", "noeviction", ["writes nothing down"]),
        ("yes", "allkeys-lru", ["allkeys-lru"]),
        ("no", "allkeys-lru", ["writes nothing down", "allkeys-lru"]),
        ("yes", "volatile-ttl", []),
    ],
)
async def test_a_redis_that_may_forget_is_warned_of(
    appendonly: str, policy: str, said: list[str]
) -> None:
    own = OwnRedis()
    await own.start()
    broker = RedisBroker(own.url.replace("redis://", "redis://:hidden@"))
    try:
        async with Redis.from_url(own.url) as client:
            await client.config_set("requirepass", "hidden")
        async with Redis.from_url(own.url, password="hidden") as client:
            await client.config_set("appendonly", appendonly)
            await client.config_set("maxmemory-policy", policy)
        warning = await broker.warning()
        assert (warning is not None) == bool(said)
        for part in said:
            assert part in (warning or "")
        assert "hidden" not in (warning or "")
        assert not said or "Nothing is lost by that" in (warning or "")
    finally:
        await broker.close()
        await own.kill()  # asked to end, it would finish its first append-only file


async def test_whether_a_key_is_revoked_is_not_asked_of_a_broker_that_may_forget(url: str) -> None:
    settings = Settings(broker_url=url, peers={"access": "http://127.0.0.1:1"}, peer_secret=SECRET)
    async with Host([], settings) as host:
        issuer = host.issuer()
        assert issuer
        with pytest.raises(Unavailable, match="access cannot be reached"):
            await issuer.read(after=0, types=["access.revoked.v1"])
        assert await host.feed("access").read(after=0, types=["access.revoked.v1"]) == []


async def test_whoever_works_for_a_module_copies_it_and_warns_of_a_redis_that_forgets(
    shop: Host, sample_url: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(database_url=sample_url, broker_url=url)
    with caplog.at_level(logging.WARNING, "martech.kernel.feeds.relay"):
        working = asyncio.create_task(work(settings, modules=[shop_module]))
        number = 0
        while len(await copied(url)) < 3:  # told by another process
            await sell(shop, number, number + 1)
            number += 1
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    assert "may forget what it carries" in caplog.text
