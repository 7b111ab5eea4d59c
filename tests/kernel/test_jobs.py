"""What jobs promise, on both databases: effect exactly once inside, nothing lost outside."""

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import redis

from martech.kernel import telemetry
from martech.kernel.clock import TestClock
from martech.kernel.commands import ATTEMPTS, RESEND
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.jobs import AT_ONCE, Carrier, Jobs, Queue
from martech.kernel.messages import Command
from martech.kernel.module import ManifestError, Module, Unit, job
from martech.kernel.outbox import Origin
from martech.kernel.settings import Settings
from tests import databases, servers
from tests.kitchen import NOON, OTHER, TENANT, Open, log, order, rows, running, street
from tests.sample.kitchen.adapters import Street
from tests.sample.kitchen.domain import Bake, Deliver
from tests.sample.kitchen.module import module as kitchen_module
from tests.sample.kitchen.service import KitchenService
from tests.sample.ledger.contract import Ledger

pytestmark = pytest.mark.anyio

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class BakeTwice(Command, frozen=True):
    number: int


async def test_timers_go_off_in_the_order_of_their_time(host: Host, clock: TestClock) -> None:
    for number in (5, 1, 4, 2, 3):
        await order(host, Bake(number=number), at=NOON + number * MINUTE)
    assert not await Jobs(host).settle()
    clock.move(3 * MINUTE)
    assert await Jobs(host).settle()
    assert await log(host) == ["baked 1", "baked 2", "baked 3"]
    clock.move(2 * MINUTE)
    await Jobs(host).settle()
    assert await log(host) == [f"baked {n}" for n in range(1, 6)]


async def test_each_command_is_carried_out_for_its_own_tenant(host: Host) -> None:
    await order(host, Bake(number=1), Deliver(number=1))
    await order(host, Bake(number=2), tenant=OTHER)
    await Jobs(host).settle()
    assert await log(host) == ["baked 1", "left with 1, 1000 in the shop", "delivered 1"]
    assert await log(host, OTHER) == ["baked 2"]


async def test_what_a_job_does_is_traced_to_the_request_behind_it(host: Host) -> None:
    begun = Origin(UUID(int=5), UUID(int=6), f"00-{5:032x}-{6:016x}-01")
    async with host.unit("kitchen", TENANT, origin=begun) as kitchen:
        await kitchen.order(BakeTwice(number=1))
    seen: list[telemetry.Trace | None] = []

    @job(BakeTwice, inward=True)
    async def bake_twice(command: BakeTwice, kitchen: KitchenService) -> None:
        seen.append(telemetry.current.get())
        await kitchen.order(Bake(number=1), Bake(number=2))

    module = replace(kitchen_module, jobs=[bake_twice])
    async with Host([module, *databases.SAMPLE[:2]], host.settings, clock=host.clock) as other:
        await Jobs(other).settle()
    first, *caused = await rows(host)
    assert [row["causation"] for row in caused] == [first["id"], first["id"]]
    assert {(row["correlation"], row["traceparent"]) for row in caused} == {(begun[0], begun[2])}
    (trace,) = seen
    assert trace is not None
    assert (trace.trace, trace.tenant, trace.request) == (f"{5:032x}", TENANT, str(first["id"]))
    assert telemetry.current.get() is None


async def test_an_inward_job_that_fails_leaves_no_trace_but_its_error(
    host: Host, clock: TestClock
) -> None:
    await order(host, Bake(number=-1), Bake(number=1))
    for _ in range(ATTEMPTS):
        await Jobs(host).settle()
        clock.move(timedelta(hours=2))
    assert await log(host) == ["baked 1"]
    poison, _ = await rows(host)
    assert (poison["attempts"], poison["parked_at"] is not None) == (ATTEMPTS, True)
    assert poison["error"] == "ValueError: less than nothing cannot be baked"


async def test_what_is_away_costs_no_attempt(host: Host, clock: TestClock) -> None:
    street(host).closed = True
    await order(host, Deliver(number=1))
    for _ in range(ATTEMPTS + 2):
        await Jobs(host).settle()
        clock.move(MINUTE)  # the street says: in 60 seconds
    (row,) = await rows(host)
    assert (row["attempts"], row["parked_at"]) == (0, None)
    assert row["error"] == "The street is closed."
    street(host).closed = False
    await Jobs(host).settle()
    assert (await log(host))[-1] == "delivered 1"


