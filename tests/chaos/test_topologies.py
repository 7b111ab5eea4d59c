"""The same story is told whole and split, and ends in the same world (HOUSE §9.3).

`make test` tells it as a monolith, all apart, and with one module alone outside, which the commit
chooses. `make chaos` tells it in every topology, over every feed, on both databases.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from time import monotonic
from uuid import UUID, uuid4

import duckdb
import msgspec
import pytest
from sqlalchemy import func, insert, select

from martech.app import installed, load
from martech.kernel.audit import Audited, append
from martech.kernel.clock import SystemClock
from martech.kernel.db import Database
from martech.kernel.feeds.redis import RedisBroker
from martech.kernel.process import Process
from martech.modules.analytics.adapters.schema import TABLES
from tests import databases, servers
from tests.chaos.choosing import outside, turn, whole_on
from tests.chaos.nodes import Topology, all_apart, monolith, nodes, one_outside
from tests.chaos.tale import BUYERS, LATE, Answers, taken, tell
from tests.chaos.worlds import Row, World, difference, stored, told_in, world
from tests.sinks.smtp import Mail, sink

pytestmark = [pytest.mark.whole, pytest.mark.anyio, pytest.mark.timeout(3600)]

Told = tuple[World, Answers]
Tell = Callable[[str, str, str, Topology], Awaitable[Told]]
"""On which database, over which feed, under which name, in which topology."""


@pytest.fixture
def told(tmp_path: Path, record_property: Callable[[str, object], None]) -> Tell:
    """Tells the story in a topology, and says how long that took."""

    async def telling(kind: str, feed: str, name: str, topology: Topology) -> Told:
        broker = servers.fresh_redis()
        carried = {"MARTECH_BROKER_URL": broker} if feed == "redis" else {}
        folder = tmp_path / f"{kind} {feed} {name}"
        async with sink() as server:
            async with nodes(topology, kind, folder, server, **carried) as platform:
                began = monotonic()
                answers = await tell(platform, server)
                record_property("said", f"{name}, {feed}, {kind}: {monotonic() - began:.1f} s")
            missing = await not_carried(platform.databases, broker)
            assert set(missing) == (set() if feed == "redis" else listened_to()), missing
            return await world(platform.databases, platform.stores), answers

    return telling


async def not_carried(urls: Mapping[str, str], broker_url: str) -> dict[str, str]:
    """Of the modules that somebody listens to, those of which the broker has not all that they have
    told. (If nobody used it at all, the story would end no differently.)"""
    broker = RedisBroker(broker_url)
    missing: dict[str, str] = {}
    try:
        for name in listened_to():
            mark = await broker.mark(name)
            position = mark.position if mark else 0
            if position != (last := await told_last(name, urls[name])):
                missing[name] = f"{position} of {last}"
    finally:
        await broker.close()
    return missing


def listened_to() -> set[str]:
    return {heard.source for module in databases.product() for heard in module.subscriptions}


async def told_last(name: str, url: str) -> int:
    """Where the outbox of a module ends."""
    (module,) = load([name])
    database = Database(url, module.tables, clock=SystemClock(), process=Process())
    try:
        async with database.across(write=False) as connection:
            outbox = module.tables.tables[f"{module.name}.outbox"]
            last = (await connection.execute(select(func.max(outbox.c.position)))).scalar()
    finally:
        await database.close()
    return int(last or 0)


async def test_split_it_ends_as_whole(told: Tell, full: bool) -> None:
    alone = installed() if full else [outside()]
    splits = {
        **{f"{module} outside": one_outside(module) for module in alone},
        "all apart": all_apart(),
    }
    for kind in databases.KINDS if full else [whole_on()]:
        whole, said = await told(kind, "local", "whole", monolith())
        assert said["the first"]["counts"]["delivered"] == BUYERS
        assert said["the second"]["counts"]["delivered"] == BUYERS + LATE - 1  # one wants no more
        assert sum(said["mails"].values()) == 2 * BUYERS + LATE - 1
        for feed, (name, topology) in product(
            ["http", "redis"] if full else ["http"], splits.items()
        ):
            left, answers = await told(kind, feed, name, topology)
            assert not (differs := difference(whole, left)), "\n".join([name, feed, *differs])
            assert figures(answers) == figures(said), (name, feed)


ADA, BOB = "01a1fe4f-c7f9-744a-9796-e8853c7cb129", "01a1fe51-2c98-764d-812f-b8740e302a3f"


SHOP, RIVAL = "01a1fe50-0a63-7b0e-8f3c-2f6d8f0c6a11", "01a1fe50-0b77-7d21-9a5e-5c1b7f4e9d22"


def bought(who: str, order: str, at: str = "2026-11-21T14:00:00Z") -> Row:
    said = {"profile_id": who, "event": "Order Completed", "order": order, "at": at}
    return "profiles.activity_recorded.v1", said


def recorded(tenant: str, subject: str, name: str) -> dict[str, object]:
    """An event, as it stands in an outbox."""
    data = msgspec.json.encode({"traits": {"name": name}})
    type_ = "profiles.profile_changed.v1"
    return {"type": type_, "tenant": tenant, "subject": subject, "data": data}


WORLD = [
    ("profiles.profiles", {"id": ADA, "name": "Ada"}),
    ("profiles.profiles", {"id": BOB, "name": "Bob"}),
    bought(ADA, "1"),
    bought(ADA, "2"),
    bought(BOB, "3"),
]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(WORLD[:-1], id="lost"),
        pytest.param([*WORLD, WORLD[-1]], id="told twice"),
        pytest.param([*WORLD[:-1], bought(ADA, "3")], id="said of somebody else"),
    ],
)
def test_with_an_event_more_or_less_or_of_somebody_else_it_is_another_world(other: World) -> None:
    assert difference(WORLD, other)


OUTBOX = [
    recorded(SHOP, ADA, "Ada"),
    recorded(SHOP, ADA, "Ada L."),
    recorded(RIVAL, BOB, "Bob"),
]


@pytest.mark.parametrize(
    ("tenant", "subject"),
    [
        pytest.param(RIVAL, ADA, id="to somebody else's tenant"),
        pytest.param(SHOP, BOB, id="of another subject"),
    ],
)
def test_the_same_said_to_or_of_somebody_else_makes_another_world(
    tenant: str, subject: str
) -> None:
    other = [OUTBOX[0], recorded(tenant, subject, "Ada L."), OUTBOX[2]]
    assert difference(list(told_in(OUTBOX)), list(told_in(other)))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("DELETE FROM events WHERE message_id = 'p0 0'", id="lost"),
        pytest.param("INSERT INTO events SELECT * FROM events LIMIT 1", id="there twice"),
        pytest.param("UPDATE events SET properties = '{}' WHERE event = 'Order'", id="changed"),
    ],
)
def test_a_row_of_a_store_makes_another_world(tmp_path: Path, change: str) -> None:
    file = tmp_path / "analytics.duckdb"
    with duckdb.connect(str(file)) as connection:
        for statement in TABLES:
            connection.execute(statement)
        row = "('{}', '{}', 'user_id', 'p0', 'track', 'Order', now(), now(), 'p0 {}', '[1]', '', 1)"
        for number in range(2):
            connection.execute("INSERT INTO events VALUES " + row.format(SHOP, ADA, number))
    before = list(stored("analytics", file))
    assert len(before) == 2
    with duckdb.connect(str(file)) as connection:
        connection.execute(change)
    assert difference(before, list(stored("analytics", file)))


async def test_an_audit_entry_or_something_parked_makes_another_world(product_url: str) -> None:
    (content,) = load(["content"])
    database = Database(product_url, content.tables, clock=SystemClock(), process=Process())
    at = datetime(2026, 11, 21, tzinfo=UTC)
    published = Audited(UUID(SHOP), None, "content.published", ADA, {"number": 1})
    item = {"tenant": UUID(SHOP), "event": uuid4(), "type": "a.b.v1", "subject": ADA, "time": at}
    set_aside = {**item, "subscription": "s", "position": 1, "item": 0, "attempts": 8}
    parked = content.tables.tables["content.parked"]
    try:
        worlds = [await world({"content": product_url})]
        async with database.across(write=True) as connection:
            await append(connection, content.tables, [published], at)
        worlds.append(await world({"content": product_url}))
        async with database.across(write=True) as connection:
            await connection.execute(insert(parked), [{**set_aside, "error": "no", "data": b"{}"}])
        worlds.append(await world({"content": product_url}))
    finally:
        await database.close()
    assert difference(worlds[0], worlds[1])
    assert difference(worlds[1], worlds[2])


def test_a_mail_taken_twice_is_another_answer() -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    mail = Mail(at, "news@shop.example", ["p0@example.com"], "Subject: Winter\r\n\r\nDear P 0")
    once, twice = {"mails": taken([mail])}, {"mails": taken([mail, mail])}
    assert figures(once) != figures(twice)


def test_in_time_each_module_is_outside_on_each_database() -> None:
    turns = [turn(number) for number in range(2 * len(installed()))]
    for chosen in (lambda t: t.whole_on, lambda t: t.broken_on):
        assert {(t.outside, chosen(t)) for t in turns} == {*product(installed(), databases.KINDS)}
    assert all(t.whole_on != t.broken_on for t in turns)


def test_other_ids_other_times_and_another_order_make_no_difference() -> None:
    ids = {ADA: str(uuid4()), BOB: str(uuid4())}
    renamed = [(where, {**said, **_as(said, ids)}) for where, said in reversed(WORLD)]
    assert difference(WORLD, renamed) == []


def _as(said: dict[str, str], ids: dict[str, str]) -> dict[str, str]:
    """The same row of another run."""
    ours = {key: ids[value] for key, value in said.items() if value in ids}
    return {**ours, "at": "2026-11-22T09:30:00.5Z"} if "at" in said else ours


def figures(answers: Answers) -> object:
    """The numbers in what the API says: no ids and no times."""
    match answers:
        case dict():
            return {key: figures(value) for key, value in answers.items()}
        case list():
            return [figures(value) for value in answers]
        case int() | float():
            return answers
        case _:
            return None
