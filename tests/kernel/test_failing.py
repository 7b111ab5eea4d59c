"""Whoever fails holds up nobody else for long, on both databases. What it costs the others is
counted in transactions and attempts, never in seconds."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import event, select

from martech.kernel.bus import Bus, Delivery
from martech.kernel.bus.fairness import ENOUGH, MOST
from martech.kernel.clock import TestClock
from martech.kernel.columns import table
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases
from tests.sample.ledger.service import LedgerService
from tests.sample.shop.contract import Sale, Sold

pytestmark = pytest.mark.anyio

TENANT, OTHER = UUID(int=1), UUID(int=2)
DEPTH = 10
"""So often a batch is halved at most."""


class Ledger:
    """What the ledger was asked to write down, and whether it does."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []
        self.fails: Callable[[int], bool] = lambda number: False
        self.error: Callable[[], Exception] = lambda: ValueError("a bug")

    @property
    def alone(self) -> list[int]:
        """What it was asked for by itself, in order."""
        return [numbers[0] for numbers in self.asked if len(numbers) == 1]

    async def asked_for(self, numbers: Sequence[int]) -> None:
        self.asked.append(tuple(numbers))
        if any(map(self.fails, numbers)):
            raise self.error()


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    ledger, write = Ledger(), LedgerService.write

    async def moody(self: LedgerService, what: Sequence[str], numbers: Sequence[int]) -> None:
        await ledger.asked_for(numbers)
        await write(self, what, numbers)

    monkeypatch.setattr(LedgerService, "write", moody)
    return ledger


@pytest.fixture
def clock() -> TestClock:
    return TestClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
async def host(sample_url: str, clock: TestClock) -> AsyncIterator[Host]:
    async with Host(databases.SAMPLE, Settings(database_url=sample_url), clock=clock) as host:
        yield host


async def sell(host: Host, numbers: Iterable[int], tenant: UUID = TENANT, buyer: str = "") -> None:
    """To *buyer*, or each to somebody else."""
    sales = [Sale(buyer=buyer or f"buyer {number}", number=number) for number in numbers]
    async with host.databases["shop"].transaction(tenant) as tx:
        for start in range(0, len(sales), 500):
            tx.publish(Sold(items=sales[start : start + 500]))


async def written(host: Host, tenant: UUID = TENANT) -> list[int]:
    async with host.unit("ledger", tenant, write=False) as ledger:
        return [number for _, number in await ledger.read()]


async def set_aside(host: Host) -> list[tuple[int, bool]]:
    """Attempts at each, and whether it is parked."""
    rows = table(host.databases["ledger"].metadata, "parked")
    async with host.databases["ledger"].across(write=False) as connection:
        found = await connection.execute(select(rows).order_by(rows.c.position, rows.c.item))
        return [(row.attempts, row.due_at is None) for row in found]


def delivery_of(host: Host, **limits: float) -> Delivery:
    """The ledger's, which tries one portion a step of what is due again."""
    bus = Bus(host, **{"retrying": 0.0, **limits})  # type: ignore[arg-type]
    (delivery,) = (d for d in bus.deliveries if d.name == "ledger.write_sales_down")
    return delivery


async def settle(delivery: Delivery) -> None:
    while await delivery.step():
        pass


@contextmanager
def counting(host: Host) -> Iterator[list[object]]:
    """The ledger's transactions."""
    begun: list[object] = []
    engine = host.databases["ledger"].engine.sync_engine

    def begins(connection: object) -> None:
        begun.append(connection)

    event.listen(engine, "begin", begins)
    try:
        yield begun
    finally:
        event.remove(engine, "begin", begins)


async def test_behind_hundreds_that_fail_another_tenant_is_heard_before_they_are_all_tried(
    host: Host, ledger: Ledger
) -> None:
    ledger.fails = lambda number: number < 1200
    await sell(host, range(1200))
    await sell(host, [5000], OTHER)
    delivery = delivery_of(host)
    while not await written(host, OTHER):
        assert await delivery.step()
    assert len(set(ledger.alone)) < 4 * ENOUGH
    assert len(await set_aside(host)) == 1200


