"""What the store hears, it holds exactly once. On both databases for the outboxes."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import duckdb
import pytest
from msgspec import Raw
from msgspec.structs import replace
from sqlalchemy import func, select

from martech.kernel.bus import Bus
from martech.kernel.bus.replay import replay
from martech.kernel.clock import TestClock
from martech.kernel.columns import table
from martech.kernel.cursors import Place
from martech.kernel.errors import NotFound
from martech.kernel.host import Host
from martech.kernel.standing import Standing
from martech.modules.analytics.adapters.writing import Rows
from martech.modules.analytics.service import AnalyticsService
from martech.modules.delivery.contract import MessageSent, SentMessage
from martech.modules.profiles.contract import Activity, ActivityRecorded, ProfilesMerged
from tests.modules.analytics.counting import (
    MODULES,
    START,
    did,
    fact,
    fresh,
    settings,
    tell,
    who,
)
from tests.serving import TENANTS

pytestmark = pytest.mark.anyio

PEOPLE = "keep_what_people_did"
LATER = START + timedelta(days=30)


class Stand:
    """A host that can be closed and opened again, and what its store holds."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.url, self.folder = fresh(kind, folder), folder
        self.clock = TestClock(LATER)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Host]:
        async with Host(MODULES, settings(self.url, self.folder), clock=self.clock) as host:
            yield host

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Asked of the file, when no host has it open."""
        with duckdb.connect(str(self.folder / "events.duckdb"), read_only=True) as file:
            return file.execute(query).fetchall()

    def numbers(self, tenant: str = "acme") -> list[int]:
        query = f"SELECT message_id FROM events WHERE tenant = '{TENANTS[tenant]}'"
        return sorted(int(str(row[0])[1:]) for row in self.rows(query))


@pytest.fixture
def stand(kind: str, tmp_path: Path) -> Stand:
    return Stand(kind, tmp_path)


async def record(host: Host, activities: Iterable[Activity], tenant: str = "acme") -> None:
    await tell(host, "profiles", ActivityRecorded(items=list(activities)), tenant=TENANTS[tenant])


async def aside(host: Host) -> int:
    database = host.databases["analytics"]
    async with database.across(write=False) as connection:
        parked = table(database.metadata, "parked")
        counted = await connection.execute(select(func.count()).select_from(parked))
        return int(counted.scalar_one())


async def test_everything_told_is_held_once_for_each_tenant(stand: Stand) -> None:
    async with stand.open() as host:
        await record(host, [did(n, f"p{n % 7}") for n in range(500)])
        await record(host, [did(n, "eve") for n in range(500, 530)], tenant="globex")
        await record(host, [did(n, f"p{n % 7}") for n in range(530, 1200)])
        await Bus(host, batch=77).settle()
        await Bus(host).settle()
    assert stand.numbers() == [*range(500), *range(530, 1200)]
    assert stand.numbers("globex") == list(range(500, 530))


async def test_after_a_restart_it_goes_on_where_it_stopped(stand: Stand) -> None:
    for first in (0, 10, 20):
        async with stand.open() as host:
            await record(host, [did(n, "ada") for n in range(first, first + 10)])
            await Bus(host, batch=3).settle()
    assert stand.numbers() == list(range(30))


async def test_two_buses_beside_each_other_write_nothing_twice(stand: Stand) -> None:
    async with stand.open() as host:
        await record(host, [did(n, "ada") for n in range(300)])
        one, other = Bus(host, batch=7), Bus(host, batch=11)
        mine = [d for bus in (one, other) for d in bus.deliveries if d.module == "analytics"]
        while any([await delivery.step() for delivery in mine]):
            pass
    assert stand.numbers() == list(range(300))


async def test_what_the_engine_refuses_is_parked_alone(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Rows.keep_activities

    def spoil(rows: Rows, tenant: UUID, activities: Sequence[Activity]) -> None:
        """What no engine could take apart."""
        broken = Raw(b'{"never closed": ')
        spoilt = [replace(a, properties=broken) if a.message_id == "m17" else a for a in activities]
        keep(rows, tenant, spoilt)

    monkeypatch.setattr(Rows, "keep_activities", spoil)
    async with stand.open() as host:
        await record(host, [did(n, f"p{n}") for n in range(40)])
        await Bus(host, patience=1).settle()
        assert await aside(host) == 1
    assert stand.numbers() == [n for n in range(40) if n != 17]


class Refusing:
    """A service that cannot digest an event named so, for as long as it is told to."""

    def __init__(self, changed: pytest.MonkeyPatch) -> None:
        self.refuses = True
        keep = AnalyticsService.keep_activities

        def sulk(service: AnalyticsService, activities: Sequence[Activity]) -> None:
            keep(service, activities)
            if self.refuses and any(a.event == "Poison" for a in activities):
                raise ValueError("poison")

        changed.setattr(AnalyticsService, "keep_activities", sulk)


async def test_what_is_set_aside_is_held_once_after_all(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Refusing(monkeypatch)
    async with stand.open() as host:
        poison = did(50, "eve", "Poison")
        await record(host, [*(did(n, "bob") for n in range(50)), poison, did(51, "eve")])
        await record(host, [did(52, "eve"), did(53, "bob")])
        await Bus(host).settle()
        assert await aside(host) == 3, "hers wait behind hers"
        refusing.refuses = False
        stand.clock.move(timedelta(hours=1))
        await Bus(host).settle()
        assert await aside(host) == 0
    assert stand.numbers() == list(range(54))
    assert stand.rows("SELECT * FROM marks") == []


async def test_a_retry_whose_end_was_lost_is_not_done_again(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Refusing(monkeypatch)
    async with stand.open() as host:
        await record(host, [did(1, "eve", "Poison")])
        await Bus(host).settle()
        refusing.refuses = False
        engine = host.stores["analytics"]
        async with engine.once(PEOPLE, Place(1, 0)) as writing:
            writing.keep_activities(TENANTS["acme"], [did(1, "eve", "Poison")])
        stand.clock.move(timedelta(hours=1))
        await Bus(host).settle()
        assert await aside(host) == 0
    assert stand.numbers() == [1]


async def test_what_a_lost_batch_set_aside_is_heard_again(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows set aside were committed, the store was not: as after a kill in between."""
    refusing = Refusing(monkeypatch)
    async with stand.open() as host:
        await record(host, [did(1, "eve", "Poison"), did(2, "bob")])
        await Bus(host).settle()
        await host.stores["analytics"].rewind(PEOPLE, 0)
        refusing.refuses = False
        stand.clock.move(timedelta(hours=1))
        await Bus(host).settle()
        assert await aside(host) == 0
    assert stand.numbers() == [1, 2]