async def test_an_attempt_that_hangs_has_failed(host: Host) -> None:
    street(host).clear.clear()
    await order(host, Deliver(number=1))
    await Jobs(host, deadline=0.1).settle()
    (row,) = await rows(host)
    assert (row["attempts"], row["lease_until"]) == (1, None)
    assert "TimeoutError" in row["error"]


async def test_a_command_nobody_knows_waits_for_whoever_does(host: Host, clock: TestClock) -> None:
    await order(host, Bake(number=1))
    stranger = replace(kitchen_module, jobs=[kitchen_module.jobs[1]])
    async with Host([stranger, *databases.SAMPLE[:2]], host.settings, clock=clock) as without:
        await Jobs(without).settle()
    (row,) = await rows(host)
    assert row["error"] == "LookupError: kitchen has no job for kitchen.bake.v1."
    clock.move(MINUTE)
    await Jobs(host).settle()
    assert await log(host) == ["baked 1"]


@job(BakeTwice)
async def count_lines(command: BakeTwice, unit: Unit[KitchenService], street: Street) -> None:
    async with unit() as kitchen:
        lines = len(await kitchen.log())
    await street.bring(lines)
    async with unit() as kitchen:
        await kitchen.write(f"saw {lines}")


async def test_what_changes_after_a_job_has_looked_is_looked_at_again(
    host: Host, clock: TestClock
) -> None:
    module = replace(kitchen_module, jobs=[count_lines])
    async with Host([module, *databases.SAMPLE[:2]], host.settings, clock=clock) as other:
        street(other).clear.clear()
        await order(host, BakeTwice(number=0), key="count")
        counting = asyncio.create_task(Jobs(other).settle())
        assert await street(other).underway.get() == 0
        async with host.unit("kitchen", TENANT) as kitchen:
            await kitchen.write("new")
            await kitchen.order(BakeTwice(number=0), key="count")
        street(other).clear.set()
        await counting
    assert await log(host) == ["new", "saw 0", "saw 2"]


async def noted(what: str) -> None:
    """Wait until *what* is in the log."""
    found = asyncio.Event()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if what in record.getMessage():
                found.set()

    ear = Ear()
    logging.getLogger("martech").addHandler(ear)
    try:
        await found.wait()
    finally:
        logging.getLogger("martech").removeHandler(ear)


@pytest.fixture(params=["in process", "redis"])
def redis_url(request: pytest.FixtureRequest) -> str | None:
    return servers.fresh_redis() if request.param == "redis" else None


async def test_the_running_jobs_carry_out_what_is_enqueued(
    hosts: Open, redis_url: str | None
) -> None:
    host = await hosts(redis_url=redis_url)
    async with running(Jobs(host)):
        for start in range(0, 40, 10):
            await order(host, *(Deliver(number=n) for n in range(start, start + 10)))
        seen = {await street(host).underway.get() for _ in range(40)}
    assert seen == set(range(40))
    delivered = [line for line in await log(host) if line.startswith("delivered")]
    assert len(delivered) == len(set(delivered)) == 40
    assert all(row["done_at"] and row["fence"] == 1 for row in await rows(host))


async def test_two_processes_share_the_work_and_do_nothing_twice(
    hosts: Open, redis_url: str | None
) -> None:
    one, two = await hosts(redis_url=redis_url), await hosts(redis_url=redis_url)
    await order(one, *(Deliver(number=n) for n in range(60)))
    street(two).underway = street(one).underway
    async with running(Jobs(one)), running(Jobs(two)):
        seen = [await street(one).underway.get() for _ in range(60)]
    assert sorted(seen) == list(range(60))
    delivered = [line for line in await log(one) if line.startswith("delivered")]
    assert len(delivered) == len(set(delivered)) == 60


async def test_a_broker_that_forgets_everything_loses_nothing(
    hosts: Open, clock: TestClock
) -> None:
    url = servers.fresh_redis()
    host = await hosts(redis_url=url)
    await order(host, *(Deliver(number=n) for n in range(20)))
    ids, _ = await Carrier(host, "kitchen").sweep(100)
    queue = Queue("kitchen", url, host.settings.database_url)
    await queue.send(ids)
    await queue.close(1)
    with redis.Redis.from_url(url) as client:
        assert client.keys("*")
        client.flushdb()
    clock.move(RESEND)
    async with running(Jobs(host)):
        seen = {await street(host).underway.get() for _ in range(20)}
    assert seen == set(range(20))
    assert all(row["done_at"] for row in await rows(host))


