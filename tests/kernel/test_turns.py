"""Whose commands go out next, on both databases: a tenant's backlog holds up that tenant."""

from datetime import timedelta
from uuid import UUID

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.commands import Commands, turns
from martech.kernel.host import Host
from tests.commanding import due, held, settle
from tests.kitchen import NOON, order, rows
from tests.sample.kitchen.domain import Bake

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
GREEDY, *OTHERS = (UUID(int=number) for number in range(1, 8))


async def orders(host: Host, clock: TestClock, tenant: UUID, number: int) -> None:
    """That many of *tenant*, later than all before."""
    clock.move(SECOND)
    await order(host, *(Bake(number=n) for n in range(number)), tenant=tenant)


async def sent(host: Host, commands: Commands, window: int) -> list[int]:
    """Whose commands go out; they are done at once."""
    tenants = {row["id"]: row["tenant"].int for row in await rows(host)}
    ids = await due(host, commands, window)
    for id_ in ids:
        await settle(host, commands, await held(host, commands, id_))
    return [tenants[id_] for id_ in ids]


async def test_where_there_is_room_for_all_the_oldest_comes_first(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    for tenant, number in ((OTHERS[0], 2), (GREEDY, 2), (OTHERS[1], 1)):
        await orders(host, clock, tenant, number)
    assert await sent(host, commands, window=5) == [2, 2, 1, 1, 3]


async def test_where_there_is_not_the_tenants_come_in_turn(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    await orders(host, clock, GREEDY, 50)
    for tenant, number in zip(OTHERS[:3], (1, 5, 2), strict=True):
        await orders(host, clock, tenant, number)
    assert await sent(host, commands, window=8) == [1, 2, 3, 4, 1, 3, 4, 1]
    assert sorted(await sent(host, commands, window=8)) == [1, 1, 1, 1, 1, 3, 3, 3]
    assert await sent(host, commands, window=8) == [1] * 8


async def test_a_window_smaller_than_the_number_of_tenants_passes_over_nobody(
    host: Host, commands: Commands, clock: TestClock
) -> None:
    for tenant in (GREEDY, *OTHERS):
        await orders(host, clock, tenant, 3)
    went = [await sent(host, commands, window=2) for _ in range(7)]
    assert sorted(tenant for two in went for tenant in two) == sorted([*range(1, 8)] * 2)


async def test_tenants_with_nothing_but_timers_take_no_turn_and_hide_nobody(
    host: Host, commands: Commands, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "WALK", 2)
    await orders(host, clock, GREEDY, 50)
    for tenant in OTHERS[:-1]:
        await order(host, Bake(number=1), at=NOON + timedelta(days=1), tenant=tenant)
    await orders(host, clock, OTHERS[-1], 1)
    went = [await sent(host, commands, window=4) for _ in range(4)]
    assert sum(7 in four for four in went) == 1
    assert all(len(four) == 4 for four in went)
