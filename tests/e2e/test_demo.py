"""The demo told small: every count agrees, kills change nothing, trouble is said in a sentence."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo.state import Home
from tests.commands import ROOT

LIMIT = 200  # baskets of each part; of few nobody who got the mail orders again
pytestmark = [pytest.mark.whole, pytest.mark.timeout(300)]


def run(module: str, home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, "--home", str(home), "--limit", str(LIMIT), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The home of a demo that ran to its end, and what it printed."""
    home = tmp_path_factory.mktemp("demo")
    done = run("demo", home)
    assert done.returncode == 0, done.stdout
    return home, done.stdout


def test_the_report_agrees_with_the_parquet_and_sent_is_received(told: tuple[Path, str]) -> None:
    home, printed = told
    assert "sent = received" in printed
    assert "from the parquet and the mail server's log alone are the same" in printed
    assert "watch it here: http://127.0.0.1:" in printed
    report = json.loads((home / "report.json").read_text())
    assert report["orders"] == 2 * LIMIT
    assert report["received"] == report["accepted"] == report["activities"]
    assert report["duplicate"] == report["rejected"] == 0
    steps = ("audience", "delivered", "opened", "clicked", "unsubscribed")
    funnel = [report[name] for name in steps]
    assert funnel == sorted(funnel, reverse=True)
    assert report["audience"] == report["segment before December"]
    assert report["audience"] == report["sent"] == report["delivered"] + report["bounced"]
    assert all(report[name] for name in (*steps, "bounced", "converted"))
    assert report["segment before December"] < report["segment after December"]


def test_a_mismatch_fails_the_command_and_shows_both_sides(
    told: tuple[Path, str], tmp_path: Path
) -> None:
    home = Home(shutil.copytree(told[0], tmp_path / "demo"))
    state = home.load()
    assert state
    state.finished, state.day = False, state.day - timedelta(weeks=52)  # what was told is not so
    home.save(state)
    done = run("demo", home.folder)
    assert done.returncode == 1
    assert "orders live" in done.stdout
    assert "the REST API says" in done.stdout
    assert "the world says" in done.stdout


def test_a_killed_demo_that_is_run_again_ends_in_the_same_report(
    told: tuple[Path, str], tmp_path: Path
) -> None:
    options = ("--measure", str(told[0]), "--seed", "5", "--each", "1", "--stages", "campaign")
    done = run("demo.kills", tmp_path, *options)
    assert done.returncode == 0, done.stdout
    assert "1 in campaign)" in done.stdout  # and perhaps some that came when it was over
    assert "each time the same report" in done.stdout


def test_a_key_the_platform_does_not_know_is_said_and_not_retried(tmp_path: Path) -> None:
    home = Home(tmp_path)
    state = home.begin(LIMIT, datetime.now(UTC).date())
    state.write_key = state.secret_key = "mtw_unheard_of"
    home.save(state)
    done = run("demo", tmp_path)
    assert done.returncode == 1
    assert "events were not accepted" in done.stdout
    assert "401" in done.stdout
    assert "Traceback" not in done.stdout
