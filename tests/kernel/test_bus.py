"""What the bus promises, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from martech.kernel.asking import AskedTooLate
from martech.kernel.auth import Principal
from martech.kernel.bus import Bus, Delivery
from martech.kernel.bus.replay import replay
from martech.kernel.clock import TestClock
from martech.kernel.columns import table
from martech.kernel.cursors import Overtaken, Place
from martech.kernel.errors import Unavailable
from martech.kernel.feeds import Feed
from martech.kernel.feeds.local import LocalFeed
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases
from tests.queueing import queued
from tests.sample.ledger.service import LedgerService
from tests.sample.shop.contract import Stock
from tests.sample.shop.service import ShopService

pytestmark = pytest.mark.anyio

TENANT, OTHER = uuid4(), uuid4()


@contextmanager
def failing(error: Exception) -> Iterator[None]:
    """The ledger can write nothing down."""

    async def fails(self: LedgerService, what: Sequence[str], numbers: Sequence[int]) -> None:
        raise error

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(LedgerService, "write", fails)
        yield


async def sell(
    host: Host, numbers: Sequence[int], tenant: UUID = TENANT, buyer: str = "ada"
) -> None:
    async with host.unit("shop", tenant) as shop:
        await shop.sell(numbers, buyer)


async def written(host: Host, tenant: UUID = TENANT) -> list[tuple[str, int]]:
    async with host.unit("ledger", tenant, write=False) as ledger:
        lines: list[tuple[str, int]] = await ledger.read()
        return lines


async def parked(host: Host) -> list[tuple[int, int, int, bool, str]]:
    async with host.databases["ledger"].across(write=False) as connection:
        rows = table(host.databases["ledger"].metadata, "parked")
        return [
            (row.position, row.item, row.attempts, row.due_at is None, row.error)
            for row in await connection.execute(select(rows).order_by(rows.c.position, rows.c.item))
        ]


async def test_what_a_transaction_tells_arrives_once_and_in_order(sample: Host) -> None:
    await sell(sample, range(1200))
    await sell(sample, range(1200, 1210))
    bus = Bus(sample)
    await bus.settle()
    await bus.settle()
    assert [number for _, number in await written(sample)] == list(range(1210))


async def test_what_did_not_commit_did_not_happen(sample: Host) -> None:
    with pytest.raises(ZeroDivisionError):
        async with sample.unit("shop", TENANT) as shop:
            await shop.sell([1])
            raise ZeroDivisionError
    await Bus(sample).settle()
    assert await written(sample) == []


async def test_each_tenant_gets_its_own_from_a_mixed_batch(sample: Host) -> None:
    for number in range(20):
        await sell(sample, [number], TENANT if number % 2 else OTHER)
    await Bus(sample).settle()
    assert [n for _, n in await written(sample, TENANT)] == list(range(1, 20, 2))
    assert [n for _, n in await written(sample, OTHER)] == list(range(0, 20, 2))


async def test_one_bad_item_is_set_aside_and_its_neighbours_are_not(
    timed: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = LedgerService.write

    async def refuses_13(self: LedgerService, what: Sequence[str], numbers: Sequence[int]) -> None:
        if 13 in numbers:
            raise ValueError("thirteen")
        await write(self, what, numbers)

    monkeypatch.setattr(LedgerService, "write", refuses_13)
    async with timed.unit("shop", TENANT) as shop:
        await shop.sell(range(13), "bob")
        await shop.sell(range(13, 14), "eve")
        await shop.sell(range(14, 30), "bob")
        await shop.sell(range(30, 33), "eve")
    await Bus(timed).settle()
    numbers = [n for _, n in await written(timed)]
    assert numbers == [n for n in range(30) if n != 13], "eve's later sales wait behind her 13"
    assert [(attempts, done) for _, _, attempts, done, _ in await parked(timed)] == [
        (1, False),
        *[(0, False)] * 3,
    ]


async def test_after_its_last_attempt_an_item_is_parked_and_the_rest_of_its_subject_goes_on(
    sample: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = LedgerService.write

    async def refuses_13(self: LedgerService, what: Sequence[str], numbers: Sequence[int]) -> None:
        if 13 in numbers:
            raise ValueError("thirteen")
        await write(self, what, numbers)

    monkeypatch.setattr(LedgerService, "write", refuses_13)
    await sell(sample, [13])
    await sell(sample, [14])
    await Bus(sample, patience=1).settle()
    assert await written(sample) == [("ada", 14)]
    ((_, item, attempts, done, error),) = await parked(sample)
    assert (item, attempts, done) == (0, 1, True)
    assert "thirteen" in error


async def test_unavailable_waits_and_never_parks(sample: Host) -> None:
    await sell(sample, range(10))
    bus = Bus(sample)
    with failing(Unavailable("The books are away.")):
        for _ in range(20):
            with pytest.raises(Unavailable):
                await bus.settle()
    assert await parked(sample) == []
    await bus.settle()
    assert [n for _, n in await written(sample)] == list(range(10))


async def test_what_is_away_is_not_asked_again_whenever_more_is_told(sample: Host) -> None:
    asked, commits, begun = 0, 400, asyncio.Event()

    class Away(Delivery):
        async def step(self) -> int:
            nonlocal asked
            asked += 1
            begun.set()
            raise Unavailable("The books are away.")

    running = asyncio.create_task(Bus(sample, delivery=Away).run())
    await begun.wait()
    for number in range(commits):
        await sell(sample, [number])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asked < commits / 4


async def test_a_port_is_asked_before_the_first_statement(sample: Host) -> None:
    async with sample.unit("ledger", TENANT) as ledger:
        assert await ledger.stock_first() == 1000
    with pytest.raises(AskedTooLate):
        async with sample.unit("ledger", TENANT) as ledger:
            await ledger.stock_last()


async def noticed(host: Host, another: Host) -> None:
    """Return once *host* is woken by what *another* process commits."""
    number = 0
    with host.process.signals.listening("shop") as news:
        while not news.is_set():
            await sell(another, [number])
            number += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await news.wait()


async def test_a_bus_hears_of_what_another_process_commits_and_stops_though_something_is_away(
    sample: Host, sample_url: str
) -> None:
    begun, answer = asyncio.Event(), asyncio.Event()

    class Away(Delivery):
        async def step(self) -> bool:
            begun.set()
            await answer.wait()
            raise Unavailable("The books are away.")

    running = asyncio.create_task(Bus(sample, delivery=Away).run())
    await begun.wait()
    async with Host(databases.SAMPLE, Settings(database_url=sample_url)) as another:
        await noticed(sample, another)
    running.cancel()
    await asyncio.sleep(0)
    answer.set()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_bus_goes_on_though_a_feed_cannot_be_watched(
    sample_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("martech.kernel.bus.LONGEST_WAIT", 0.0)
    watched, again = 0, asyncio.Event()

    class Blind(LocalFeed):
        async def watch(self, wake: Callable[[], None]) -> None:
            nonlocal watched
            watched += 1
            if watched == 1:
                raise ValueError("it sees nothing")
            again.set()
            await asyncio.Event().wait()

    class Half(Host):
        def feed(self, name: str) -> Feed:
            return Blind(self.databases[name]) if name == "shop" else super().feed(name)

    async with Half(databases.SAMPLE, Settings(database_url=sample_url)) as host:
        running = asyncio.create_task(Bus(host).run())
        running.add_done_callback(lambda _: again.set())
        async with asyncio.timeout(10):
            await again.wait()
        assert not running.done(), "the process would end with it"
        running.cancel()
        await asyncio.wait([running])
    assert "shop cannot be watched" in caplog.text


@pytest.fixture
def clock() -> TestClock:
    return TestClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
async def timed(sample_url: str, clock: TestClock) -> AsyncIterator[Host]:
    async with Host(databases.SAMPLE, Settings(database_url=sample_url), clock=clock) as host:
        yield host


async def test_a_key_is_tried_again_however_many_wait_behind_another(
    timed: Host, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = LedgerService.write
    refused = {0, 700}

    async def refuses(self: LedgerService, what: Sequence[str], numbers: Sequence[int]) -> None:
        if refused & set(numbers):
            raise ValueError("not now")
        await write(self, what, numbers)

    monkeypatch.setattr(LedgerService, "write", refuses)
    await sell(timed, [0], buyer="poison")
    await sell(timed, range(1, 601), buyer="poison")
    await sell(timed, [700], buyer="eve")
    bus = Bus(timed)
    await bus.settle()
    refused.remove(700)
    clock.move(timedelta(milliseconds=150))  # eve's time has come, and the poison's as well
    await bus.settle()
    assert await written(timed) == [("eve", 700)]


async def due_again(host: Host, clock: TestClock, **limits: float) -> Bus:
    """A bus that could not hand over the sale of 1, for which it is time again."""
    bus = Bus(host, **limits)
    await sell(host, [1])
    with failing(ValueError("not now")):
        await bus.settle()
    clock.move(timedelta(milliseconds=150))
    return bus


async def test_what_is_tried_again_waits_for_whoever_is_handling(
    timed: Host, clock: TestClock
) -> None:
    bus = await due_again(timed, clock)
    (delivery,) = (d for d in bus.deliveries if d.name == "ledger.write_sales_down")
    async with timed.databases["ledger"].across() as another:  # in the middle of a batch
        await delivery.cursors.load(another, lock=True)
        again = asyncio.create_task(bus.settle())
        # a handler that reads and writes would overwrite the other's work
        await queued(again, timed.databases["ledger"])
    await again
    assert await written(timed) == [("ada", 1)]


async def test_an_attempt_that_something_away_ended_was_none(timed: Host, clock: TestClock) -> None:
    bus = await due_again(timed, clock, patience=2)
    with failing(Unavailable("The books are away.")):
        for _ in range(5):
            await bus.settle()
            clock.move(timedelta(seconds=5))
    assert [(attempts, done) for _, _, attempts, done, _ in await parked(timed)] == [(1, False)]
    await bus.settle()
    assert await written(timed) == [("ada", 1)]


async def test_an_attempt_in_which_a_process_dies_counts_and_is_made_again_later(
    timed: Host, clock: TestClock
) -> None:
    bus = await due_again(timed, clock, deadline=30.0, shortest=2.0)
    (cursors,) = (d.cursors for d in bus.deliveries if d.name == "ledger.write_sales_down")
    item, until = Place(1, 0), clock.now() + timedelta(seconds=32)
    async with timed.databases["ledger"].across() as dying:
        at = (await cursors.load(dying, lock=True)).place
        assert await cursors.claim(dying, [item], clock.now(), at, until) == 2
    await bus.settle()
    assert await written(timed) == [], "it may still be at it"
    clock.move(timedelta(seconds=32))
    async with timed.databases["ledger"].across() as another:
        assert await cursors.claim(another, [item], clock.now(), at, until) == 3
        with pytest.raises(Overtaken):  # who comes back settles nothing
            await cursors.take(another, [item], 2)
        await cursors.give_back(another, [item], 3, clock.now())
    await bus.settle()
    assert await written(timed) == [("ada", 1)]


async def test_a_replay_goes_over_what_was_set_aside(
    timed: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(self: LedgerService, what: Sequence[str], numbers: Sequence[int]) -> None:
        raise ValueError("never")

    write = LedgerService.write
    monkeypatch.setattr(LedgerService, "write", refuses)
    await sell(timed, range(3))
    bus = Bus(timed, patience=1)
    await bus.settle()
    assert len(await parked(timed)) == 3
    await replay(timed, "ledger.write_sales_down", 0)
    await bus.settle()
    assert len(await parked(timed)) == 3
    monkeypatch.setattr(LedgerService, "write", write)
    await replay(timed, "ledger.write_sales_down", 0)
    await bus.settle()
    assert await parked(timed) == []
    assert [n for _, n in await written(timed)] == [0, 1, 2]


async def test_who_asks_through_a_port_is_who_asked(sample: Host) -> None:
    asking = Principal(
        tenant=TENANT, key=uuid4(), kind="secret", scopes=frozenset({"shop:read"}), user=None
    )
    seen: list[Principal | None] = []

    class Watched(ShopService):
        async def stock(self) -> Stock:
            seen.append(self.tx.principal)
            return await super().stock()

    shop, ledger = (sample.modules[name] for name in ("shop", "ledger"))
    watching = Host([replace(shop, service=Watched), ledger], sample.settings)
    async with watching, watching.unit("ledger", TENANT, principal=asking) as service:
        await service.stock_first()
    assert seen == [asking]
