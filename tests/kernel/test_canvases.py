"""`martech modules`: what cannot be known at the moment is a question mark, and no mishap."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from martech.__main__ import main
from martech.cli import canvases
from martech.kernel.files import installed
from martech.kernel.settings import SECRET
from tests.servers import free_port

pytestmark = pytest.mark.usefixtures("root_logger")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Of a host of profiles whose peer, tracking, is away."""
    monkeypatch.setattr(canvases.out, "width", 300)
    peers = ",".join(
        f"{name}=http://127.0.0.1:{free_port()}" for name in installed() if name != "profiles"
    )
    return CliRunner(
        env={
            "MARTECH_DATABASE_URL": f"sqlite:///{tmp_path}/data",
            "MARTECH_MODULES": "profiles",
            "MARTECH_PEERS": peers,
            "MARTECH_PEER_SECRET": "-" * SECRET,
        }
    )


def heard(shell: CliRunner, module: str) -> list[str]:
    """What is said of the first subscription of *module*: how far it is behind, what waits."""
    shown = shell.invoke(main, ["modules", module])
    assert shown.exit_code == 0, (shown.output, shown.exception)
    below = shown.stdout.partition("Listens to")[2]
    row = next(line for line in below.splitlines() if ".v1" in line)
    return row.split()[2:5]


@pytest.mark.whole
def test_how_far_behind_a_source_that_is_away_nobody_knows(shell: CliRunner) -> None:
    made = shell.invoke(main, ["migrate"])
    assert made.exit_code == 0, made.output
    assert heard(shell, "profiles") == ["?", "0", "0"]


@pytest.mark.whole
def test_nor_how_a_module_stands_that_is_not_hosted_here(shell: CliRunner) -> None:
    made = shell.invoke(main, ["migrate"])
    assert made.exit_code == 0, made.output
    assert heard(shell, "campaigns") == ["?", "?", "?"]
