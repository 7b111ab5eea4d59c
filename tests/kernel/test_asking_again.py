"""Asked for again while it is carried out: at its time, however that ends. On both databases."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.commands import ATTEMPTS, LEASE, LOST, Commands, Lease, backoff
from martech.kernel.host import Host
from tests.commanding import due, fail, held, lease, postpone, settle
from tests.kitchen import NOON, order, rows
from tests.sample.kitchen.domain import Bake

pytestmark = pytest.mark.anyio

End = Callable[[Host, Commands, Lease], Awaitable[object]]
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


async def test_asked_for_again_while_it_is_carried_out_it_runs_once_more(
    host: Host, commands: Commands
) -> None:
    await order(host, Bake(number=1), key="bread")
    running = await held(host, commands)
    await order(host, Bake(number=1), key="bread")
    await order(host, Bake(number=1), key="bread")
    await settle(host, commands, running)
    (row,) = await rows(host)
    assert (row["done_at"], row["attempts"]) == (None, 0)
    await settle(host, commands, await held(host, commands))
    assert (await rows(host))[0]["done_at"] == NOON


async def test_asked_for_again_for_an_earlier_time_it_comes_earlier(host: Host) -> None:
    for minutes, then in ((9, 9), (5, 5), (7, 5)):
        await order(host, Bake(number=1), at=NOON + minutes * MINUTE, key="bread")
        assert [row["due_at"] for row in await rows(host)] == [NOON + then * MINUTE]


async def test_while_it_is_carried_out_the_earliest_time_asked_for_counts(
    host: Host, commands: Commands
) -> None:
    await order(host, Bake(number=1), key="bread")
    running = await held(host, commands)
    for minutes in (7, 3, 5):
        await order(host, Bake(number=1), at=NOON + minutes * MINUTE, key="bread")
    await settle(host, commands, running)
    assert [row["due_at"] for row in await rows(host)] == [NOON + 3 * MINUTE]


async def test_asked_for_again_during_its_last_attempt_it_is_not_parked(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1), key="bread")
    for attempt in range(1, ATTEMPTS + 1):
        running = await held(host, commands)
        if attempt == ATTEMPTS:
            await order(host, Bake(number=1), key="bread")
        assert not await fail(host, commands, running)
        clock.move(2 * backoff(attempt, running.id))
    (row,) = await rows(host)
    assert (row["parked_at"], row["attempts"]) == (None, 0)


async def test_asked_for_again_before_the_last_of_its_processes_died_it_is_not_parked(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1), key="bread")
    for _ in range(ATTEMPTS):
        await held(host, commands)
        clock.move(LEASE)
    await order(host, Bake(number=1), key="bread")
    assert (await held(host, commands)).attempts == 0


@pytest.mark.parametrize("asked", [timedelta(days=1), SECOND])
async def test_asked_for_again_for_later_it_is_not_tried_again_any_later(
    host: Host, commands: Commands, asked: timedelta
) -> None:
    await order(host, Bake(number=1), key="bread")
    running = await held(host, commands)
    await order(host, Bake(number=1), at=NOON + asked, key="bread")
    await fail(host, commands, running)
    (row,) = await rows(host)
    assert row["due_at"] == NOON + min(asked, backoff(1, running.id))


async def is_away(host: Host, commands: Commands, running: Lease) -> None:
    await postpone(host, commands, running, SECOND)


async def is_killed(host: Host, commands: Commands, running: Lease) -> None:
    """Nobody is left to say anything."""


@pytest.mark.parametrize("end", [fail, is_away, is_killed])
async def test_however_an_attempt_ended_what_was_asked_for_meanwhile_comes_at_its_time(
    host: Host, commands: Commands, clock: TestClock, end: End
) -> None:
    await order(host, Bake(number=1), key="bread")
    running = await held(host, commands)
    await order(host, Bake(number=1), at=NOON + HOUR, key="bread")
    await end(host, commands, running)
    clock.move(LEASE)
    await settle(host, commands, await held(host, commands))
    (row,) = await rows(host)
    assert (row["done_at"], row["due_at"]) == (None, NOON + HOUR)
    clock.move(HOUR)
    await settle(host, commands, await held(host, commands))
    assert (await rows(host))[0]["done_at"] == clock.now()


async def test_what_begins_at_the_time_asked_for_or_later_is_what_was_asked_for(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1), key="bread")
    running = await held(host, commands)
    await order(host, Bake(number=1), at=NOON + SECOND, key="bread")
    await postpone(host, commands, running, MINUTE)
    clock.move(MINUTE)
    await settle(host, commands, await held(host, commands))
    assert (await rows(host))[0]["done_at"] == clock.now()


async def test_what_fails_to_the_end_before_the_time_asked_for_rests_until_then(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    """And has all its attempts before it: so often is a poison tried, and no oftener."""
    await order(host, Bake(number=1), key="bread")
    for attempt in range(1, ATTEMPTS + 1):
        running = await held(host, commands)
        if attempt == 1:
            await order(host, Bake(number=1), at=NOON + 24 * HOUR, key="bread")
        assert not await fail(host, commands, running)
        clock.move(2 * backoff(attempt, running.id))
    (row,) = await rows(host)
    assert (row["due_at"], row["attempts"], row["error"]) == (NOON + 24 * HOUR, 0, "no flour")
    clock.move(24 * HOUR)
    parked = []
    for attempt in range(1, ATTEMPTS + 1):
        running = await held(host, commands)
        parked.append(await fail(host, commands, running))
        clock.move(2 * backoff(attempt, running.id))
    assert parked == [False] * (ATTEMPTS - 1) + [True]


async def test_what_kills_them_all_before_the_time_asked_for_rests_until_then(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1), key="bread")
    await held(host, commands)
    await order(host, Bake(number=1), at=NOON + 24 * HOUR, key="bread")
    for _ in range(ATTEMPTS - 1):
        clock.move(LEASE)
        await held(host, commands)
    clock.move(LEASE)
    assert await lease(host, commands) is None
    (row,) = await rows(host)
    assert (row["due_at"], row["attempts"], row["error"]) == (NOON + 24 * HOUR, 0, LOST)
    assert await due(host, commands) == []
    clock.move(24 * HOUR)
    for _ in range(ATTEMPTS):
        await held(host, commands)
        clock.move(LEASE)
    assert await lease(host, commands) is None
    assert (await rows(host))[0]["parked_at"] == clock.now()
