"""What the `commands` table promises, on both databases."""

import asyncio
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.commands import (
    ATTEMPTS,
    KEPT,
    LEASE,
    LOST,
    RESEND,
    Commands,
    Stale,
    backoff,
)
from martech.kernel.errors import Conflict, NotFound
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from tests.commanding import due, fail, held, lease, settle
from tests.kitchen import NOON, OTHER, TENANT, order, rows
from tests.sample.kitchen.domain import Bake, Deliver

pytestmark = pytest.mark.anyio

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


async def test_a_command_is_written_with_the_transaction_or_not_at_all(host: Host) -> None:
    async def change_my_mind() -> None:
        async with host.unit("kitchen", TENANT) as kitchen:
            await kitchen.order(Bake(number=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_my_mind()
    assert await rows(host) == []
    await order(host, Bake(number=1))
    (row,) = await rows(host)
    assert (row["tenant"], row["type"]) == (TENANT, "kitchen.bake.v1")
    assert (row["data"], row["due_at"], row["fence"]) == (b'{"number":1}', NOON, 0)


async def test_what_is_due_goes_out_in_the_order_of_its_time(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    for number in (3, 1, 2):
        await order(host, Bake(number=number), at=NOON + number * SECOND)
    three, one, two = [row["id"] for row in await rows(host)]
    assert await due(host, commands) == []
    async with host.databases["kitchen"].unit(write=False) as unit:
        assert await commands.next_due(unit) == NOON + SECOND
    clock.move(2 * SECOND)
    assert await due(host, commands) == [one, two]
    clock.move(SECOND)
    assert await due(host, commands) == [three]


async def test_what_is_on_its_way_is_not_sent_again_before_the_broker_had_its_time(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1))
    assert len(await due(host, commands)) == 1
    clock.move(RESEND - timedelta(seconds=1))
    assert await due(host, commands) == []
    clock.move(timedelta(seconds=1))
    assert len(await due(host, commands)) == 1


async def test_no_more_than_the_window_is_on_its_way(host: Host, commands: Commands) -> None:
    await order(host, *(Bake(number=n) for n in range(5)))
    first = await due(host, commands, window=2)
    assert len(first) == 2
    assert await due(host, commands, window=2) == []
    await settle(host, commands, await held(host, commands, first[0]))
    assert len(await due(host, commands, window=2)) == 1


async def test_two_sweepers_never_send_the_same(host: Host, commands: Commands) -> None:
    await order(host, *(Bake(number=n) for n in range(50)))
    sent = await asyncio.gather(*(due(host, commands, window=10) for _ in range(8)))
    ids = [id_ for batch in sent for id_ in batch]
    assert len(ids) == len(set(ids)) >= 10


async def test_of_many_who_want_it_one_gets_it(host: Host, commands: Commands) -> None:
    await order(host, Bake(number=1))
    taken = await asyncio.gather(*(lease(host, commands) for _ in range(10)))
    assert len([one for one in taken if one]) == 1


async def test_a_command_that_is_not_due_cannot_be_taken(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1), at=NOON + MINUTE)
    assert await lease(host, commands) is None
    clock.move(MINUTE)
    assert await lease(host, commands) is not None


async def test_whoever_was_taken_over_can_do_nothing(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1))
    old = await held(host, commands)
    assert await lease(host, commands) is None
    clock.move(LEASE)
    new = await held(host, commands)
    assert new.fence == old.fence + 1
    for attempt in (commands.settle, commands.holds, commands.gets_on, commands.renew):
        with pytest.raises(Stale):
            async with host.databases["kitchen"].unit() as unit:
                await attempt(unit, old)
    with pytest.raises(Stale):
        await fail(host, commands, old)
    await settle(host, commands, new)
    with pytest.raises(Stale):
        await settle(host, commands, new)
    assert await lease(host, commands) is None


async def test_a_renewed_lease_is_not_taken_over(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1))
    mine = await held(host, commands)
    clock.move(LEASE * 0.9)
    async with host.databases["kitchen"].unit() as unit:
        await commands.renew(unit, mine)
    clock.move(LEASE * 0.9)
    assert await lease(host, commands) is None
    await settle(host, commands, mine)


async def test_a_failure_waits_longer_each_time_and_the_last_one_parks(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1))
    waits = []
    for attempt in range(1, ATTEMPTS + 1):
        parked = await fail(host, commands, await held(host, commands))
        (row,) = await rows(host)
        assert (row["attempts"], row["error"], parked) == (attempt, "no flour", attempt == ATTEMPTS)
        waits.append(row["due_at"] - clock.now())
        clock.move(waits[-1])
    assert waits == sorted(waits)
    assert await lease(host, commands) is None
    async with host.databases["kitchen"].unit(write=False) as unit:
        (seen,) = await commands.parked(unit)
        assert await commands.next_due(unit) is None
    assert (seen.error, seen.attempts, seen.tenant) == ("no flour", ATTEMPTS, TENANT)


async def test_whoever_carries_it_out_and_is_never_heard_of_again_has_failed(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    """It may be what kills them all."""
    await order(host, Bake(number=1))
    for attempt in range(ATTEMPTS):
        taken = await held(host, commands)
        assert (taken.attempts, taken.fence) == (attempt, attempt + 1)
        clock.move(LEASE)
    assert await lease(host, commands) is None
    async with host.databases["kitchen"].unit() as unit:
        (seen,) = await commands.parked(unit)
        assert await commands.next_due(unit) is None
        await commands.retry(unit, seen.id)
    assert (seen.error, seen.attempts) == (LOST, ATTEMPTS)
    assert (await held(host, commands)).attempts == 0


async def test_what_comes_further_each_time_is_never_parked_for_who_dies_of_it(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1))
    for _ in range(2 * ATTEMPTS):
        taken = await held(host, commands)
        async with host.databases["kitchen"].unit() as unit:
            await commands.gets_on(unit, taken)
        clock.move(LEASE)
    assert (await held(host, commands)).attempts == 1


