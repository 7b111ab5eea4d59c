"""A module's store goes where its database goes, whenever the move is broken off."""

from pathlib import Path

import pytest

from martech.app import load
from martech.kernel import failpoints
from martech.kernel.bus import Bus
from martech.kernel.errors import Conflict
from martech.kernel.host import Host
from martech.kernel.migrate import DatabaseUnfit
from martech.kernel.moving import move
from martech.kernel.settings import Settings
from martech.modules.profiles.contract import ActivityRecorded
from tests import databases, servers
from tests.chaos.processes import KILLED, Child, Say
from tests.modules.analytics.counting import MODULES, did, tell

pytestmark = pytest.mark.anyio

(analytics,) = load(["analytics"])


class Places:
    """Where it is, and where it is to be: a database and a folder for the store."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.here, self.there = folder / "here", folder / "there"
        self.here.mkdir()
        self.url = databases.fresh(kind, MODULES, folder)
        self.away = f"sqlite:///{self.there}" if kind == "sqlite" else servers.fresh_database()

    @property
    def before(self) -> Settings:
        return at(self.url, self.here)

    @property
    def after(self) -> Settings:
        return at(self.away, self.there)

    @property
    def stores(self) -> tuple[Path, Path]:
        return self.here / "events.duckdb", self.there / "events.duckdb"


@pytest.fixture
async def places(kind: str, tmp_path: Path) -> Places:
    """With something in the store."""
    made = Places(kind, tmp_path)
    async with Host(MODULES, made.before) as host:
        await tell(host, "profiles", ActivityRecorded(items=[did(n, "ada") for n in range(9)]))
        await Bus(host).settle()
    return made


def at(url: str, folder: Path) -> Settings:
    return Settings(database_url=url, store_urls={"analytics": f"duckdb:///{folder}/events.duckdb"})


def unwatched(name: str, done: int, of: int) -> None: ...


async def kept_moving(say: Say, plan: str, before: Settings, after: Settings) -> None:
    failpoints.arm(plan)
    say("begins")
    await move(load(["analytics"])[0], before, after, unwatched)


@pytest.mark.parametrize(
    "place",
    [
        "moving.after_named",
        "moving.before_copied",
        "moving.after_copied",
        "moving.before_left",
        "moving.after_left",
    ],
)
async def test_killed_anywhere_the_same_again_ends_it(places: Places, place: str) -> None:
    child = Child(kept_moving, f"{place}=kill", places.before, places.after)
    assert await child.said() == "begins"
    assert await child.ended() == KILLED
    await move(analytics, places.before, places.after, unwatched)
    old, new = places.stores
    assert new.read_bytes() == old.read_bytes()
    assert list(places.there.glob("*.arriving")) == []


async def test_a_store_that_nobody_knows_is_not_written_over(places: Places) -> None:
    _, new = places.stores
    new.parent.mkdir(exist_ok=True)
    new.write_bytes(b"somebody's")
    with pytest.raises(Conflict, match="There is a store in"):
        await move(analytics, places.before, places.after, unwatched)
    assert new.read_bytes() == b"somebody's"


async def test_a_rehearsal_leaves_no_store(places: Places) -> None:
    await move(analytics, places.before, places.after, unwatched, rehearse=True)
    assert [file for file in places.there.rglob("*") if "duckdb" in file.name] == []


async def test_a_folder_that_may_not_be_written_to_is_said_in_a_sentence(places: Places) -> None:
    places.there.mkdir(exist_ok=True)
    (places.there / "in the way").write_bytes(b"")
    after = at(places.away, places.there / "in the way")
    with pytest.raises(DatabaseUnfit, match=r"analytics could not be moved: .*say the same again"):
        await move(analytics, places.before, after, unwatched)
