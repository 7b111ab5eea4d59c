"""A projection is made anew beside the one in use. On both databases."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import delete, inspect, select, update

from martech.kernel import failpoints, parked, shadow
from martech.kernel.bus import Bus
from martech.kernel.bus.replay import replay
from martech.kernel.columns import table
from martech.kernel.db.engines import is_sqlite, sqlite_file
from martech.kernel.errors import Conflict, NotFound
from martech.kernel.host import Host
from martech.kernel.messages import wire_name
from martech.kernel.module import ManifestError, Projection
from martech.kernel.settings import Settings
from tests.chaos.loads import TENANT, lines, set_aside
from tests.chaos.processes import KILLED, Child, Say
from tests.chaos.reminding import REBUILDING, REMINDING, Expire
from tests.kernel.replaying import refusing, reminded, sell, settle
from tests.sample.ledger import tables
from tests.sample.ledger.handlers import write_sales_down

pytestmark = pytest.mark.anyio

NAME = "ledger.write_sales_down"
SHOP, LEDGER = REMINDING


@pytest.fixture
async def host(sample_url: str) -> AsyncIterator[Host]:
    async with Host(REBUILDING, Settings(database_url=sample_url)) as host:
        yield host


async def rebuild(host: Host, **limits: float) -> list[tuple[int, int]]:
    """What was seen of it."""
    seen: list[tuple[int, int]] = []
    await shadow.rebuild(host, NAME, lambda *step: seen.append(step), **limits)
    return seen


async def spoil(host: Host) -> None:
    """Whatever is in use is wrong in every line but one, which is lost."""
    async with host.databases["ledger"].across() as connection:
        await connection.execute(update(tables.lines).values(number=-1))
        await connection.execute(delete(tables.lines).where(tables.lines.c.id == 1))


async def numbers(host: Host) -> list[int]:
    return [number for _, number in await lines(host)]


async def shadows(host: Host) -> list[str]:
    """What is left of one."""
    database = host.databases["ledger"]
    if is_sqlite(database.url):
        return [file.name for file in sqlite_file(database.url, "x").parent.glob("*_shadow.db*")]
    async with database.across(write=False) as connection:
        names = await connection.run_sync(lambda sync: inspect(sync).get_schema_names())
    return [name for name in names if name.endswith("_shadow")]


async def make_anew(say: Say, url: str, plan: str) -> None:
    """In a process of its own, that fails as *plan* says."""
    async with Host(REBUILDING, Settings(database_url=url)) as host:
        failpoints.arm(plan)
        await rebuild(host)


async def test_what_was_wrong_is_right_again_and_nobody_outside_notices(host: Host) -> None:
    await sell(host, 1, 2, 3)
    await sell(host, 4)
    await settle(host)
    await spoil(host)
    seen = await rebuild(host)
    assert seen[-1][0] == seen[-1][1] > 0
    await sell(host, 5)
    await settle(host)
    assert await numbers(host) == [1, 2, 3, 4, 5]
    assert reminded(host) == Counter([1, 2, 3, 4, 5])


async def test_the_one_in_use_goes_on_meanwhile(host: Host) -> None:
    await sell(host, *range(100))
    await settle(host)
    await spoil(host)
    going_on = asyncio.create_task(Bus(host).run())
    try:
        making = asyncio.create_task(rebuild(host, batch=10))
        for number in range(100, 140):
            await sell(host, number)
        await making
    finally:
        going_on.cancel()
        with suppress(asyncio.CancelledError):
            await going_on
    await settle(host)
    assert await numbers(host) == list(range(140))
    assert reminded(host) == Counter(range(140))


async def test_what_is_set_aside_is_done_once_in_whichever_is_in_use_by_then(host: Host) -> None:
    with refusing(2):
        await sell(host, 1, 2, 3)
        await settle(host, patience=1)
    await rebuild(host)
    assert await numbers(host) == [1, 3]
    assert len(await set_aside(host)) == 1
    (one,) = await parked.parked(host)
    await parked.retry(host, "ledger", one.id)
    await settle(host)
    assert await numbers(host) == [1, 3, 2]
    assert reminded(host) == Counter([1, 2, 3])


async def test_what_was_set_aside_and_is_done_meanwhile_is_caught_up_on(host: Host) -> None:
    with refusing(2):
        await sell(host, 1, 2, 3)
        await settle(host, patience=1)
    (one,) = await parked.parked(host)
    await parked.retry(host, "ledger", one.id)
    looked = asyncio.Event()

    async def go_on() -> None:
        await looked.wait()
        await settle(host)

    going_on = asyncio.create_task(go_on())
    await shadow.rebuild(host, NAME, lambda *_: looked.set(), batch=1)
    await going_on
    assert sorted(await numbers(host)) == [1, 2, 3]
    assert reminded(host) == Counter([1, 2, 3])
    assert await set_aside(host) == []


async def test_what_only_the_new_one_cannot_handle_is_parked(host: Host) -> None:
    await sell(host, 1, 2, 3)
    await settle(host)
    with refusing(2):
        await rebuild(host, patience=1)
    assert await numbers(host) == [1, 3]
    (one,) = await parked.parked(host)
    await parked.retry(host, "ledger", one.id)
    await settle(host)
    assert await numbers(host) == [1, 3, 2]
    assert reminded(host) == Counter([1, 2, 3])


async def test_inward_commands_go_along_and_outward_ones_do_not(host: Host) -> None:
    await sell(host, 1, 2, 3)
    await settle(host)
    dropped = await shadow.rebuild(host, NAME, lambda *_: None)
    assert dropped == 3
    database = host.databases["ledger"]
    waiting = table(database.metadata, "commands")
    async with database.across(write=False) as connection:
        open_ = select(waiting.c.type).where(waiting.c.done_at.is_(None))
        found = (await connection.execute(open_)).scalars().all()
    assert found == [wire_name(Expire)] * 3


@pytest.mark.parametrize("place", ["shadow.after_step", "shadow.before_commit"])
async def test_one_that_failed_leaves_what_is_in_use_and_nothing_else(
    host: Host, place: str
) -> None:
    await sell(host, 1, 2, 3)
    await settle(host)
    await spoil(host)
    spoilt = await numbers(host)
    failpoints.arm(f"{place}=error")
    try:
        with pytest.raises(failpoints.Planned):
            await rebuild(host)
    finally:
        failpoints.arm("")
    assert await numbers(host) == spoilt
    assert await shadows(host) == []
    await rebuild(host)
    assert await numbers(host) == [1, 2, 3]


@pytest.mark.parametrize(
    ("place", "after"),
    [
        ("shadow.after_step", [-1, -1]),
        ("shadow.before_commit", [-1, -1]),
        ("shadow.after_commit", [1, 2, 3]),
    ],
)
async def test_one_that_was_killed_leaves_what_is_in_use_and_the_next_begins_again(
    host: Host, sample_url: str, place: str, after: list[int]
) -> None:
    await sell(host, 1, 2, 3)
    await settle(host)
    await spoil(host)
    child = Child(make_anew, sample_url, f"{place}=kill")
    assert await child.ended() == KILLED
    assert await numbers(host) == after
    await rebuild(host)
    assert await numbers(host) == [1, 2, 3]
    assert await shadows(host) == []
    assert reminded(host) == Counter([1, 2, 3])


async def test_what_a_killed_one_left_can_be_removed(host: Host, sample_url: str) -> None:
    await sell(host, 1)
    await settle(host)
    child = Child(make_anew, sample_url, "shadow.after_step=kill")
    assert await child.ended() == KILLED
    assert await shadows(host) != []
    await shadow.abandon(host, NAME)
    assert await shadows(host) == []
    await shadow.abandon(host, NAME)


async def test_there_is_one_at_a_time(host: Host) -> None:
    await sell(host, 1)
    await settle(host)
    begun = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        with refusing(1):
            making = tasks.create_task(shadow.rebuild(host, NAME, lambda *_: begun.set()))
            await begun.wait()
            with pytest.raises(Conflict, match="Another replay"):
                await rebuild(host)
            with pytest.raises(Conflict, match="Another replay"):
                await shadow.abandon(host, NAME)
        await making
    assert await numbers(host) == [1]


async def test_a_replay_of_the_one_in_use_ends_it(host: Host) -> None:
    await sell(host, 1, 2)
    await sell(host, 3)
    await settle(host)
    begun = asyncio.Event()

    async def rewind() -> None:
        await begun.wait()
        await replay(host, NAME, 0, in_place=True)

    with refusing(3):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(rewind())
            with pytest.raises(Conflict, match="was replayed meanwhile"):
                await shadow.rebuild(host, NAME, lambda *_: begun.set())
    assert await shadows(host) == []


async def test_a_handler_that_writes_elsewhere_is_stopped_with_a_sentence(sample_url: str) -> None:
    astray = Projection(of=write_sales_down, tables=[tables.tallies])
    modules = [SHOP, replace(LEDGER, subscriptions=[write_sales_down], projections=[astray])]
    async with Host(modules, Settings(database_url=sample_url)) as host:
        await sell(host, 1)
        await settle(host)
        with pytest.raises(ManifestError, match=r"write_sales_down writes to ledger\.lines"):
            await rebuild(host)
        assert await numbers(host) == [1]


async def test_what_is_written_beside_is_thrown_away(sample_url: str) -> None:
    beside = Projection(of=write_sales_down, tables=[tables.tallies], beside=[tables.lines])
    modules = [SHOP, replace(LEDGER, subscriptions=[write_sales_down], projections=[beside])]
    async with Host(modules, Settings(database_url=sample_url)) as host:
        await sell(host, 1, 2)
        await settle(host)
        await rebuild(host)
        assert await numbers(host) == [1, 2]


async def test_what_is_no_projection_is_told_which_are(host: Host) -> None:
    with pytest.raises(NotFound, match=r"There are: ledger\.write_sales_down"):
        await shadow.rebuild(host, "ledger.lines", lambda *_: None)


async def test_a_reader_is_waited_for_and_sees_one_state_of_things(host: Host) -> None:
    """PostgreSQL's swap gives way and tries again; on SQLite nobody is in the way."""
    await sell(host, 1, 2, 3)
    await settle(host)
    await spoil(host)
    gave_way, steps = asyncio.Event(), []

    def seen(*step: int) -> None:
        steps.append(step)
        if len(steps) > 2:  # it has caught up, found nothing more, and tried to swap
            gave_way.set()

    async with host.unit("ledger", TENANT, write=False) as ledger:
        spoilt = await ledger.read()
        making = asyncio.create_task(shadow.rebuild(host, NAME, seen))
        waiting = asyncio.create_task(gave_way.wait())
        await asyncio.wait({making, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert making.done() == is_sqlite(host.databases["ledger"].url)
        assert await ledger.read() == spoilt
    await making
    waiting.cancel()
    assert await numbers(host) == [1, 2, 3]
