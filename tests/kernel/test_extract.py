"""A module becomes a repository of its own, in which what is told of it still holds."""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from martech.__main__ import main
from martech.app import describe, installed, load
from martech.kernel import extract, published
from martech.kernel.errors import Conflict
from martech.kernel.extract import sources

ROOT = Path(__file__).parents[2]


REACHING = ("access", "delivery")
"""Some of their own tests need more than the faces of neighbours: the names of all scopes, and
tracking and profiles to be answered by."""


def by_the_commit() -> str:
    """One of the others, another one with each commit."""
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    others = [name for name in installed() if name not in ("personalization", *REACHING)]
    return others[sha256(head.stdout.encode()).digest()[0] % len(others)]


CHOSEN = ("personalization", by_the_commit())


@pytest.fixture(scope="module", params=CHOSEN)
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of one module, in a folder of its name."""
    folder = tmp_path_factory.mktemp("extracted") / str(request.param)
    write(folder.name, folder)
    return folder


def write(name: str, into: Path) -> list[str]:
    (module,) = load([name])
    return extract.extract(module, into, published.files([module], describe([name])))


def run(folder: Path, *command: str) -> str:
    """What a program of this environment says there; it must succeed."""
    ran = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout[-5000:]}{ran.stderr[-2000:]}"
    return ran.stdout


def test_there_is_one_module_and_of_its_neighbours_the_faces(repository: Path) -> None:
    (module,) = load([repository.name])
    modules = repository / "src" / "martech" / "modules"
    assert {path.name for path in modules.iterdir() if path.is_dir()} == {
        module.name,
        *extract.neighbours(module),
    }
    for name in extract.neighbours(module):
        assert {path.name for path in (modules / name).iterdir()} == {"__init__.py", "contract.py"}
    assert [path.name for path in (repository / "contracts").iterdir()] == [module.name]


@pytest.mark.timeout(300)
def test_its_sentences_and_its_style_hold_there(repository: Path) -> None:
    run(repository, "ruff", "check", "--no-cache")
    run(repository, "ruff", "format", "--check", "--no-cache")
    assert "0 broken" in run(repository, "lint-imports", "--no-cache")


@pytest.mark.only_full
@pytest.mark.timeout(600)
def test_its_own_tests_pass_there(repository: Path) -> None:
    """On SQLite."""
    own = f"tests/modules/{repository.name}"
    told = run(repository, "pytest", own, "tests/contracts", "-k", "not postgresql", "-q")
    assert " passed" in told or "100%" in told


def test_what_only_the_others_import_stays_behind(repository: Path) -> None:
    pyproject = (repository / "pyproject.toml").read_text()
    lock = (repository / "requirements.lock").read_text()
    assert f'name = "martech-{repository.name}"' in pyproject
    assert ('"duckdb' in pyproject) == ("duckdb==" in lock) == (repository.name == "analytics")
    assert ('"mrml' in pyproject) == ("mrml==" in lock) == (repository.name == "content")
    assert "litestar==" in lock
    assert "uvloop==" in lock


def test_its_pages_are_filled_in(repository: Path) -> None:
    (module,) = load([repository.name])
    for page in ("README.md", "compose.yaml", ".ci/run"):
        assert "{{" not in (repository / page).read_text()
    readme = (repository / "README.md").read_text()
    assert all(f"| {name} | " in readme for name in extract.neighbours(module))
    assert os.access(repository / ".ci" / "run", os.X_OK)
    targets = run_make(repository)
    assert "make test" in targets
    assert "make demo" not in targets


def run_make(folder: Path) -> str:
    said = subprocess.run(["make"], cwd=folder, capture_output=True, text=True, check=True)
    return said.stdout


def test_a_folder_with_something_in_it_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Conflict, match="is not an empty folder"):
        write("personalization", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_module_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["extract", "personalisation", str(tmp_path / "new")])
    assert said.exit_code == 2
    assert "There is no module 'personalisation'; installed are access" in said.stderr
    assert not (tmp_path / "new").exists()


def test_what_may_be_removed_leaves_the_face(tmp_path: Path) -> None:
    """A monolith without personalization knows it as a peer: it is asked for, and not installed."""
    for folder in ("src", "migrations"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (module,) = load(["personalization"])
    for path in sources.left_behind(module, ROOT):
        gone = tmp_path / path
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink(missing_ok=True)
    assert {p.name for p in (tmp_path / "src/martech/modules/personalization").iterdir()} >= {
        "__init__.py",
        "contract.py",
    }
    run(tmp_path, "python", "-c", BOOT)


BOOT = """
from martech.app import create_app, installed, settings_of
assert "personalization" not in installed()
alone = {"MARTECH_DATABASE_URL": "sqlite:///var"}
peers = {"MARTECH_PEERS": "personalization=http://127.0.0.1:1", "MARTECH_PEER_SECRET": "s" * 32}
assert create_app(settings_of({**alone, **peers}))
"""