@pytest.mark.parametrize("every", [1, 10])
async def test_a_batch_of_which_many_fail_costs_a_bounded_number_of_transactions(
    host: Host, ledger: Ledger, every: int
) -> None:
    ledger.fails = lambda number: number % every == 0
    await sell(host, range(1000))
    delivery = delivery_of(host)
    with counting(host) as transactions:
        await delivery.step()
    assert len(ledger.alone) <= 2 * ENOUGH
    assert len(transactions) < 2 * ENOUGH * DEPTH


async def test_however_many_tenants_fail_the_number_of_transactions_is_bounded(
    host: Host, ledger: Ledger
) -> None:
    ledger.fails = lambda number: True
    for tenant in range(250):
        await sell(host, range(4 * tenant, 4 * tenant + 4), UUID(int=tenant))
    delivery = delivery_of(host)
    with counting(host) as transactions:
        await delivery.step()
    assert len(transactions) < 4 * MOST
    aside = await set_aside(host)
    assert len(aside) == 1000
    assert sum(attempts for attempts, _ in aside) == MOST


async def test_in_the_same_batch_another_tenant_is_not_set_aside(
    host: Host, ledger: Ledger
) -> None:
    ledger.fails = lambda number: number < 300
    for first in range(0, 300, 10):
        await sell(host, range(first, first + 10))
        await sell(host, range(1000 + first, 1010 + first), OTHER)
    await delivery_of(host).step()
    assert await written(host, OTHER) == list(range(1000, 1300))
    assert len(await set_aside(host)) == 300


async def test_what_was_set_aside_untried_is_handled_at_once_but_for_what_fails(
    host: Host, ledger: Ledger
) -> None:
    ledger.fails = lambda number: number < ENOUGH or number == 400
    await sell(host, range(600))
    with counting(host) as transactions:
        await settle(delivery_of(host))
    assert sorted(await written(host)) == [n for n in range(ENOUGH, 600) if n != 400]
    assert await set_aside(host) == [(1, False)] * (ENOUGH + 1)
    assert len(transactions) < 300


async def test_of_each_subject_what_was_set_aside_untried_stays_in_order(
    host: Host, ledger: Ledger, clock: TestClock
) -> None:
    ledger.fails = lambda number: number < ENOUGH or number == 103
    await sell(host, range(ENOUGH))
    await sell(host, range(100, 110), buyer="eve")
    await sell(host, range(110, 120), buyer="bob")
    delivery = delivery_of(host)
    await settle(delivery)
    await sell(host, range(120, 130), buyer="eve")
    await settle(delivery)
    eves = [100, 101, 102]
    assert [n for n in await written(host) if n not in range(110, 120)] == eves
    assert [n for n in await written(host) if n in range(110, 120)] == list(range(110, 120))
    ledger.fails = lambda number: False
    clock.move(timedelta(minutes=1))
    await settle(delivery)
    mine = [n for n in await written(host) if n in range(100, 130) and n not in range(110, 120)]
    assert mine == [*range(100, 110), *range(120, 130)]
    assert await set_aside(host) == []


async def test_those_who_waited_behind_one_go_on_together_once_it_is_parked(
    host: Host, ledger: Ledger, clock: TestClock
) -> None:
    ledger.fails = lambda number: number == 0
    await sell(host, range(800), buyer="hot")
    delivery = delivery_of(host, patience=2)
    await settle(delivery)
    assert await written(host) == []
    clock.move(timedelta(seconds=1))
    with counting(host) as transactions:
        await settle(delivery)
    assert await written(host) == list(range(1, 800))
    assert await set_aside(host) == [(2, True)]
    assert len(transactions) < 30


async def test_what_is_due_again_is_tried_in_turns_of_the_tenants(
    host: Host, ledger: Ledger, clock: TestClock
) -> None:
    ledger.fails = lambda number: True
    await sell(host, range(100))
    await sell(host, [5000], OTHER)
    delivery = delivery_of(host)
    await settle(delivery)
    ledger.fails = lambda number: number < 100
    clock.move(timedelta(minutes=1))
    del ledger.asked[:]
    while not await written(host, OTHER):
        await delivery.step()
    assert len(ledger.asked) <= 2


