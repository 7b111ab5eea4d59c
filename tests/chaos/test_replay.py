"""M11: a projection is built anew beside live traffic, and nobody outside notices."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

import msgspec
import pytest
from sqlalchemy import delete, func, select

from martech.kernel import shadow
from martech.kernel.bus import Bus, Delivery
from martech.kernel.columns import table
from martech.kernel.cursors import Cursors
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.messages import Event, wire_name
from martech.kernel.outbox import read
from martech.kernel.settings import Settings
from tests.chaos.defects import ActingShadow, ActsWhileReplaying, TellsWhileReplaying
from tests.chaos.history import GuaranteeBroken, insist
from tests.chaos.loads import TENANT, lines, set_aside
from tests.chaos.reminding import REBUILDING, TELLING, Expire, Outside, Written
from tests.sample.ledger import tables
from tests.sample.shop.contract import Sold

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

SUBSCRIPTION = "write_sales_down"

E = TypeVar("E", bound=Event)


async def sell(host: Host, numbers: Iterable[int]) -> None:
    """In folded events of 1 to 12."""
    waiting: list[int] = []
    for number in numbers:
        waiting.append(number)
        if len(waiting) > number % 12:
            async with host.unit("shop", TENANT) as shop:
                await shop.sell(waiting, f"buyer {number % 9}")
            waiting = []
    async with host.unit("shop", TENANT) as shop:
        await shop.sell(waiting, "the last")


async def build_anew(host: Host) -> int:
    """Empty the projection and rewind its cursor, in one transaction; how many lines there were."""
    database = host.databases["ledger"]
    cursors = Cursors(database.metadata, SUBSCRIPTION)
    while True:
        async with database.across() as connection:
            if await cursors.rewind(connection, 0) is not None:
                counted = await connection.execute(select(func.count()).select_from(tables.lines))
                await connection.execute(delete(tables.lines))
                return int(counted.scalar_one())
        await asyncio.sleep(0)


async def told(host: Host, module: str, type_: type[E]) -> list[E]:
    """What stands in the outbox of *module*, in its order."""
    database = host.databases[module]
    async with database.across(write=False) as connection:
        records = await read(
            connection,
            database.metadata,
            after=0,
            types=[wire_name(type_)],
            items=1_000_000,
            size=1_000_000_000,
        )
    return [msgspec.json.decode(record.data, type=type_) for record in records]


async def sold(host: Host) -> list[tuple[str, int]]:
    """What the projection has to say in the end."""
    folded = await told(host, "shop", Sold)
    return [(sale.buyer, sale.number) for sold in folded for sale in sold.items]


def digest(rows: Iterable[tuple[str, int]]) -> str:
    return hashlib.sha256(msgspec.json.encode(list(rows))).hexdigest()


async def replay(url: str, delivery: type[Delivery], events: int) -> None:
    async with Host(TELLING, Settings(database_url=url)) as host:
        bus, jobs = Bus(host, delivery=delivery, batch=50), Jobs(host)
        await sell(host, range(events))
        await bus.settle()
        await jobs.settle()
        before = digest(await lines(host))
        erased = await beside_live_traffic(host, bus, events)
        await bus.settle()
        await jobs.settle()
        after, wanted = await lines(host), await sold(host)
        outstanding = sum([await d.lag() for d in bus.deliveries]) + len(await set_aside(host))
        insist(
            faults=erased, wanted=events, tried=len(wanted), planned=2 * events,
            progress=len(after) - erased, outstanding=outstanding,
        )  # fmt: skip
        if digest(after[:events]) != before or digest(after) != digest(wanted):
            raise GuaranteeBroken("the projection built anew is another")
        numbers = {number for _, number in wanted}
        await _check_commands(host, numbers, erased)
        await _check_events(host, numbers)


async def beside_live_traffic(host: Host, bus: Bus, events: int) -> int:
    """Build anew while the bus runs and the shop sells as much again; how much was erased."""
    running = asyncio.create_task(bus.run())
    selling = asyncio.create_task(sell(host, range(events, 2 * events)))
    await asyncio.sleep(0)
    erased = await build_anew(host)
    await selling
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return erased


async def _check_commands(host: Host, numbers: set[int], replayed: int) -> None:
    """Outside everything happened once; inside, what was heard twice was done twice."""
    outside = host.resources["ledger"][Outside]
    assert isinstance(outside, Outside)
    reminded = Counter(outside.reminded)
    if more := [n for n, times in reminded.items() if times > 1]:
        raise GuaranteeBroken(f"{len(more)} reminded again")
    if reminded.keys() != numbers:
        raise GuaranteeBroken(f"{len(numbers - reminded.keys())} never reminded")
    database = host.databases["ledger"]
    commands = table(database.metadata, "commands")
    inward = select(func.count()).where(commands.c.type == wire_name(Expire))
    async with database.across(write=False) as connection:
        expired = (await connection.execute(inward)).scalar_one()
    if (expired, database.dropped) != (len(numbers) + replayed, replayed):
        raise GuaranteeBroken(f"{expired} inward commands, {database.dropped} outward dropped")


async def _check_events(host: Host, numbers: set[int]) -> None:
    """Others were told of each once, and of what was heard before not again."""
    times = Counter(each.number for each in await told(host, "ledger", Written))
    if more := [number for number, told in times.items() if told > 1]:
        raise GuaranteeBroken(f"{len(more)} told again")
    if times.keys() != numbers:
        raise GuaranteeBroken(f"{len(numbers - times.keys())} never told")


async def rebuild(url: str, events: int) -> None:
    """As `replay`, but in a shadow: nothing in use is emptied, and lines are written once."""
    async with Host(REBUILDING, Settings(database_url=url)) as host:
        bus, jobs = Bus(host, batch=50), Jobs(host)
        await sell(host, range(events))
        await bus.settle()
        await jobs.settle()
        running = asyncio.create_task(bus.run())
        selling = asyncio.create_task(sell(host, range(events, 2 * events)))
        steps: list[tuple[int, int]] = []
        dropped = await shadow.rebuild(
            host, f"ledger.{SUBSCRIPTION}", lambda *at: steps.append(at), batch=50
        )
        await selling
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await bus.settle()
        await jobs.settle()
        after, wanted = await lines(host), await sold(host)
        insist(
            faults=len(steps), wanted=2, tried=len(wanted), planned=2 * events,
            progress=len(after) - events,
            outstanding=sum([await d.lag() for d in bus.deliveries]) + len(await set_aside(host)),
        )  # fmt: skip
        if digest(after) != digest(wanted):
            raise GuaranteeBroken("the projection made anew is another")
        outside = host.resources["ledger"][Outside]
        assert isinstance(outside, Outside)
        if more := [n for n, times in Counter(outside.reminded).items() if times > 1]:
            raise GuaranteeBroken(f"{len(more)} reminded again")
        if set(outside.reminded) != {number for _, number in wanted} or dropped < events:
            raise GuaranteeBroken(f"{len(outside.reminded)} reminded, {dropped} dropped")


async def test_a_projection_is_made_anew_in_a_shadow_beside_live_traffic(
    sample_url: str, full: bool
) -> None:
    await rebuild(sample_url, 1_500 if full else 60)


@pytest.mark.planted
async def test_a_shadow_that_acts_is_found_out(
    sample_url: str, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "ShadowDelivery", ActingShadow)
    with pytest.raises(GuaranteeBroken, match=r"[1-9]\d* reminded again"):
        await rebuild(sample_url, 500 if full else 30)


async def test_a_projection_is_built_anew_beside_live_traffic(sample_url: str, full: bool) -> None:
    await replay(sample_url, Delivery, 1_500 if full else 60)


@pytest.mark.planted
async def test_telling_again_while_replaying_is_found_out(sample_url: str, full: bool) -> None:
    with pytest.raises(GuaranteeBroken, match=r"[1-9]\d* told again"):
        await replay(sample_url, TellsWhileReplaying, 500 if full else 30)


@pytest.mark.planted
async def test_acting_while_replaying_is_found_out(sample_url: str, full: bool) -> None:
    with pytest.raises(GuaranteeBroken, match=r"[1-9]\d* reminded again"):
        await replay(sample_url, ActsWhileReplaying, 500 if full else 30)
