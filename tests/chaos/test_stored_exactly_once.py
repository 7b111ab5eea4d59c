"""M4 for a store: two databases, one effect, however often the bus is killed between them."""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from martech.kernel.bus import Bus, StoredDelivery
from martech.kernel.clock import SystemClock, TestClock
from martech.kernel.host import Host
from martech.kernel.parked import parked, retry
from martech.modules.profiles.contract import ActivityRecorded
from tests.chaos.counting import SULKS, MovesCursorElsewhere, SettlesFirst, count
from tests.chaos.history import GuaranteeBroken, History, insist
from tests.chaos.loads import set_aside
from tests.chaos.processes import KILLED, Child
from tests.modules.analytics.counting import MODULES, did, fresh, settings, tell

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]

PLACES = (
    "bus.before_handle",
    "bus.before_cursor",
    "unit.before_commit",
    "unit.after_commit",
    "store.before_commit",
    "store.after_commit",
    "store.after_once",
)

LONG = (30.0, 30.0)
"""Until the place is reached: that is where the defect is."""


@dataclass
class Trial:
    """A feeding that is killed in the middle until nothing is left to feed."""

    url: str
    folder: Path
    stored: type[StoredDelivery]
    seed: random.Random
    places: tuple[str, ...] = PLACES
    patience: tuple[float, float] = (0.5, 1.5)
    """Seconds, between which a child may live that comes to no such place."""

    turns: int = 4
    """A place is reached so often at most before it strikes."""

    sulky: int = 23
    """One event in so many is hard to digest."""

    history: History = field(default_factory=History)
    kills: int = 0

    async def tell(self, events: int) -> None:
        """Many people's, a few of whom did what is hard to digest."""
        async with Host(MODULES, settings(self.url, self.folder)) as host:
            first = 0
            while first < events:
                after = min(events, first + self.seed.randint(1, 40))
                items = [
                    did(n, f"p{n % 50}", SULKS if n % self.sulky == 0 else "Viewed")
                    for n in range(first, after)
                ]
                await tell(host, "profiles", ActivityRecorded(items=items))
                self.history.attempt(*range(first, after))
                self.history.acknowledge(*range(first, after))
                first = after

    async def run(self, kills: int) -> None:
        while self.kills < kills:
            await self._die()
            self.kills += 1
        before = len(self._held())
        late = TestClock(SystemClock().now() + timedelta(days=1))
        async with Host(MODULES, settings(self.url, self.folder), clock=late) as host:
            bus = Bus(host)
            await bus.settle()
            for one in await parked(host):  # what eight in turn were killed at waits for a person
                await retry(host, one.module, one.id)
            await bus.settle()
            lag = sum([await d.lag() for d in bus.deliveries if d.module == "analytics"])
            outstanding = lag + len(await set_aside(host, "analytics"))
        held = self._held()
        insist(
            faults=self.kills,
            wanted=kills,
            tried=len(held),
            planned=len(self.history.attempted),
            progress=len(held) - before,
            outstanding=outstanding,
        )
        self.history.compare(held).hold()

    async def _die(self) -> None:
        """At a place, or where it is when that was not reached in time."""
        plan = f"{self.seed.choice(self.places)}=kill@{self.seed.randint(1, self.turns)}"
        seed = self.seed.randrange(10**6)
        child = Child(count, self.url, self.folder, plan, seed, self.stored)
        assert await child.said() == "counting"
        code = await child.ended(self.seed.uniform(*self.patience))
        if code is None:
            await child.kill()
        else:
            assert code == KILLED

    def _held(self) -> list[int]:
        file = self.folder / "events.duckdb"
        if not file.exists():
            return []
        with duckdb.connect(str(file)) as store:
            rows = store.execute("SELECT message_id FROM events").fetchall()
        return [int(row[0][1:]) for row in rows]


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return fresh(kind, tmp_path)


async def test_an_effect_in_a_store_happens_once_however_often_the_bus_is_killed(
    url: str, tmp_path: Path, full: bool
) -> None:
    events, kills = (20_000, 200) if full else (1500, 8)
    trial = Trial(url, tmp_path, StoredDelivery, random.Random(4))
    await trial.tell(events)
    await trial.run(kills)


@pytest.mark.planted
async def test_a_cursor_outside_the_stores_transaction_is_found_out(
    url: str, tmp_path: Path, full: bool
) -> None:
    events, kills = (20_000, 200) if full else (1500, 4)
    places = ("store.before_commit",)
    trial = Trial(url, tmp_path, MovesCursorElsewhere, random.Random(4), places, LONG, 1)
    await trial.tell(events)
    with pytest.raises(GuaranteeBroken, match=r"duplicated [1-9]"):
        await trial.run(kills)


@pytest.mark.planted
async def test_a_retry_settled_before_its_effect_is_found_out(
    url: str, tmp_path: Path, full: bool
) -> None:
    events, kills = (20_000, 60) if full else (1500, 4)
    places = ("store.after_once",)
    # each kill takes a retry that ends well, so there must be many to try again
    trial = Trial(url, tmp_path, SettlesFirst, random.Random(4), places, LONG, 1, sulky=5)
    await trial.tell(events)
    with pytest.raises(GuaranteeBroken, match=r"lost [1-9]"):
        await trial.run(kills)
