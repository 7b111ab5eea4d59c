"""A replay writes history again and does nothing outside: neither twice, nor never."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from martech.kernel.bus import Bus
from martech.kernel.bus.replay import replay
from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.settings import Settings
from tests.chaos.loads import TENANT, lines, set_aside
from tests.chaos.reminding import REMINDING, Outside, RemindingLedger

pytestmark = pytest.mark.anyio

SUBSCRIPTION = "ledger.write_sales_down"


@pytest.fixture
def clock() -> TestClock:
    return TestClock(datetime(2026, 3, 1, 9, tzinfo=UTC))


@pytest.fixture
async def host(sample_url: str, clock: TestClock) -> AsyncIterator[Host]:
    async with Host(REMINDING, Settings(database_url=sample_url), clock=clock) as host:
        yield host


async def sell(host: Host, *numbers: int, buyer: str = "ada") -> None:
    async with host.unit("shop", TENANT) as shop:
        await shop.sell(numbers, buyer)


async def settle(host: Host, *, patience: int = 8) -> None:
    await Bus(host, patience=patience).settle()
    await Jobs(host).settle()


def reminded(host: Host) -> Counter[int]:
    outside = host.resources["ledger"][Outside]
    assert isinstance(outside, Outside)
    return Counter(outside.reminded)


@contextmanager
def refusing(number: int) -> Iterator[None]:
    """The ledger writes no line of *number*."""
    write = RemindingLedger.write

    async def refuse(self: RemindingLedger, what: Sequence[str], numbers: Sequence[int]) -> None:
        if number in numbers:
            raise ZeroDivisionError(f"not {number}")
        await write(self, what, numbers)

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(RemindingLedger, "write", refuse)
        yield


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
