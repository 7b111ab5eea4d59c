"""M16: whoever was paused past their lease and taken over commits nothing any more."""

import os
import signal
from datetime import UTC, datetime
from uuid import UUID

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.commands import LEASE, Commands
from martech.kernel.host import Host
from martech.kernel.jobs import Carrier, Jobs
from martech.kernel.settings import Settings
from tests import databases
from tests.chaos.history import GuaranteeBroken, History, insist
from tests.chaos.holders import GO_ON, NoFence, SettlesAlone, hold, work
from tests.chaos.processes import KILLED, Child
from tests.kitchen import log, order, rows
from tests.sample.kitchen.domain import Bake, Deliver

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]


async def take_over(
    url: str, what: type[Bake | Deliver], times: int, commands: type[Commands]
) -> History:
    """Stop a holder in the middle of each of *times* commands, do it in its place, let it go on."""
    history = History()
    async with Host(databases.SAMPLE, Settings(database_url=url)) as host:
        for number in range(times):
            await order(host, what(number=number))
            history.attempt(number)
        ids: list[UUID] = [row["id"] for row in await rows(host)]
    late = TestClock(datetime.now(UTC) + 10 * LEASE)
    holder = Child(hold, url, ids, commands)
    stopped = 0
    async with Host(databases.SAMPLE, Settings(database_url=url), clock=late) as host:
        other = Carrier(host, "kitchen")
        while (pid := await holder.said()) != "done":
            os.kill(pid, signal.SIGSTOP)
            assert await other.carry_out(ids[stopped]), "nobody held it, or it could not be taken"
            history.acknowledge(stopped)
            os.kill(pid, GO_ON)
            os.kill(pid, signal.SIGCONT)
            stopped += 1
    insist(faults=stopped, wanted=times, tried=len(history.acknowledged), planned=times)
    return history


async def doubled(
    url: str, what: type[Bake | Deliver], times: int, commands: type[Commands]
) -> int:
    """How many of *times* stale holders got something committed."""
    word = {Bake: "baked", Deliver: "delivered"}[what]
    history = await take_over(url, what, times, commands)
    async with Host(databases.SAMPLE, Settings(database_url=url)) as host:
        done = [int(line.split()[1]) for line in await log(host) if line.startswith(word)]
        assert all(row["done_at"] and row["fence"] == 2 for row in await rows(host))
    verdict = history.compare(done)
    if verdict.lost or verdict.unexpected:
        raise GuaranteeBroken(str(verdict))
    return len(verdict.duplicated)


async def test_a_delivery_that_was_taken_over_is_not_settled_by_the_old_holder(
    sample_url: str, full: bool
) -> None:
    assert await doubled(sample_url, Deliver, 50 if full else 10, Commands) == 0


@pytest.mark.planted
async def test_without_a_fence_every_stale_holder_commits(sample_url: str) -> None:
    assert await doubled(sample_url, Deliver, 5, NoFence) == 5


# On SQLite a holder inside its transaction has the file to itself: there is nothing to take over.
async def test_what_was_done_inside_is_rolled_back_when_the_lease_was_lost(
    postgresql_url: str, full: bool
) -> None:
    assert await doubled(postgresql_url, Bake, 50 if full else 10, Commands) == 0


@pytest.mark.planted
async def test_without_a_fence_what_was_done_inside_stays(postgresql_url: str) -> None:
    assert await doubled(postgresql_url, Bake, 5, NoFence) == 5


PLACES = (
    "jobs.after_lease",
    "unit.before_write",
    "jobs.before_settle",
    "unit.before_commit",
    "unit.after_commit",
    "jobs.after_settle",
)


async def die_again_and_again(url: str, carrier: type[Carrier], rounds: int) -> None:
    """Kill workers at every place in turn; what they leave others take over, until all is done."""
    history, clock, killed, left = History(), TestClock(datetime.now(UTC)), 0, 0
    async with Host(databases.SAMPLE, Settings(database_url=url), clock=clock) as host:
        for kill in range(rounds):
            numbers = range(kill * 3, kill * 3 + 3)
            await order(host, *(Bake(number=number) for number in numbers))
            history.attempt(*numbers)
            history.acknowledge(*numbers)
            plan = f"{PLACES[kill % len(PLACES)]}=kill@{kill % 3 + 1}"
            child = Child(work, url, clock.now(), plan, carrier)
            killed += await child.ended() == KILLED
            left += len([row for row in await rows(host) if not row["done_at"]])
            clock.move(LEASE)
            await Jobs(host, carrier=carrier).settle()
        insist(
            faults=killed,
            wanted=rounds,
            tried=len(history.attempted),
            planned=3 * rounds,
            progress=left,  # to be taken over
            outstanding=len([row for row in await rows(host) if not row["done_at"]]),
        )
        history.compare(int(line.split()[1]) for line in await log(host)).hold()


async def test_a_killed_workers_commands_are_taken_over_and_done_once(
    sample_url: str, full: bool
) -> None:
    await die_again_and_again(sample_url, Carrier, 120 if full else 12)


@pytest.mark.planted
async def test_settling_apart_from_the_effect_would_do_things_twice(sample_url: str) -> None:
    with pytest.raises(GuaranteeBroken, match=r"duplicated [1-9]"):
        await die_again_and_again(sample_url, SettlesAlone, 12)
