"""Every module can be lifted out: its folder, the kernel, the app, and its neighbours' faces."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from martech.app import installed, load
from martech.kernel.extract.sources import named
from martech.kernel.module import Module
from tests.architecture.copies import SRC

BOOT = """
import sys
from pathlib import Path
import martech
assert Path(martech.__file__).is_relative_to(sys.argv[2]), martech.__file__
from martech.app import create_app, installed
from martech.kernel.module import ManifestError
from martech.kernel.settings import Settings
assert installed() == [sys.argv[1]], installed()
try:
    create_app(Settings(database_url=f"sqlite:///{sys.argv[2]}/var"))
except ManifestError as refusal:
    print(refusal)
else:
    print("boots")
"""

GRANT = """
import sys
from martech.app import installed
from martech.kernel.settings import Settings
from martech.modules.access.service import Catalogue
assert installed() == sys.argv[1:], installed()
Catalogue(Settings()).check(["profiles:read", "*:*"])
"""


def lift(module: str, to: Path, faces: list[str]) -> subprocess.CompletedProcess[str]:
    """Copy what *module* needs to stand alone, and nothing else; then start it."""
    copy(module, to, faces)
    return run(to, BOOT, module, str(to))


def copy(module: str, to: Path, faces: list[str]) -> None:
    package = to / "martech"
    shutil.copytree(SRC / "kernel", package / "kernel")
    shutil.copytree(SRC / "console", package / "console")
    for file in ["__init__.py", "app.py", "modules/__init__.py"]:
        (package / file).parent.mkdir(exist_ok=True)
        shutil.copy(SRC / file, package / file)
    shutil.copytree(SRC / "modules" / module, package / "modules" / module)
    for name in faces:
        (package / "modules" / name).mkdir()
        for file in ["__init__.py", "contract.py"]:
            shutil.copy(SRC / "modules" / name / file, package / "modules" / name)


def run(to: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=to,
        env={**os.environ, "PYTHONPATH": str(to)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", load(installed()), ids=lambda module: module.name)
def test_a_module_starts_with_only_the_faces_of_its_neighbours(
    module: Module, tmp_path: Path
) -> None:
    """One that needs nobody boots. One that does says whom it misses, and what to do about it:
    nothing inside it reached for more than a face."""
    needed = named(module)
    started = lift(module.name, tmp_path, sorted(needed))
    assert started.returncode == 0, started.stderr
    if needed:
        assert any(name in started.stdout for name in needed)
        assert "say in MARTECH_PEERS where it runs" in started.stdout
        assert "MARTECH_MODULES" not in started.stdout, "whose code is not there cannot be added"
    else:
        assert started.stdout == "boots\n"


@pytest.mark.parametrize(
    "planted",
    [
        "from martech.modules.tracking.domain import *",
        "from martech.modules import tracking as x\nx.http",
    ],
)
def test_a_module_that_reaches_behind_a_face_does_not_start(planted: str, tmp_path: Path) -> None:
    folder = tmp_path / "src"
    started = lift("access", folder, ["tracking"])
    assert started.stdout == "boots\n", started.stderr
    service = folder / "martech" / "modules" / "access" / "service.py"
    service.write_text(f"{service.read_text()}\n{planted}\n")
    assert run(folder, BOOT, "access", str(folder)).returncode != 0


@pytest.mark.parametrize(("beside", "faces"), [([], []), (["tracking"], ["profiles"])])
def test_access_grants_what_left_it_and_what_it_has_left(
    beside: list[str], faces: list[str], tmp_path: Path
) -> None:
    copy("access", tmp_path, faces)
    for name in beside:
        shutil.copytree(SRC / "modules" / name, tmp_path / "martech" / "modules" / name)
    granted = run(tmp_path, GRANT, "access", *beside)
    assert granted.returncode == 0, granted.stderr
