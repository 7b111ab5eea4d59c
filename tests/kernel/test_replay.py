"""A replay writes history again and does nothing outside: neither twice, nor never."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from martech.kernel.bus import Bus
from martech.kernel.bus.replay import replay
from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.settings import Settings
from tests.chaos.loads import lines, set_aside
from tests.chaos.reminding import REMINDING
from tests.kernel.replaying import SUBSCRIPTION, refusing, reminded, sell, settle

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> TestClock:
    return TestClock(datetime(2026, 3, 1, 9, tzinfo=UTC))


@pytest.fixture
async def host(sample_url: str, clock: TestClock) -> AsyncIterator[Host]:
    async with Host(REMINDING, Settings(database_url=sample_url), clock=clock) as host:
        yield host


@pytest.mark.parametrize("patience", [1, 8], ids=["parked", "to be tried again"])
async def test_what_was_set_aside_before_a_replay_is_still_done_outside(
    host: Host, clock: TestClock, patience: int
) -> None:
    with refusing(2):
        await sell(host, 1, 2, 3)
        await settle(host, patience=patience)
        assert reminded(host) == Counter([1] if patience > 1 else [1, 3])
    await replay(host, SUBSCRIPTION, 0)
    clock.move(timedelta(minutes=2))
    await settle(host)
    assert reminded(host) == Counter([1, 2, 3])
    assert await set_aside(host) == []


async def test_what_fails_in_a_replay_is_not_done_outside_again(
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
    assert reminded(host) == Counter([1, 2, 3])
    assert Counter(number for _, number in await lines(host)) == Counter([1, 2, 3] * 2)


async def test_what_owes_something_outside_does_so_after_any_number_of_replays(
    host: Host, clock: TestClock
) -> None:
    with refusing(2):
        await sell(host, 2)
        await settle(host, patience=1)
        for _ in range(2):
            await replay(host, SUBSCRIPTION, 0)
            await settle(host, patience=1)
        assert [row.due_at for row in await set_aside(host)] == [None]
    await replay(host, SUBSCRIPTION, 0)
    await settle(host)
    assert reminded(host) == Counter([2])
    assert await lines(host) == [("ada", 2)]


@pytest.mark.parametrize("since", [4, datetime(2027, 1, 1, tzinfo=UTC)], ids=["place", "time"])
async def test_a_replay_from_ahead_of_the_cursor_leaves_out_nothing(
    host: Host, since: int | datetime
) -> None:
    for number in range(1, 6):
        await sell(host, number)
    assert await replay(host, SUBSCRIPTION, since) == 0
    await settle(host)
    assert [number for _, number in await lines(host)] == [1, 2, 3, 4, 5]
    assert await replay(host, SUBSCRIPTION, 9) == 5
    await settle(host)
    assert len(await lines(host)) == 5
    assert reminded(host) == Counter([1, 2, 3, 4, 5])


async def test_a_subject_stays_in_order_in_a_replay(host: Host, clock: TestClock) -> None:
    with refusing(2):
        await sell(host, 1)
        await sell(host, 2)
        await sell(host, 3)
        await settle(host)
    await replay(host, SUBSCRIPTION, 0)
    clock.move(timedelta(minutes=2))
    await settle(host)
    assert [number for _, number in await lines(host)] == [1, 1, 2, 3]
    assert reminded(host) == Counter([1, 2, 3])


async def test_what_another_process_did_and_a_replay_brings_back_is_no_news(host: Host) -> None:
    """The cursor stands again where we left it, and what follows is the past now."""
    we = Bus(host)
    await sell(host, 1)
    await we.settle()
    left = await position(host)
    await sell(host, 2)
    await settle(host)
    assert await replay(host, SUBSCRIPTION, left) == left
    await we.settle()
    await Jobs(host).settle()
    assert reminded(host) == Counter([1, 2])
    assert Counter(number for _, number in await lines(host)) == Counter([1, 2, 2])


async def position(host: Host) -> int:
    (mine,) = (each for each in Bus(host).deliveries if each.name == SUBSCRIPTION)
    async with host.databases["ledger"].across(write=False) as connection:
        return (await mine.cursors.load(connection)).place.position
