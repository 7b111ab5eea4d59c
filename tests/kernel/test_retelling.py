"""Whatever a subscription has to say it says when it hears of it first, and in no replay. On both
databases."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from martech.kernel.bus import Bus
from martech.kernel.bus.replay import replay
from martech.kernel.clock import TestClock
from martech.kernel.errors import Invalid
from martech.kernel.host import Host
from martech.kernel.messages import wire_name
from martech.kernel.outbox import read
from martech.kernel.settings import Settings
from tests.chaos.loads import lines, set_aside
from tests.chaos.reminding import REBUILDING, TELLING, Written
from tests.kernel.replaying import SUBSCRIPTION, refusing, reminded, sell, settle

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> TestClock:
    return TestClock(datetime(2026, 3, 1, 9, tzinfo=UTC))


@pytest.fixture
async def host(sample_url: str, clock: TestClock) -> AsyncIterator[Host]:
    async with Host(TELLING, Settings(database_url=sample_url), clock=clock) as host:
        yield host


@pytest.fixture
async def late(sample_url: str, clock: TestClock) -> AsyncIterator[Host]:
    """The ledger is new: the shop has sold 1 and 2, and then 3, before they met."""
    settings = Settings(database_url=sample_url)
    async with Host(TELLING[:1], settings, clock=clock) as shop:
        await sell(shop, 1, 2)
        await sell(shop, 3)
    async with Host(TELLING, settings, clock=clock) as host:
        yield host


async def told(host: Host) -> Counter[int]:
    """What the ledger has told of."""
    database = host.databases["ledger"]
    async with database.across(write=False) as connection:
        types = [wire_name(Written)]
        records = await read(connection, database.metadata, after=0, types=types)
    return Counter(msgspec.json.decode(record.data, type=Written).number for record in records)


async def written(host: Host) -> Counter[int]:
    return Counter(number for _, number in await lines(host))


async def test_in_a_replay_nothing_is_told_again(host: Host) -> None:
    await sell(host, 1, 2)
    await sell(host, 3)
    await settle(host)
    await replay(host, SUBSCRIPTION, 0)
    await sell(host, 4)
    await settle(host)
    assert await told(host) == Counter([1, 2, 3, 4])
    assert await written(host) == Counter([1, 1, 2, 2, 3, 3, 4])
    assert host.databases["ledger"].untold == 3


async def test_what_fails_in_a_replay_is_not_told_again_either(
    host: Host, clock: TestClock
) -> None:
    await sell(host, 1, 2, 3)
    await settle(host)
    with refusing(2):
        await replay(host, SUBSCRIPTION, 0)
        await settle(host)
        assert len(await set_aside(host)) == 2  # and what is behind it
    clock.move(timedelta(minutes=2))
    await settle(host)
    assert await set_aside(host) == []
    assert await told(host) == Counter([1, 2, 3])
    assert await written(host) == Counter([1, 2, 3] * 2)


@pytest.mark.parametrize("patience", [1, 8], ids=["parked", "to be tried again"])
async def test_what_was_set_aside_before_a_replay_is_told_once(
    host: Host, clock: TestClock, patience: int
) -> None:
    with refusing(2):
        await sell(host, 1, 2, 3)
        await settle(host, patience=patience)
    for _ in range(2):
        await replay(host, SUBSCRIPTION, 0)
        clock.move(timedelta(minutes=2))
        await settle(host)
    assert await told(host) == Counter([1, 2, 3])
    assert reminded(host) == Counter([1, 2, 3])


async def test_a_new_listener_tells_of_the_past_and_does_nothing_outside(late: Host) -> None:
    await settle(late)
    assert await told(late) == Counter([1, 2, 3])
    assert reminded(late) == Counter()
    assert late.databases["ledger"].untold == 0


async def test_a_new_listener_that_is_replayed_half_way_tells_of_everything_once(
    late: Host,
) -> None:
    (mine,) = (each for each in Bus(late, batch=1).deliveries if each.name == SUBSCRIPTION)
    await mine.step()
    assert await written(late) == Counter([1, 2])
    await replay(late, SUBSCRIPTION, 0)
    await settle(late)
    assert await told(late) == Counter([1, 2, 3])
    assert await written(late) == Counter([1, 1, 2, 2, 3])
    assert reminded(late) == Counter()


@pytest.mark.parametrize("patience", [1, 8], ids=["parked", "to be tried again"])
async def test_what_a_new_listener_set_aside_is_still_told_after_a_replay(
    late: Host, clock: TestClock, patience: int
) -> None:
    with refusing(2):
        await settle(late, patience=patience)
    for _ in range(2):
        await replay(late, SUBSCRIPTION, 0)
        clock.move(timedelta(minutes=2))
        await settle(late)
    assert await set_aside(late) == []
    assert await told(late) == Counter([1, 2, 3])
    assert reminded(late) == Counter()


async def test_a_projection_is_heard_again_in_place_only_if_that_is_said(sample_url: str) -> None:
    async with Host(REBUILDING, Settings(database_url=sample_url)) as host:
        await sell(host, 1)
        await settle(host)
        with pytest.raises(Invalid, match="--shadow"):
            await replay(host, SUBSCRIPTION, 0)
        await settle(host)
        assert await written(host) == Counter([1])
        assert await replay(host, SUBSCRIPTION, 0, in_place=True) == 0
        await settle(host)
        assert await written(host) == Counter([1, 1])
