"""Who holds a command, and whoever takes it over, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.commands import ATTEMPTS, LEASE
from martech.kernel.host import Host
from martech.kernel.jobs import Carrier, Jobs
from martech.kernel.module import Unit, job
from tests import databases
from tests.kitchen import NOON, Open, log, order, rows, running, street
from tests.sample.kitchen import tables
from tests.sample.kitchen.adapters import Street
from tests.sample.kitchen.domain import Bake, Deliver
from tests.sample.kitchen.module import module as kitchen_module
from tests.sample.kitchen.service import KitchenService
from tests.sample.shop.contract import PriceChanged

pytestmark = pytest.mark.anyio

Act = Callable[[KitchenService], Awaitable[None]]


async def test_a_holder_that_was_taken_over_commits_nothing(hosts: Open, clock: TestClock) -> None:
    paused, other = await hosts(), await hosts()
    street(paused).clear.clear()
    await order(paused, Deliver(number=1))
    holding = asyncio.create_task(Jobs(paused).settle())
    await street(paused).underway.get()
    clock.move(LEASE)
    await Jobs(other).settle()
    street(paused).clear.set()
    await holding
    assert (await log(other)).count("delivered 1") == 1
    assert [row["fence"] for row in await rows(other)] == [2]


async def test_a_lease_is_renewed_while_the_job_lasts(hosts: Open, clock: TestClock) -> None:
    slow, other = await hosts(), await hosts()
    street(slow).clear.clear()
    await order(slow, Deliver(number=1))
    carrier = Carrier(slow, "kitchen")
    (id_,), _ = await carrier.sweep(1)
    holding = asyncio.create_task(carrier.carry_out(id_))
    await street(slow).underway.get()
    clock.move(LEASE * 0.9)
    await carrier.renew()
    clock.move(LEASE * 0.9)
    assert not await Jobs(other).settle()
    street(slow).clear.set()
    await holding
    assert (await log(other)).count("delivered 1") == 1


async def test_a_lease_is_renewed_however_long_it_takes_to_forget_what_was_done(
    hosts: Open, clock: TestClock
) -> None:
    class Thorough(Carrier):
        async def forget(self) -> None:
            forgetting.set()
            await asyncio.Event().wait()

    host, lease, forgetting = await hosts(), timedelta(seconds=0.3), asyncio.Event()
    street(host).clear.clear()
    await order(host, Deliver(number=1))
    async with running(Jobs(host, carrier=Thorough, lease=lease)):
        await street(host).underway.get()
        await forgetting.wait()
        clock.move(lease * 0.9)
        async with asyncio.timeout(10):
            while (await rows(host))[0]["lease_until"] < clock.now() + lease:
                pass
        street(host).clear.set()


async def test_who_was_taken_over_in_its_own_process_leaves_the_other_its_lease(
    hosts: Open, clock: TestClock
) -> None:
    host = await hosts()
    street(host).clear.clear()
    await order(host, Deliver(number=1))
    carrier = Carrier(host, "kitchen")
    (id_,), _ = await carrier.sweep(1)
    stale = asyncio.create_task(carrier.carry_out(id_))
    await street(host).underway.get()
    clock.move(LEASE)
    holding = asyncio.create_task(carrier.carry_out(id_))
    await street(host).underway.get()
    stale.cancel()
    await asyncio.wait([stale])
    clock.move(LEASE * 0.9)
    await carrier.renew()
    clock.move(LEASE * 0.9)
    assert not await Jobs(await hosts()).settle()
    street(host).clear.set()
    await holding
    assert [row["fence"] for row in await rows(host)] == [2]


async def nothing(kitchen: KitchenService) -> None: ...


async def read(kitchen: KitchenService) -> None:
    await kitchen.log()


async def change(kitchen: KitchenService) -> None:
    await kitchen.write("a line")


async def insert_rows(kitchen: KitchenService) -> None:
    await kitchen.tx.insert(tables.log, [{"tenant": kitchen.tx.tenant, "line": "a line"}])


async def enqueue(kitchen: KitchenService) -> None:
    await kitchen.order(Bake(number=1), at=NOON + ATTEMPTS * LEASE)


async def tell(kitchen: KitchenService) -> None:
    kitchen.tx.publish(PriceChanged(article="bread", version=1))


async def note(kitchen: KitchenService) -> None:
    kitchen.tx.audit("kitchen.looked", "oven")


@pytest.mark.parametrize(
    ("act", "comes_further"),
    [
        (nothing, False),
        (read, False),
        (change, True),
        (insert_rows, True),
        (enqueue, True),
        (tell, True),
        (note, True),
    ],
)
async def test_a_job_that_kills_its_process_is_parked_unless_it_writes_before(
    hosts: Open, clock: TestClock, act: Act, *, comes_further: bool
) -> None:
    """Whoever reads has come no further than who died before."""

    @job(Deliver)
    async def fatal(command: Deliver, unit: Unit[KitchenService], street: Street) -> None:
        async with unit() as kitchen:
            await act(kitchen)
        await street.bring(command.number)

    settings = (await hosts()).settings
    kitchen = replace(kitchen_module, jobs=[fatal])
    async with Host([kitchen, *databases.SAMPLE[:2]], settings, clock=clock) as host:
        street(host).clear.clear()
        await order(host, Deliver(number=1))
        carrier = Carrier(host, "kitchen")
        id_ = (await rows(host))[0]["id"]
        for _ in range(ATTEMPTS):
            dying = asyncio.create_task(carrier.carry_out(id_))
            await street(host).underway.get()
            dying.cancel()
            await asyncio.wait([dying])
            clock.move(LEASE)
        street(host).clear.set()
        assert await carrier.carry_out(id_) is comes_further