async def test_news_waits_for_one_portion_of_what_is_due_again(
    host: Host, ledger: Ledger, clock: TestClock
) -> None:
    ledger.fails = lambda number: number < 100
    await sell(host, range(100))
    delivery = delivery_of(host)
    await settle(delivery)
    clock.move(timedelta(minutes=1))
    del ledger.asked[:]
    await delivery.step()
    await sell(host, [5000], OTHER)
    await delivery.step()
    assert await written(host, OTHER) == [5000]
    assert len(ledger.asked) <= 3


async def test_a_tenant_that_went_on_failing_is_tried_with_the_others_again(
    host: Host, ledger: Ledger
) -> None:
    ledger.fails = lambda number: number < 100
    delivery = delivery_of(host)
    await sell(host, range(100))
    await settle(delivery)
    for number in range(1000, 1000 + ENOUGH):
        await sell(host, [number])
        await settle(delivery)
    with counting(host) as transactions:
        await sell(host, [2000])
        await delivery.step()
    assert (await written(host))[-1] == 2000
    assert len(transactions) <= 2, "the batch, and a look at what is due"


async def test_one_that_needs_what_is_away_waits_by_itself(
    host: Host, ledger: Ledger, clock: TestClock
) -> None:
    ledger.fails = lambda number: number == 0
    delivery = delivery_of(host, patience=2)
    await sell(host, [0])
    await settle(delivery)
    ledger.error = lambda: Unavailable("What it needs is away.")
    for number in range(1, 6):
        clock.move(timedelta(seconds=10))
        await sell(host, [number], OTHER)
        await settle(delivery)
        assert await written(host, OTHER) == list(range(1, number + 1))
    assert await set_aside(host) == [(1, False)], "no attempt was lost"
    ledger.fails = lambda number: False
    clock.move(timedelta(seconds=10))
    await settle(delivery)
    assert await written(host) == [0]


async def test_whoever_is_told_to_end_ends_between_two_transactions(
    sample: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, begun, answer = 0, asyncio.Event(), asyncio.Event()

    async def fails(self: LedgerService, what: Sequence[str], numbers: Sequence[int]) -> None:
        nonlocal asked
        asked += 1
        begun.set()
        await answer.wait()
        raise ValueError("a bug")

    monkeypatch.setattr(LedgerService, "write", fails)
    await sell(sample, range(500))
    running = asyncio.create_task(Bus(sample).run())
    await begun.wait()
    running.cancel()
    await asyncio.sleep(0)
    answer.set()
    await asyncio.wait([running])
    assert asked == 1
    assert await set_aside(sample) == []


async def test_what_never_ends_is_broken_off_and_told_again(
    sample_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def hangs(self: LedgerService, what: Sequence[str], numbers: Sequence[int]) -> None:
        begun.set()
        await asyncio.Event().wait()

    settings = Settings(database_url=sample_url, drain_seconds=0.0)
    async with Host(databases.SAMPLE, settings) as host:
        await sell(host, range(500))
        with monkeypatch.context() as hanging:
            hanging.setattr(LedgerService, "write", hangs)
            running = asyncio.create_task(Bus(host, deadline=3600.0).run())
            await begun.wait()
            running.cancel()
            await asyncio.wait([running])
        assert await set_aside(host) == []
        await Bus(host).settle()
        assert await written(host) == list(range(500))


async def test_what_cannot_be_read_any_more_in_the_middle_of_an_event_costs_no_other(
    host: Host, ledger: Ledger
) -> None:
    ledger.fails, ledger.error = (lambda number: number == 3), lambda: Unavailable("away")
    await sell(host, range(5))
    delivery = delivery_of(host, batch=3)
    with pytest.raises(Unavailable):
        await delivery.step()
    assert await written(host) == [0, 1, 2], "the cursor stands in the middle"
    await _spoil(host)
    await sell(host, [10])
    await sell(host, [11])
    await settle(delivery)
    assert await written(host) == [0, 1, 2, 10, 11]
    assert await set_aside(host) == [(1, True)]


async def _spoil(host: Host) -> None:
    """The first event is none any more."""
    outbox = table(host.databases["shop"].metadata, "outbox")
    async with host.databases["shop"].across() as connection:
        first = outbox.update().where(outbox.c.position == 1)
        await connection.execute(first.values(data=b'{"items": [{'))
