"""A command says where the data is, and touches nothing that only looks like it."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from martech.__main__ import main
from martech.app import load
from martech.kernel import failpoints
from martech.kernel.moving import move
from martech.kernel.settings import Settings
from tests import databases
from tests.moving import empty, unwatched

pytestmark = pytest.mark.usefixtures("root_logger")

NAMES = ["access", "profiles", "tracking"]

COMMANDS = [
    ["key", "list"],
    ["key", "issue"],
    ["tenant", "create", "Acme"],
    ["audit"],
    ["parked", "list"],
    ["parked", "retry", "profiles", "--subscription", "record_what_was_tracked"],
    ["replay", "profiles.record_what_was_tracked", "--from", "0", "--in-place"],
    ["replay", "profiles.record_what_was_tracked", "--shadow"],
]


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, load(NAMES), tmp_path)


@pytest.fixture
def away(kind: str, tmp_path: Path) -> str:
    return empty(kind, tmp_path)


def refused(url: str, *arguments: str) -> str:
    """What a command of the installation at *url* says on its way out."""
    env = {"MARTECH_DATABASE_URL": url, "MARTECH_MODULES": ",".join(NAMES)}
    done = CliRunner(env=env).invoke(main, arguments)
    assert done.exit_code == 2, done.output
    return " ".join(done.output.split())


def leave(url: str, away: str) -> None:
    """Access does."""
    (access,) = load(["access"])
    asyncio.run(move(access, Settings(database_url=url), Settings(database_url=away), unwatched))


def test_where_the_data_was_it_says_where_it_went(url: str, away: str) -> None:
    leave(url, away)
    for arguments in COMMANDS:
        assert "martech: access moved to" in refused(url, *arguments), arguments


def test_where_the_data_has_not_arrived_nothing_is_written(url: str, away: str) -> None:
    failpoints.arm("moving.after_copied=error")
    with pytest.raises(failpoints.Planned):
        leave(url, away)
    failpoints.arm("")
    for arguments in COMMANDS:
        assert "martech: access has not arrived here" in refused(away, *arguments), arguments


def test_where_nothing_is_yet_it_says_what_makes_it(kind: str, tmp_path: Path) -> None:
    bare = empty(kind, tmp_path)
    assert "Run `martech migrate`" in refused(bare, "key", "list")