async def test_a_broker_that_is_away_is_waited_for(hosts: Open) -> None:
    away, back = await hosts(redis_url="redis://127.0.0.1:1"), await hosts()
    await order(away, Deliver(number=1))
    with pytest.raises(Unavailable, match="does not answer"):
        await Queue("kitchen", away.settings.redis_url, "sqlite:///x").send([UUID(int=1)])
    async with running(Jobs(away)):
        await noted("the commands of kitchen wait")
    assert (await rows(back))[0]["sent_at"] is None
    assert await Jobs(back).settle()
    assert "delivered 1" in await log(back)


async def test_stopping_finishes_what_has_begun(hosts: Open, redis_url: str | None) -> None:
    host = await hosts(redis_url=redis_url)
    street(host).clear.clear()
    await order(host, Deliver(number=1))
    async with running(Jobs(host)) as work:
        await street(host).underway.get()
        work.cancel()
        asyncio.get_running_loop().call_later(0.2, street(host).clear.set)
        await asyncio.wait([work])
    assert (await log(host))[-1] == "delivered 1"
    assert (await rows(host))[0]["done_at"] == NOON


async def test_who_finishes_what_has_begun_holds_it_until_then(
    hosts: Open, clock: TestClock
) -> None:
    host, lease = await hosts(), timedelta(seconds=0.3)
    street(host).clear.clear()
    await order(host, Deliver(number=1))
    async with running(Jobs(host, lease=lease)) as work:
        await street(host).underway.get()
        work.cancel()
        clock.move(lease * 0.9)
        async with asyncio.timeout(10):
            while (await rows(host))[0]["lease_until"] < clock.now() + lease:
                pass
        street(host).clear.set()
        await asyncio.wait([work])
    assert (await rows(host))[0]["done_at"] == clock.now()


async def test_what_does_not_finish_in_time_is_given_back_at_once(hosts: Open) -> None:
    host, other = await hosts(drain_seconds=0.2), await hosts()
    street(host).clear.clear()
    await order(host, Deliver(number=1))
    async with running(Jobs(host)):
        await street(host).underway.get()
    assert await Jobs(other).settle()
    street(host).clear.set()
    assert (await log(other)).count("delivered 1") == 1
    assert (await rows(other))[0]["attempts"] == 0


async def test_what_was_handed_out_and_not_begun_does_not_wait_for_the_broker(hosts: Open) -> None:
    """It was in the queue of a process that stopped: the next one begins it at once."""
    host, other = await hosts(drain_seconds=0.2), await hosts()
    street(host).clear.clear()
    await order(host, *(Deliver(number=n) for n in range(AT_ONCE + 3)))
    async with running(Jobs(host)):
        for _ in range(AT_ONCE):
            await street(host).underway.get()
        assert sum(row["sent_at"] is not None for row in await rows(host)) == 3
    assert await Jobs(other).settle()
    assert all(row["done_at"] for row in await rows(other))


async def test_a_stop_in_the_middle_of_a_sweep_takes_it_back(hosts: Open) -> None:
    host, noted, go_on = await hosts(), asyncio.Event(), asyncio.Event()

    class Thorough(Carrier):
        async def sweep(self, window: int) -> tuple[list[UUID], datetime | None]:
            swept = await super().sweep(window)
            noted.set()
            await go_on.wait()
            return swept

    await order(host, Deliver(number=1))
    async with running(Jobs(host, carrier=Thorough)) as work:
        await noted.wait()
        work.cancel()
        asyncio.get_running_loop().call_soon(go_on.set)
    assert (await rows(host))[0]["sent_at"] is None


@job(Bake, inward=True)
async def greedy(command: Bake, kitchen: KitchenService, street: Street) -> None: ...


@job(Deliver)
async def lonely(command: Deliver) -> None: ...


@job(Deliver)
async def astray(command: Deliver, unit: Unit[KitchenService], other: Ledger) -> None: ...


@job(Deliver)
async def lost(command: Deliver, unit: Unit[KitchenService], other: int) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (greedy, "is inward"),
        (lonely, "must take a Unit second"),
        (astray, "asks ledger, which is not hosted here. Add it to MARTECH_MODULES, or say in"),
        (lost, "neither a port nor a resource"),
    ],
)
def test_a_job_that_cannot_be_given_what_it_takes_is_refused_at_start(wrong: Any, why: str) -> None:
    module: Module = replace(kitchen_module, jobs=[wrong])
    with pytest.raises(ManifestError, match=why):
        Host([module, databases.SAMPLE[0]], Settings(database_url="sqlite:///nowhere"))