async def story(host: Host) -> None:
    """In steps that begin in the middle of events as well."""
    merges = [ProfilesMerged(kept=who(f"p{n + 1}"), merged=who(f"p{n}")) for n in range(0, 8, 2)]
    for first in range(0, 120, 12):
        await record(host, [did(n, f"p{n % 10}") for n in range(first, first + 12)])
        for merge in merges[first // 12 : first // 12 + 1]:
            await tell(host, "profiles", merge)
        await Bus(host, batch=5).settle()
    await tell(host, "profiles", ProfilesMerged(kept=who("p9"), merged=who("p1")))
    await Bus(host).settle()


ALL = """
    SELECT e.message_id, e.profile, coalesce(m.kept, e.profile), e.properties
    FROM events e LEFT JOIN merges m ON m.merged = e.profile ORDER BY 1
"""


@pytest.mark.parametrize("position", [0, 1, 4, 7, 10_000])
async def test_a_replay_takes_out_what_it_hears_again(stand: Stand, position: int) -> None:
    async with stand.open() as host:
        await story(host)
    before = stand.rows(ALL)
    async with stand.open() as host:
        await replay(host, f"analytics.{PEOPLE}", position)
        await record(host, [did(500, "late")])
        await Bus(host, batch=7).settle()
        assert [await d.lag() for d in Bus(host).deliveries if d.module == "analytics"] == [0, 0]
    after = stand.rows(ALL)
    assert [row for row in after if row[0] != "m500"] == before
    assert len(after) == 121


async def test_of_two_replays_that_wait_the_longer_one_is_done(stand: Stand) -> None:
    async with stand.open() as host:
        await story(host)
        assert await replay(host, f"analytics.{PEOPLE}", 2) == 2
        assert await replay(host, f"analytics.{PEOPLE}", 7) == 2


async def test_a_replay_of_one_subscription_leaves_the_other_ones_rows(stand: Stand) -> None:
    async with stand.open() as host:
        await record(host, [did(1, "ada")])
        _, sent = fact("sent", "ada")
        assert isinstance(sent, SentMessage)
        await tell(host, "delivery", MessageSent(items=[sent]))
        await Bus(host).settle()
        await replay(host, "analytics.keep_what_became_of_messages", 0)
        await Bus(host).settle()
    assert stand.rows("SELECT count(*) FROM events") == [(1,)]
    assert stand.rows("SELECT count(*) FROM messages") == [(1,)]


async def test_a_replay_is_asked_for_by_its_name(stand: Stand) -> None:
    async with stand.open() as host:
        with pytest.raises(NotFound, match="keep_what_people_did"):
            await replay(host, "analytics.nothing", 0)


async def test_how_far_behind_it_is_shows(stand: Stand) -> None:
    async with stand.open() as host:
        await record(host, [did(n, "ada") for n in range(9)])
        before = await Standing(host).look()
        await Bus(host).settle()
        after = await Standing(host).look()
    behind = {s.name: s.behind for m in before for s in m.subscriptions}
    assert behind[f"analytics.{PEOPLE}"] == 9
    assert not any(s.behind for m in after for s in m.subscriptions)


async def test_a_host_that_asks_nothing_opens_no_store(stand: Stand) -> None:
    async with stand.open() as host:
        assert "analytics" in host.stores
    assert not (stand.folder / "events.duckdb").exists()
