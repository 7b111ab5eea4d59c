"""What may be asked, what is refused and how, and that nobody sees what is another's."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import duckdb
import pytest

from martech.kernel.errors import Timeout, TooMany, Unavailable
from martech.kernel.host import Host
from martech.kernel.http.leaving import LEFT
from martech.kernel.settings import Settings, SettingsError
from martech.modules.analytics.adapters import DuckStore
from martech.modules.analytics.adapters.turns import TENANTS, WAITING
from martech.modules.analytics.adapters.wall import WALL
from tests.commands import ROOT
from tests.modules.analytics.counting import (
    MODULES,
    Counter,
    did,
    fact,
    values,
)
from tests.serving import TENANTS as SERVED

pytestmark = pytest.mark.anyio

MISSING = [("breakdown", "by"), ("conversions", "source")]
WRONG: list[tuple[str, dict[str, str], str]] = [
    ("series", {"measure": "sum"}, "property"),
    ("series", {"measure": "median"}, "measure"),
    ("series", {"interval": "minute"}, "interval"),
    ("series", {"type": "dance"}, "type"),
    ("series", {"timezone": "Mars/Olympus"}, "timezone"),
    ("series", {"timezone": "../../etc/passwd"}, "timezone"),
    ("series", {"from": "yesterday"}, "from"),
    ("series", {"from": "2026-12-01T00:00:00"}, "from"),
    ("series", {"to": "1803-01-01"}, "to"),
    ("series", {"from": "2026-12-02", "to": "2026-12-02"}, "to"),
    ("series", {"from": "2020-01-01", "to": "2026-01-01", "interval": "hour"}, "interval"),
    ("series", {"measure": "sum", "property": "a..b"}, "property"),
    ("series", {"measure": "sum", "property": "a.b.c.d.e.f.g"}, "property"),
    ("breakdown", {"by": ""}, "by"),
    ("breakdown", {"by": "x" * 501}, "by"),
    ("breakdown", {"by": "x", "limit": "0"}, "limit"),
    ("conversions", {"source": "campaign:1", "within": "P1Y"}, "within"),
    ("conversions", {"source": "campaign:1", "within": "P"}, "within"),
    ("conversions", {"source": "campaign:1", "within": "P400D"}, "within"),
    ("conversions", {"source": "campaign:1", "by": "."}, "by"),
]

HOSTILE = [
    "x') OR 1=1 --",
    "x'; DROP TABLE main.events; --",
    "$.products[*]",
    "$",
    "/0",
    "~1",
    "revenue'||(SELECT max(tenant) FROM main.events)||'",
    "{property}",
    "%s",
    "\\",
    '"',
]


async def test_what_is_wrong_is_said_of_its_field(counter: Counter) -> None:
    for route, query, field in WRONG:
        answer = await counter.call(route, **query)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        body = answer.json()
        assert (body["status"] in (400, 422), body.get("field")) == (True, field), (route, body)


async def test_what_is_missing_is_named(counter: Counter) -> None:
    for route, name in MISSING:
        answer = await counter.call(route)
        body = answer.json()
        assert (body["status"], body.get("field"), name in body["detail"]) == (422, name, True)


async def test_a_property_is_data_and_never_sql(counter: Counter) -> None:
    mine = [{"revenue": 3, hostile: "mine"} for hostile in HOSTILE]
    hers = [{hostile: "hers"} for hostile in HOSTILE]
    for tenant, all_properties in (("acme", mine), ("globex", hers)):
        told = [did(n, "ada", properties=each) for n, each in enumerate(all_properties)]
        await counter.record(*told, tenant=tenant)
    for hostile in HOSTILE:
        found = await counter.get("breakdown", by=hostile)
        groups = set(values(found, "group"))
        assert groups <= {None, "mine"}
        assert ("mine" in groups) == ("." not in hostile)
        for name in ("property", "by", "by_property"):
            query = {
                "measure": "sum",
                "source": hostile,
                "event": hostile,
                "by": "x",
                name: hostile,
            }
            for route in ("series", "breakdown", "conversions", "messages"):
                assert (await counter.call(route, **query)).status_code in (200, 422)
        assert await counter.get("kept") == {"events": len(HOSTILE), "messages": 0}


async def test_numbers_count_up_to_a_trillion_as_in_segments(counter: Counter) -> None:
    amounts = {"a": 10**12, "b": -(10**12), "c": 10**12 + 1, "d": 1e15, "e": 1e300, "f": 2**63}
    for number, (group, amount) in enumerate(amounts.items()):
        lines = [{"total": amount}, {"total": 0.25}]
        told = {"group": group, "revenue": amount, "products": lines}
        await counter.record(did(number, "ada", properties=told))
    for property, more in (("revenue", 0.0), ("products.total", 0.25)):
        found = await counter.get("breakdown", by="group", measure="sum", property=property)
        assert dict(values(found, "group", "value")) == {  # type: ignore[call-overload]
            "a": 10**12 + more,
            "b": -(10**12) + more,
            **dict.fromkeys("cdef", more),
        }


async def test_every_question_sees_one_tenant_only(counter: Counter) -> None:
    """The same people, sources, names and properties on both sides of the wall."""
    for tenant, times in (("acme", 1), ("globex", 3)):
        await counter.record(
            *(did(n, "ada", properties={"revenue": 1, "c": tenant}) for n in range(times)),
            tenant=tenant,
        )
    await counter.record(did(9, "cy", properties={"c": "globex"}), tenant="globex")
    await counter.merge("bob", "ada", tenant="globex")
    await counter.message(fact("sent", "ada", minute=-5), tenant="acme")
    await counter.message(
        fact("sent", "ada", minute=-5), fact("sent", "bob", minute=-1), tenant="globex"
    )
    asked: list[tuple[str, dict[str, str]]] = [
        ("series", {}),
        ("series", {"measure": "people"}),
        ("series", {"measure": "sum", "property": "revenue"}),
        ("breakdown", {"by": "c"}),
        ("breakdown", {"by": "c", "measure": "people"}),
        ("conversions", {"source": "campaign:1", "property": "revenue", "by": "c"}),
        ("messages", {}),
        ("events", {}),
        ("kept", {}),
    ]
    for route, query in asked:
        mine = await counter.call(route, **query)
        theirs = await counter.call(route, tenant="globex", **query)
        assert mine.text != theirs.text, f"{route} {query} tells them apart"
        assert "globex" not in mine.text
        assert '"acme"' not in theirs.text
    assert (await counter.get("series"))["total"] == 1
    assert (await counter.get("conversions", source="campaign:1"))["people"] == 1
    assert (await counter.get("messages"))["total"] == {
        "sent": 1, "bounced": 0, "opened": 0, "clicked": 0, "unsubscribed": 0,
    }  # fmt: skip


def test_one_place_reaches_the_tables_and_adds_the_tenant() -> None:
    folder = Path(DuckStore.__module__.replace(".", "/")).parent
    sources = {file.name: file.read_text() for file in (ROOT / "src" / folder).glob("*.py")}
    assert [name for name, text in sources.items() if "main." in text] == ["wall.py"]
    assert len(re.findall(r"FROM main\.(\w+) WHERE tenant = \$tenant", WALL)) == 3
    for name in ("sql.py", "grouping.py", "converting.py", "asking.py"):
        assert ".execute(" not in sources[name], f"{name} asks past the wall"


SLOW = "SELECT count(*) FROM range(1000000000000) a, range(1000000) b WHERE a.range = 7 * b.range"


ACME, GLOBEX = SERVED["acme"], SERVED["globex"]


def opened(folder: Path, options: str) -> DuckStore:
    return DuckStore(f"duckdb:///{folder}/x.duckdb?{options}")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckStore]:
    store = opened(tmp_path, "seconds=0.2&questions=1")
    yield store
    await store.close()


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[DuckStore]:
    """Its questions take as long as they take: who ends early was ended."""
    store = opened(tmp_path, "seconds=86400&questions=2")
    yield store
    await store.close()


class Slow:
    """A question without end, and when it is being answered."""

    def __init__(self) -> None:
        self.began = threading.Event()

    def __call__(self, connection: duckdb.DuckDBPyConnection) -> object:
        self.began.set()
        return connection.execute(SLOW).fetchall()

    async def asked(self, store: DuckStore, tenant: UUID = ACME) -> "asyncio.Task[object]":
        """Of *tenant*, and begun."""
        asking = asyncio.create_task(store.file.ask(tenant, self))
        await asyncio.to_thread(self.began.wait)
        return asking


async def given_up(*asking: "asyncio.Task[object]") -> None:
    for each in asking:
        each.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_a_question_that_takes_too_long_is_broken_off(store: DuckStore) -> None:
    with pytest.raises(Timeout, match=r"0\.2 s"):
        await store.file.ask(ACME, lambda c: c.execute(SLOW).fetchall())
    while True:  # on a busy machine this may take too long as well
        with suppress(Timeout):
            assert (await store.kept(ACME)).events == 0, "its thread is free again"
            break


async def test_a_question_whose_caller_has_gone_is_broken_off(patient: DuckStore) -> None:
    await given_up(await Slow().asked(patient), await Slow().asked(patient, GLOBEX))
    for tenant in (ACME, GLOBEX, UUID(int=3)):
        assert (await patient.kept(tenant)).events == 0, "both threads are free again"


async def test_a_caller_who_hangs_up_waits_no_longer(counter: Counter) -> None:
    """Behind a question without end: without looking for the caller it would be a timeout."""
    store = counter.host.stores["analytics"]
    assert isinstance(store, DuckStore)
    endless = await Slow().asked(store)
    statuses = await counter.hang_up("/analytics/v1/kept")
    assert (statuses, endless.done()) == ([LEFT], False)
    await given_up(endless)


async def test_a_question_is_broken_off_between_its_statements_too(patient: DuckStore) -> None:
    begun, go = threading.Event(), threading.Event()

    def in_two_statements(connection: duckdb.DuckDBPyConnection) -> object:
        begun.set()
        go.wait()
        return connection.execute(SLOW).fetchall()

    asking = asyncio.create_task(patient.file.ask(ACME, in_two_statements))
    await asyncio.to_thread(begun.wait)
    await given_up(asking)
    go.set()
    assert (await patient.kept(ACME)).events == 0


async def test_who_asks_much_stands_in_nobody_elses_way(patient: DuckStore) -> None:
    """Two threads, and a tenant with more questions without end than that."""
    first = await Slow().asked(patient)
    behind = [asyncio.create_task(patient.file.ask(ACME, Slow())) for _ in range(WAITING)]
    await asyncio.sleep(0)  # they stand in line
    assert (await patient.kept(GLOBEX)).events == 0
    with pytest.raises(TooMany, match="your questions") as refused:
        await patient.kept(ACME)
    assert refused.value.retry_after == 2
    await given_up(behind.pop())
    mine = asyncio.create_task(patient.kept(ACME))
    await given_up(first, *behind)
    assert (await mine).events == 0, "who left the line made room in it"


async def test_who_has_been_answered_stands_behind_the_others(tmp_path: Path) -> None:
    """One thread, and a tenant with as many questions without end as may wait."""
    store = opened(tmp_path, "seconds=86400&questions=1")
    first = await Slow().asked(store)
    behind = [asyncio.create_task(store.file.ask(ACME, Slow())) for _ in range(WAITING)]
    await asyncio.sleep(0)  # they stand in line
    theirs = asyncio.create_task(store.kept(GLOBEX))
    await asyncio.sleep(0)  # and so does this
    await given_up(first)
    assert (await theirs).events == 0
    await given_up(*behind)
    await store.close()


async def test_of_too_many_tenants_some_are_told_to_come_back(patient: DuckStore) -> None:
    busy = [await Slow().asked(patient), await Slow().asked(patient, GLOBEX)]
    others = [UUID(int=10 + number) for number in range(TENANTS - len(busy))]
    waiting = [asyncio.create_task(patient.kept(tenant)) for tenant in others]
    await asyncio.sleep(0)  # they stand in line
    with pytest.raises(Unavailable, match="Too many questions"):
        await patient.kept(UUID(int=999))
    await given_up(*busy)
    assert [kept.events for kept in await asyncio.gather(*waiting)] == [0] * len(others)


async def test_who_waits_when_the_store_is_closed_waits_no_longer(tmp_path: Path) -> None:
    store = opened(tmp_path, "seconds=86400&questions=1")
    first = await Slow().asked(store)
    second = asyncio.create_task(store.kept(GLOBEX))
    third = asyncio.create_task(store.kept(ACME))
    await asyncio.sleep(0)  # they stand in line
    closing = asyncio.create_task(store.close())
    answers = await asyncio.gather(second, third, return_exceptions=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 2
    await given_up(first)
    await closing


async def test_a_question_can_touch_nothing_outside_the_file(store: DuckStore) -> None:
    for outside in (
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "ATTACH '/tmp/other.duckdb'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.DatabaseError, match=r"[Pp]ermission|configuration|disabled"):
            await store.file.ask(ACME, lambda c, q=outside: c.execute(q).fetchall())  # type: ignore[misc]


HOLD = """
import duckdb, sys
held = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has the file open until its input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "held.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield process


