"""The demo told small: every count agrees, kills change nothing, trouble is said in a sentence."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo.state import Home

LIMIT = 60
pytestmark = pytest.mark.timeout(300)


def run(module: str, home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, "--home", str(home), "--limit", str(LIMIT), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_the_report_agrees_with_the_parquet_and_sent_is_received(tmp_path: Path) -> None:
    done = run("demo", tmp_path)
    assert done.returncode == 0, done.stdout
    assert "sent = received" in done.stdout
    assert "computed from the parquet alone are the same" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["orders"] == 2 * LIMIT
    assert report["received"] == report["accepted"] == report["activities"]
    assert report["duplicate"] == report["rejected"] == 0


def test_a_killed_demo_that_is_run_again_ends_in_the_same_report(tmp_path: Path) -> None:
    done = run("demo.kills", tmp_path, "--each", "1", "--stages", "history", "live")
    assert done.returncode == 0, done.stdout
    assert "2 kills" in done.stdout
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
