"""What is published is read by those for whom it is: contracts, and what a platform serves."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.platform import Platform, platform
from clients.programs import HERE, node_packages, program

pytestmark = pytest.mark.timeout(300)

COMMITTED = sorted((HERE.parent / "contracts").glob("*/*api.json"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("platform")) as there:
        yield there


def complaints(*files: Path) -> str:
    """What the official readers have to say against *files*."""
    node_packages()
    ran = subprocess.run(
        [program("node"), str(HERE / "documents.mjs"), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert not ran.stderr.strip(), ran.stderr[-2000:]
    assert (ran.returncode == 0) == (not ran.stdout), ran.stdout
    return ran.stdout


def test_every_contract_is_what_it_says_it_is() -> None:
    assert len(COMMITTED) >= 2
    assert complaints(*COMMITTED) == ""


def test_so_is_what_is_served_of_the_whole(served: Platform, tmp_path: Path) -> None:
    files = []
    for name in ("openapi.json", "asyncapi.json"):
        files.append(tmp_path / name)
        files[-1].write_text(json.dumps(served.get(f"/{name}")))
    assert complaints(*files) == ""


@pytest.mark.parametrize("name", ["openapi.json", "asyncapi.json"])
def test_what_is_not_is_found(tmp_path: Path, name: str) -> None:
    document: dict[str, Any] = json.loads((HERE.parent / "contracts/tracking" / name).read_text())
    if name == "openapi.json":
        del document["info"]["title"]
    else:
        document["operations"]["tell.tracking.events_tracked.v1"]["action"] = "shout"
    broken = tmp_path / name
    broken.write_text(json.dumps(document))
    assert str(broken) in complaints(broken)
