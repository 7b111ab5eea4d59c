"""M5 and M14: relays are killed and race, Redis is killed and forgets, and every effect is there
once. Between hosts, on both databases."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from martech.kernel.bus import Bus
from martech.kernel.errors import Unavailable
from martech.kernel.feeds.relay import Relay
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests.chaos.history import GuaranteeBroken, History, insist
from tests.chaos.loads import TENANT, lines
from tests.chaos.processes import KILLED, Child
from tests.chaos.relaying import MarksFirst, SmallRelay, TrimsOnPublish
from tests.kernel.feeds.streams import OwnRedis, copied, relay, settled
from tests.kernel.feeds.ways import Http
from tests.sample.ledger.module import module as ledger
from tests.sample.shop.module import module as shop

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]

PLACES = ("relay.before_publish", "relay.after_publish")
ROUND = 60
"""Sales for each fault: more than two relays copy before one of them dies."""


@dataclass
class Trial:
    """A shop that sells, relays of *kind*, and a ledger on another host that hears by Redis."""

    url: str
    kind: type[Relay]
    seed: random.Random
    redis: OwnRedis = field(default_factory=OwnRedis)
    history: History = field(default_factory=History)
    sold: int = 0
    faults: int = 0

    @property
    def there(self) -> Settings:
        return Settings(database_url=self.url, broker_url=self.redis.url)

    @asynccontextmanager
    async def between_hosts(self) -> AsyncIterator[tuple[Host, Host]]:
        """The shop's and the ledger's, with a bus that runs meanwhile."""
        record = Http(self.url)
        await self.redis.start()
        await record.begin()
        here = replace(record.settings, broker_url=self.redis.url)
        try:
            async with Host([shop], self.there) as sells, Host([ledger], here) as keeps:
                running = asyncio.create_task(Bus(keeps).run())
                try:
                    yield sells, keeps
                finally:
                    running.cancel()
                    with suppress(asyncio.CancelledError):
                        await running
        finally:
            await record.end()
            await self.redis.stop()

    async def sell(self, sells: Host, count: int) -> None:
        """Some here and some there, some many at once."""
        until = self.sold + count
        while self.sold < until:
            after = min(until, self.sold + self.seed.randint(1, 4))
            self.history.attempt(*range(self.sold, after))
            async with sells.unit("shop", TENANT) as service:
                await service.sell(range(self.sold, after), f"buyer {self.seed.randrange(9)}")
            self.history.acknowledge(*range(self.sold, after))
            self.sold = after

    async def judge(self, keeps: Host, wanted: int) -> None:
        """Nothing comes any more: compare."""
        before = len(await lines(keeps))
        bus = Bus(keeps)
        with suppress(Unavailable):  # a ledger that waits for what never comes has lost it
            await bus.settle()
        written = [number for _, number in await lines(keeps)]
        insist(
            faults=self.faults, wanted=wanted, tried=self.sold, planned=wanted * ROUND,
            progress=before,
        )  # fmt: skip
        self.history.compare(written).hold()


async def kill_relays(trial: Trial, kills: int) -> None:
    """Two at a time, until so many were killed around a publication."""
    async with trial.between_hosts() as (sells, keeps):
        racing: list[Child] = []
        while trial.faults < kills:
            await trial.sell(sells, ROUND)
            while len(racing) < 2:
                plan = f"{trial.seed.choice(PLACES)}=kill@{trial.seed.randint(1, 3)}"
                racing.append(Child(relay, trial.there, plan, trial.kind))
            while not (dead := [child for child in racing if await child.ended(0.02) is not None]):
                pass
            assert {await child.ended() for child in dead} == {KILLED}
            trial.faults += len(dead)
            racing = [child for child in racing if child not in dead]
        for child in racing:
            await child.kill()
        await settled(trial.there)
        one_to_one(await copied(trial.redis.url))
        await trial.judge(keeps, kills)


def one_to_one(at_the_broker: Sequence[tuple[int, bytes]]) -> None:
    """What is there twice is the same event, at the same position."""
    pairs = set(at_the_broker)
    if len(pairs) != len({position for position, _ in pairs}) or len(pairs) != len(dict(pairs)):
        raise GuaranteeBroken("one event has two positions at the broker, or one position two")


async def lose_redis(trial: Trial, times: int) -> None:
    """It forgets, or dies and comes back empty, by turns, while the shop sells; half of what is
    sold is at Redis and was not heard."""
    async with trial.between_hosts() as (sells, keeps):
        relaying = Child(relay, trial.there, "", trial.kind)
        assert await relaying.said() == "relaying"
        while trial.faults < times:
            await trial.sell(sells, ROUND // 2)
            await published(trial.redis)
            selling = asyncio.create_task(trial.sell(sells, ROUND // 2))
            if trial.faults % 2:
                await trial.redis.kill()
                await trial.redis.start()
            else:
                await trial.redis.forget()
            trial.faults += 1
            await selling
        await settled(trial.there, trial.kind)
        await relaying.kill()
        await trial.judge(keeps, times)


async def published(redis: OwnRedis) -> None:
    """Return once something of this round is there to be lost."""
    while not await copied(redis.url):
        pass


async def test_relays_that_race_and_are_killed_lose_nothing(sample_url: str, full: bool) -> None:
    await kill_relays(Trial(sample_url, SmallRelay, random.Random(5)), 100 if full else 5)


@pytest.mark.planted
async def test_a_mark_before_the_publication_is_found_out(sample_url: str, full: bool) -> None:
    trial = Trial(sample_url, MarksFirst, random.Random(5))
    with pytest.raises(GuaranteeBroken, match=r"lost [1-9]"):
        await kill_relays(trial, 100 if full else 5)


async def test_a_redis_that_forgets_and_dies_loses_nothing(sample_url: str, full: bool) -> None:
    await lose_redis(Trial(sample_url, SmallRelay, random.Random(14)), 20 if full else 3)


@pytest.mark.planted
async def test_an_outbox_that_is_trimmed_on_publication_is_found_out(
    sample_url: str, full: bool
) -> None:
    trial = Trial(sample_url, TrimsOnPublish, random.Random(14))
    with pytest.raises(GuaranteeBroken, match=r"lost [1-9]"):
        await lose_redis(trial, 20 if full else 3)
