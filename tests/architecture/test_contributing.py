"""CONTRIBUTING.md promises a module in ten minutes: build exactly what it says, and use it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n# ([\w/]+/modules/loyalty/\w+\.py)\n(.*?)```", re.DOTALL)

USE = """
import asyncio, sys
from datetime import UTC, datetime
from uuid import uuid4
import msgspec
from martech.app import load
from martech.kernel import migrate
from martech.kernel.bus import Bus
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from martech.modules.profiles.contract import Activity, ActivityRecorded, Identity

async def main(folder: str) -> None:
    modules = load(["tracking", "profiles", "loyalty"])
    loyalty = modules[-1]
    await migrate.revise(loyalty, "initial")
    url = f"sqlite:///{folder}"
    for module in modules:
        await migrate.upgrade(module, url)
    tenant, buyer = uuid4(), uuid4()
    async with Host(modules, Settings(database_url=url)) as host:
        async with host.databases["profiles"].transaction(tenant) as tx:
            now = datetime.now(UTC)
            tx.publish(ActivityRecorded(items=[
                Activity(
                    profile_id=buyer, identity=Identity(kind="user_id", value="ada"),
                    message_id=str(n), type="track", event="Order Completed", timestamp=now,
                    received_at=now, properties=msgspec.Raw(b'{"revenue": 12.5}'),
                )
                for n in range(3)
            ]))
        bus = Bus(host)
        await bus.settle()
        async with host.unit("loyalty", tenant, write=False) as service:
            print((await service.balance(buyer)).points)

asyncio.run(main(sys.argv[1]))
"""

TEST = ("tests/modules/loyalty", "-k", "sqlite")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the tree with the module of CONTRIBUTING.md in it."""
    for folder in ("src", "migrations", "tests"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in (".importlinter", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    for path, text in BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text()):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
        (tmp_path / path).with_name("__init__.py").touch()
    return tmp_path


def run(house: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_the_module_of_the_guide_works_and_keeps_the_house_rules(house: Path) -> None:
    assert run(house, "-c", USE, str(house / "var")).strip().splitlines()[-1] == "36"
    files = ("src/martech/modules/loyalty", "tests/modules/loyalty")
    run(house, "-m", "ruff", "check", *files)
    run(house, "-m", "ruff", "format", "--check", *files)
    assert "1 passed" in run(house, "-m", "pytest", "-v", "-p", "no:cacheprovider", *TEST)
    run(house, "-c", "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])")


def test_the_guide_names_every_file_of_the_module() -> None:
    named = {Path(path).stem for path, _ in BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text())}
    files = {"contract", "domain", "tables", "service", "handlers", "http", "module"}
    assert named == {*files, "test_points"}
