"""Failpoints fail where and when they are told, and nowhere else."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from martech.kernel import failpoints
from martech.kernel.failpoints import FailpointError, Planned
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from tests.chaos.processes import KILLED, Child, Say
from tests.kitchen import log, order, rows
from tests.sample.kitchen.domain import Bake

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


async def test_nothing_happens_where_nothing_is_armed() -> None:
    failpoints.arm("jobs.after_lease=error")
    await failpoints.reach("unit.before_commit")
    failpoints.arm("")
    await failpoints.reach("jobs.after_lease")


async def test_an_error_comes_every_time_or_at_the_time_that_was_named() -> None:
    failpoints.arm("unit.before_commit=error, unit.after_commit=error@2")
    for _ in range(2):
        with pytest.raises(Planned, match=r"unit\.before_commit was told to fail"):
            await failpoints.reach("unit.before_commit")
    await failpoints.reach("unit.after_commit")
    with pytest.raises(Planned):
        await failpoints.reach("unit.after_commit")
    await failpoints.reach("unit.after_commit")


async def test_a_sleep_holds_up_whoever_comes_there_and_nobody_else() -> None:
    failpoints.arm("jobs.before_settle=sleep:200@1")
    order_of_end: list[str] = []

    async def come(name: str) -> None:
        await failpoints.reach("jobs.before_settle")
        order_of_end.append(name)

    await asyncio.gather(come("first"), come("second"))
    assert order_of_end == ["second", "first"]


async def come_three_times(say: Say, plan: str) -> None:
    logging.disable()
    failpoints.arm(plan)
    for time in range(1, 4):
        say(time)
        await failpoints.reach("outbox.after_insert")


async def test_a_kill_leaves_no_time_for_anything() -> None:
    child = Child(come_three_times, "outbox.after_insert=kill@2")
    assert [await child.said(), await child.said()] == [1, 2]
    assert await child.ended() == KILLED


@pytest.mark.parametrize(
    "plan",
    [
        "outbox.after_lunch=kill",
        "outbox.after_insert",
        "outbox.after_insert=explode",
        "outbox.after_insert=sleep:long",
        "outbox.after_insert=kill:9",
        "outbox.after_insert=kill@soon",
        "jobs.after_lease=kill,nonsense",
    ],
)
def test_a_plan_that_cannot_be_read_is_refused_and_changes_nothing(plan: str) -> None:
    with pytest.raises(FailpointError, match=r"no failpoint|must read"):
        failpoints.arm(plan)


async def test_a_job_that_fails_before_it_settles_has_done_nothing(sample: Host) -> None:
    failpoints.arm("jobs.before_settle=error@1")
    await order(sample, Bake(number=1), Bake(number=2))
    await Jobs(sample).settle()
    assert await log(sample) == ["baked 2"]
    assert [row["error"] for row in await rows(sample)] == [
        "Planned: jobs.before_settle was told to fail.",
        None,
    ]
