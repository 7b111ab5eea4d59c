"""M8: what cannot be handled is tried so often and parked, and holds up nobody else's key; however
many processes deliver."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import select, update

from martech.kernel.bus import Bus, Delivery
from martech.kernel.bus.again import FIRST_RETRY
from martech.kernel.clock import TestClock
from martech.kernel.columns import table
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests.chaos.defects import ClaimsWhatIsTaken, NeverHalves
from tests.chaos.history import GuaranteeBroken, insist
from tests.chaos.loads import TENANT, lines, set_aside
from tests.chaos.moody import HANGS, RAISES, Mood, moody
from tests.sample.shop.contract import Sale, Sold

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

BROKEN = -3
POISONS = {RAISES: "raises", HANGS: "hangs", BROKEN: "broken"}
TRIED = (RAISES, HANGS)
BUYERS = 40
HOSTS = 3


async def tell(host: Host, events: int, folded: int) -> set[int]:
    """*events* healthy sales in folded events, with the poisons among them; the healthy ones."""
    sales = [Sale(buyer=f"buyer {number % BUYERS}", number=number) for number in range(events)]
    for share, (number, buyer) in enumerate(POISONS.items(), 1):
        place = events * share // 4
        sales.insert(place, Sale(buyer=buyer, number=number))
        sales.insert(place + folded, Sale(buyer=buyer, number=events + share))  # later of that key
    for start in range(0, len(sales), folded):
        async with host.unit("shop", TENANT) as shop:
            shop.tx.publish(Sold(items=sales[start : start + folded]))
    await _spoil(host)
    return {sale.number for sale in sales} - POISONS.keys()


async def _spoil(host: Host) -> None:
    """Make one item what an older or broken producer might have written."""
    database = host.databases["shop"]
    outbox = table(database.metadata, "outbox")
    async with database.across() as connection:
        rows = (await connection.execute(select(outbox.c.position, outbox.c.data))).all()
        spoilt = b'"number":%d' % BROKEN
        ((position, data),) = [row for row in rows if spoilt in row.data]
        data = data.replace(spoilt, b'"number":"three"')
        change = update(outbox).where(outbox.c.position == position).values(data=data)
        await connection.execute(change)


async def park_three(url: str, delivery: type[Delivery], *, full: bool) -> None:
    mood, clock = Mood(), TestClock(datetime(2026, 3, 1, tzinfo=UTC))
    events, folded, patience = (10_000, 500, 8) if full else (300, 25, 4)
    async with AsyncExitStack() as stack:
        hosts = [
            await stack.enter_async_context(
                Host(moody(mood), Settings(database_url=url), clock=clock)
            )
            for _ in range(HOSTS)
        ]
        host = hosts[0]
        healthy = await tell(host, events, folded)
        limits = {
            "patience": patience,
            "batch": folded,
            "deadline": 2.0 if full else 1.0,
            "shortest": 0.2,
        }
        buses = [Bus(each, delivery=delivery, **limits) for each in hosts]
        await _settle(buses)
        first = await _written(host)
        rounds = await _patiently(buses, mood, clock)
        parked, last = await set_aside(host), await _written(host)
        insist(
            faults=sum(n in {n for call in mood.calls for n in call} for n in TRIED),
            wanted=2,
            tried=len(last),
            planned=events,
            outstanding=sum([await d.lag() for d in buses[0].deliveries]),
        )
    behind = {events + 1, events + 2}  # of the keys of those that are tried again
    if missing := healthy - behind - set(first):
        raise GuaranteeBroken(f"{len(missing)} of other keys waited for a second attempt")
    if sorted(last) != sorted(healthy):
        raise GuaranteeBroken(f"{len(last)} handled of {len(healthy)}")
    _check_tried(mood, rounds, patience)
    _check_parked(parked, patience)


async def _settle(buses: Sequence[Bus]) -> None:
    """All at once, as so many processes would."""
    await asyncio.gather(*(bus.settle() for bus in buses))


async def _patiently(
    buses: Sequence[Bus], mood: Mood, clock: TestClock
) -> list[tuple[timedelta, Counter[int]]]:
    """Wait for what is to be tried again until nothing is: how long each time, and what was tried
    then, how often."""
    rounds = []
    while coming := [r.due_at for r in await set_aside(buses[0].host) if r.due_at is not None]:
        wait = min(due_at for due_at in coming if due_at > clock.now()) - clock.now()
        clock.move(wait)
        before = len(mood.calls)
        await _settle(buses)
        tried = Counter(call[0] for call in mood.calls[before:] if len(call) == 1)
        rounds.append((wait, Counter({n: tried[n] for n in TRIED if tried[n]})))
    return rounds


def _check_tried(mood: Mood, rounds: list[tuple[timedelta, Counter[int]]], patience: int) -> None:
    """Once each whenever they were due, however many deliver."""
    once_each = dict.fromkeys(TRIED, 1)
    if rounds != [(wait, once_each) for wait in _waits(patience)]:
        raise GuaranteeBroken(f"tried at {rounds}")
    for poison in TRIED:  # whoever halves the same batch comes down to it, before it is set aside
        if not 1 <= len(mood.alone(poison)) - len(rounds) <= HOSTS:
            raise GuaranteeBroken(f"{POISONS[poison]}: {len(mood.alone(poison))} attempts")


def _waits(patience: int) -> list[timedelta]:
    """Before each attempt but the first: more than twice the first wait, then twice the last."""
    return [FIRST_RETRY, *(FIRST_RETRY * 2**attempt for attempt in range(2, patience))]


async def _written(host: Host) -> list[int]:
    return [number for _, number in await lines(host)]


def _check_parked(parked: list[object], patience: int) -> None:
    """Three, each with its bytes, its error and its attempts."""
    found = {
        msgspec.json.decode(row.data)["buyer"]: (row.attempts, row.error)  # type: ignore[attr-defined]
        for row in parked
    }
    if found.keys() != set(POISONS.values()) or len(parked) != len(POISONS):
        raise GuaranteeBroken(f"{len(parked)} parked: {sorted(found)}")
    (tried, raised), (waited, hung), (once, undecodable) = (
        found["raises"],
        found["hangs"],
        found["broken"],
    )
    if (tried, waited, once) != (patience, patience, 1):
        raise GuaranteeBroken(f"attempts {tried}, {waited}, {once}")
    if "always" not in raised or "Timeout" not in hung or "number" not in undecodable:
        raise GuaranteeBroken(f"errors {raised!r}, {hung!r}, {undecodable!r}")


async def test_three_that_cannot_be_handled_are_parked_and_nobody_else_waits(
    sample_url: str, full: bool
) -> None:
    await park_three(sample_url, Delivery, full=full)


@pytest.mark.planted
async def test_an_attempt_that_another_process_makes_as_well_is_found_out(
    sample_url: str, full: bool
) -> None:
    with pytest.raises(GuaranteeBroken, match="tried at"):
        await park_three(sample_url, ClaimsWhatIsTaken, full=full)


@pytest.mark.planted
async def test_a_bus_that_never_halves_a_batch_is_found_out(sample_url: str, full: bool) -> None:
    with pytest.raises(GuaranteeBroken, match="of other keys waited"):
        await park_three(sample_url, NeverHalves, full=full)
