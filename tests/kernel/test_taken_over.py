"""Who holds a command, and whoever takes it over, on both databases."""

import asyncio

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.commands import LEASE
from martech.kernel.jobs import Carrier, Jobs
from tests.kitchen import Open, log, order, rows, street
from tests.sample.kitchen.domain import Deliver

pytestmark = pytest.mark.anyio


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