async def test_who_finishes_after_others_were_lost_leaves_none_of_it_behind(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1), key="again")
    await held(host, commands)
    clock.move(LEASE)
    mine = await held(host, commands)
    await order(host, Bake(number=1), key="again")
    await settle(host, commands, mine)
    assert (await held(host, commands)).attempts == 0


def test_backoff_stays_within_reason() -> None:
    for attempt in range(1, 60):
        assert timedelta(seconds=2) <= backoff(attempt, UUID(int=attempt)) <= timedelta(hours=1.25)


async def test_an_operator_can_have_it_tried_again(host: Host, commands: Commands) -> None:
    await order(host, Bake(number=1), key="one")
    id_ = await parked(host, commands)
    async with host.databases["kitchen"].unit() as unit:
        await commands.retry(unit, id_)
    assert (await held(host, commands)).attempts == 0
    with pytest.raises(NotFound, match="no parked command"):
        async with host.databases["kitchen"].unit() as unit:
            await commands.retry(unit, id_)


async def test_a_parked_command_does_not_come_back_beside_a_newer_one(
    host: Host, commands: Commands
) -> None:
    await order(host, Bake(number=1), key="one")
    id_ = await parked(host, commands)
    await order(host, Bake(number=1), key="one")
    assert len(await rows(host)) == 2
    with pytest.raises(Conflict, match="same key"):
        async with host.databases["kitchen"].unit() as unit:
            await commands.retry(unit, id_)


async def parked(host: Host, commands: Commands) -> UUID:
    """Fail the one command there is to the end."""
    clock = host.clock
    assert isinstance(clock, TestClock)
    taken = await held(host, commands)
    while not await fail(host, commands, taken):
        clock.move(timedelta(hours=2))
        taken = await held(host, commands)
    return taken.id


async def test_of_one_key_and_type_one_command_is_open(host: Host, commands: Commands) -> None:
    await asyncio.gather(*(order(host, Bake(number=n), key="bread") for n in range(10)))
    await order(host, Deliver(number=1), key="bread")
    await order(host, Bake(number=1), key="bread", tenant=OTHER)
    await order(host, Bake(number=1))
    await order(host, Bake(number=1))
    opened = [(row["tenant"], row["type"], row["key"]) for row in await rows(host)]
    assert len(opened) == 5
    assert opened.count((TENANT, "kitchen.bake.v1", "bread")) == 1
    await settle(host, commands, await held(host, commands))
    await order(host, Bake(number=11), key="bread")
    assert len(await rows(host)) == 6


async def test_while_a_subscription_replays_nothing_outward_is_written(host: Host) -> None:
    database = host.databases["kitchen"]
    async with database.unit(replaying=True) as unit:
        for number in range(3):
            unit.of(TENANT).enqueue(Deliver(number=number))
        unit.of(TENANT).enqueue(Bake(number=1))
    assert [row["type"] for row in await rows(host)] == ["kitchen.bake.v1"]
    assert database.dropped == 3


async def test_what_was_done_long_ago_is_forgotten(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1))
    await settle(host, commands, await held(host, commands))
    await order(host, Bake(number=2))
    for move, left in ((KEPT, 2), (MINUTE, 1)):
        clock.move(move)
        async with host.databases["kitchen"].unit() as unit:
            assert not await commands.forget(unit)
        assert len(await rows(host)) == left


async def test_however_much_was_done_long_ago_it_is_forgotten(
    host: Host, commands: Commands, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await order(host, Bake(number=number))
    for row in await rows(host):
        await settle(host, commands, await held(host, commands, row["id"]))
    clock.move(KEPT + MINUTE)
    carrier = Jobs(host).carriers["kitchen"]
    monkeypatch.setattr(carrier.commands, "forget", partial(carrier.commands.forget, limit=2))
    await carrier.forget()
    assert await rows(host) == []


async def test_two_who_enqueue_the_same_keys_in_another_order_do_not_block_each_other(
    host: Host,
) -> None:
    keys = [f"key {number:03}" for number in range(200)]

    async def ask(names: list[str]) -> None:
        async with host.databases["kitchen"].transaction(TENANT) as tx:
            for name in names:
                tx.enqueue(Bake(number=1), key=name)

    await asyncio.gather(*(ask(keys if n % 2 else keys[::-1]) for n in range(6)))
    assert {row["key"] for row in await rows(host)} == set(keys)


async def test_ids_are_in_the_order_of_enqueueing(host: Host) -> None:
    async with host.databases["kitchen"].transaction(TENANT) as tx:
        for name in ("c", "a", None, "b"):
            tx.enqueue(Bake(number=1), key=name)
    assert [row["key"] for row in await rows(host)] == ["c", "a", None, "b"]


async def test_a_clock_that_is_set_back_holds_up_nothing_new(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await order(host, Bake(number=1), Bake(number=2))
    before = await due(host, commands, window=2)
    clock.move(-MINUTE)
    await order(host, Bake(number=3), tenant=OTHER)
    (new,) = await due(host, commands, window=2)
    assert new not in before
    await settle(host, commands, await held(host, commands, new))


async def test_what_was_brought_before_its_time_is_on_its_way_no_longer(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    """Its time is ahead again where the clock was set back, and then it goes out at once."""
    await order(host, Bake(number=1))
    sent = await due(host, commands)
    clock.move(-MINUTE)
    assert await lease(host, commands) is None
    clock.move(MINUTE)
    assert await due(host, commands) == sent
