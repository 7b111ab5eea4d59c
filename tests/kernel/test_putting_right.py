"""What an operator puts right from the command line."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner

from martech.__main__ import main
from martech.kernel.bus import Bus
from martech.kernel.cursors import Aside, Cursors, Place
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from martech.modules.profiles.module import module as profiles
from martech.modules.tracking.contract import EventsTracked
from martech.modules.tracking.module import module as tracking
from tests import databases
from tests.modules.profiles.items import START, item

pytestmark = pytest.mark.usefixtures("root_logger")

MODULES = [tracking, profiles]
NAMES = [module.name for module in MODULES]
TENANT = UUID(int=7)
RECORD = "record_what_was_tracked"
TYPE = "tracking.events_tracked.v1"


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, MODULES, tmp_path)


@pytest.fixture
def shell(url: str) -> CliRunner:
    asyncio.run(fill(url))
    return CliRunner(env={"MARTECH_DATABASE_URL": url, "MARTECH_MODULES": ",".join(NAMES)})


async def fill(url: str) -> None:
    """One event is told, and three items are parked."""
    async with Host(MODULES, Settings(database_url=url)) as host:
        async with host.databases["tracking"].transaction(TENANT) as tx:
            tx.publish(EventsTracked(items=[item(1, user="ada")]))
        database = host.databases["profiles"]
        async with database.across() as connection:
            said = [
                Aside(Place(1, n), TENANT, UUID(int=n), TYPE, "", START, b'{"bird":%d}' % n)
                for n in range(3)
            ]
            cursors = Cursors(database.metadata, RECORD)
            await cursors.set_aside(connection, said, attempts=8, due_at=None, error="not today")


async def settle(url: str) -> None:
    async with Host(MODULES, Settings(database_url=url)) as host:
        await Bus(host).settle()


def martech(shell: CliRunner, *arguments: str, code: int = 0) -> str:
    done = shell.invoke(main, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


def listed(shell: CliRunner, *arguments: str) -> list[str]:
    lines = martech(shell, "parked", "list", *arguments).splitlines()
    return [line.split()[1] for line in lines if line.startswith("profiles ")]


def test_what_is_parked_is_listed_by_what_it_is(shell: CliRunner) -> None:
    every = [f"{RECORD}:1:{n}" for n in range(3)]
    assert listed(shell) == every
    assert listed(shell, "--module", "profiles", "--subscription", RECORD) == every
    assert listed(shell, "--type", TYPE) == every
    assert "Nothing is parked" in martech(shell, "parked", "list", "--type", "x.y.v1")
    assert "Nothing is parked" in martech(shell, "parked", "list", "--module", "tracking")
    first = martech(shell, "parked", "list", "--module", "profiles", "--limit", "2")
    after = first.split()[-1]
    assert listed(shell, "--module", "profiles", "--after", after) == every[2:]
    assert "--module" in martech(shell, "parked", "list", "--after", after, code=2)
    wrong = martech(shell, "parked", "list", "--module", "profiles", "--after", "x", code=1)
    assert "no page's `next`" in wrong


def test_one_is_shown_tried_again_and_given_up(shell: CliRunner) -> None:
    first, second = f"{RECORD}:1:0", f"{RECORD}:1:1"
    shown = json.loads(martech(shell, "parked", "show", "profiles", first))
    assert (shown["data"], shown["attempts"], shown["error"]) == ({"bird": 0}, 8, "not today")
    assert "due again" in martech(shell, "parked", "retry", "profiles", first)
    assert "list the parked" in martech(shell, "parked", "show", "profiles", first, code=1)
    drop = ["parked", "drop", "profiles", second, "--reason"]
    assert "Say why" in martech(shell, *drop, " ", code=1)
    assert "given up" in martech(shell, *drop, "sent by a test")
    assert "list the parked" in martech(shell, *drop, "twice", code=1)
    assert listed(shell) == [f"{RECORD}:1:2"]


def test_many_are_tried_again(shell: CliRunner) -> None:
    again = ["parked", "retry", "profiles"]
    assert "Name a subscription" in martech(shell, *again, code=1)
    assert "Give an ID, or" in martech(shell, *again, "x", "--type", TYPE, code=2)
    assert "3 are due again" in martech(shell, *again, "--subscription", RECORD)
    assert "0 are due again" in martech(shell, *again, "--subscription", RECORD)


def test_a_replay_begins_at_a_position_or_a_time(shell: CliRunner, url: str) -> None:
    replay = ["replay", f"profiles.{RECORD}", "--in-place"]
    soon = "2100-01-01T00:00:00+02:00"
    assert "behind 0 again" in martech(shell, *replay, "--from", soon), "nothing was heard yet"
    asyncio.run(settle(url))
    assert "behind 1 again" in martech(shell, *replay, "--from", soon)
    assert "behind 0 again" in martech(shell, *replay, "--from", "2001-01-01T00:00:00Z")
    asyncio.run(settle(url))
    assert "behind 0 again" in martech(shell, *replay, "--from", "0")
    for text in ("yesterday", "2026-01-01T00:00:00", str(2**63)):
        assert "neither a position nor a time" in martech(shell, *replay, "--from", text, code=1)
    for several in ([], ["--shadow", "--from", "0"], ["--shadow", "--abandon"]):
        assert "Say --from where" in martech(shell, *replay, *several, code=2)
    assert "goes with --from" in martech(shell, *replay, "--shadow", code=2)


def test_what_a_shadow_can_make_anew_is_replayed_in_place_only_if_that_is_said(
    shell: CliRunner, url: str
) -> None:
    asyncio.run(settle(url))
    replay = ["replay", f"profiles.{RECORD}", "--from", "0"]
    assert "beside the one in use: --shadow" in martech(shell, *replay, code=1)
    assert "behind 0 again" in martech(shell, *replay, "--in-place")


def test_a_shadow_is_made_and_abandoned(shell: CliRunner) -> None:
    assert "is made anew" in martech(shell, "replay", f"profiles.{RECORD}", "--shadow")
    assert "Nothing is left" in martech(shell, "replay", f"profiles.{RECORD}", "--abandon")
    refused = martech(shell, "replay", "tracking.nothing", "--shadow", code=1)
    assert f"There are: profiles.{RECORD}." in refused


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As a terminal's process is; a worker of pytest hears no Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("place", "what_is_so"),
    [
        ("shadow.after_step", "what is in use was not touched"),
        ("shadow.before_commit", "as a whole or not at all"),
        ("shadow.after_commit", "is in use now"),
    ],
)
def test_a_shadow_that_is_interrupted_says_what_is_in_use(
    shell: CliRunner, place: str, what_is_so: str
) -> None:
    make_anew = ["replay", f"profiles.{RECORD}", "--shadow"]
    plan = {"MARTECH_FAILPOINTS": f"{place}=interrupt@1"}
    done = shell.invoke(main, make_anew, env=plan)
    assert done.exit_code == 130, done.output
    assert what_is_so in " ".join(done.output.split())
    assert "is made anew" in martech(shell, *make_anew)