async def test_a_file_that_another_process_has_open_is_waited_for(
    other: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    file = tmp_path / "held.duckdb"
    store = DuckStore(f"duckdb:///{file}")
    with pytest.raises(Unavailable, match="lock"):
        await store.kept(UUID(int=1))
    with pytest.raises(Unavailable, match="lock"):
        await store.place("anything")
    other.communicate()
    assert (await store.kept(UUID(int=1))).events == 0
    await store.close()


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("CREATE TABLE mine (name VARCHAR)", "somebody else's"),
        ("CREATE TABLE version (name VARCHAR)", "somebody else's"),
        ("CREATE TABLE version AS SELECT 2 AS number", "another version"),
    ],
)
async def test_a_file_that_is_no_store_of_ours_is_left_alone(
    tmp_path: Path, there: str, said: str
) -> None:
    file = tmp_path / "x.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(there)
    store = DuckStore(f"duckdb:///{file}")
    with pytest.raises(Unavailable, match=said):
        await store.kept(UUID(int=1))
    await store.close()
    with duckdb.connect(str(file)) as connection:
        assert len(connection.execute("SHOW TABLES").fetchall()) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://x/y", "must begin with duckdb://"),
        ("duckdb://host/file", "names no file"),
        ("duckdb:///f?threads=many", "threads"),
        ("duckdb:///f?color=blue", "color"),
    ],
)
async def test_a_wrong_url_is_refused_at_the_start(
    kind: str, tmp_path: Path, url: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=f"MARTECH_ANALYTICS_STORE_URL.*{said}"):
        async with Host(MODULES, Settings(store_urls={"analytics": url})):
            raise AssertionError
