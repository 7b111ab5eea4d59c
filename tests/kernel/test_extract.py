"""A module becomes a repository of its own, in which what is told of it still holds."""

import json
import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from martech.__main__ import main
from martech.app import describe, installed, load
from martech.cli.terminal import out
from martech.kernel import extract, published
from martech.kernel.errors import Conflict
from martech.kernel.extract import sources
from martech.kernel.extract.mentions import started
from martech.kernel.files import faces
from martech.kernel.published import gate

ROOT = Path(__file__).parents[2]


OF_THE_PAGE = "personalization"
FIRST = OF_THE_PAGE if OF_THE_PAGE in installed() else installed()[1]
"""The one that docs/extraction.md extracts; another where it has left."""


def by_the_commit() -> str:
    """One of the others, another one with each commit."""
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    others = [name for name in installed() if name != FIRST]
    return others[sha256(head.stdout.encode()).digest()[0] % len(others)]


CHOSEN = (FIRST, by_the_commit())
FURTHER = [name for name in installed() if name not in CHOSEN]


@pytest.fixture(
    scope="module",
    params=[*CHOSEN, *(pytest.param(name, marks=pytest.mark.only_full) for name in FURTHER)],
)
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of one module, in a folder of its name, just begun."""
    folder = tmp_path_factory.mktemp("extracted") / str(request.param)
    write(folder.name, folder)
    run(folder, "git", "init", "--quiet")
    return folder


def write(name: str, into: Path) -> list[str]:
    (module,) = load([name])
    return extract.extract(module, into, published.files([module], describe))


def run(folder: Path, *command: str) -> str:
    """What a program of this environment says there; it must succeed."""
    ran = subprocess.run(
        command,
        cwd=folder,
        env={
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}",
        },
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


@pytest.mark.timeout(300)
def test_its_tests_and_the_kernels_are_found_there(repository: Path) -> None:
    """None of them names what stayed behind: that would break off all of them."""
    found = run(repository, "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider")
    for tests in ("contracts", "kernel", "architecture", f"modules/{repository.name}"):
        assert f"tests/{tests}/" in found


@pytest.mark.only_full
@pytest.mark.timeout(3600)
def test_all_tests_pass_there(repository: Path) -> None:
    """On SQLite."""
    side_by_side = ("--numprocesses", "auto", "--dist", "worksteal")
    told = run(
        repository, "pytest", *side_by_side, "-k", "not postgresql", "-p", "no:cacheprovider"
    )
    assert "100%" in told


def test_what_it_has_told_is_as_it_was(repository: Path) -> None:
    golden = Path("contracts") / repository.name / "golden"
    kept = {path.name: path.read_bytes() for path in (ROOT / golden).glob("*")}
    assert {path.name: path.read_bytes() for path in (repository / golden).glob("*")} == kept


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
    assert ("MARTECH_PEERS=" in readme.replace(f"MARTECH_PEERS={module.name}=", "")) == bool(
        extract.neighbours(module)
    )
    assert readme.index("move-data") < readme.index("make run\n    curl")
    shown = re.search(r"127.0.0.1:8001(/\S+)\n\nWith containers", readme)
    assert shown
    published = json.loads((repository / f"contracts/{module.name}/openapi.json").read_text())
    asked = published["paths"][shown[1]]["get"].get("parameters", [])
    assert not [each["name"] for each in asked if each.get("required")]
    compose = (repository / "compose.yaml").read_text()
    assert "${MARTECH_PEERS" not in compose, "127.0.0.1 is another machine inside"
    assert os.access(repository / ".ci" / "run", os.X_OK)
    targets = run_make(repository)
    assert "make test" in targets
    assert "make demo" not in targets
    assert ("first tenant's keys" in targets) == (repository.name == "access")
    assert f"MODULE={repository.name} " in targets


@pytest.mark.parametrize(
    "text",
    [
        'load(["tracking"])',
        '(tracking,) = app.load(["access", "tracking"])',
        'NAMES = ("profiles", "tracking")\nMODULES = load(NAMES)',
        'env = {"MARTECH_MODULES": "access,tracking"}',
        'NAMES = ["access", "tracking"]\nenv = {"MARTECH_MODULES": ",".join(NAMES)}',
        'environment(tmp_path, MARTECH_MODULES="access, tracking")',
        'settings = Settings(modules=("access", "tracking"))',
    ],
)
def test_what_is_run_by_name_is_named_as_if_it_were_imported(text: str, tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(text)
    assert "tracking" in started(file)


def test_a_test_of_modules_that_stay_behind_stays_with_them() -> None:
    (module,) = load([FIRST])
    along = sources.of(module, ROOT)
    assert "tests/kernel/test_settings.py" in along
    assert "tests/kernel/test_moved_commands.py" not in along, "it has access run, by its name"


@pytest.mark.timeout(300)
def test_who_needs_what_is_not_there_is_sent_to_where_it_is(tmp_path: Path) -> None:
    write(FIRST, tmp_path)
    issued = refused(tmp_path, "key", "issue")
    assert "access is not hosted here. Say this where it is." in issued
    served = refused(tmp_path, "serve")
    assert "which is not hosted here. Its code is elsewhere: say in MARTECH_PEERS" in served


def test_a_line_of_a_file_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    out.print("tests/tale.py:100: asks")
    assert capsys.readouterr().out == "tests/tale.py:100: asks\n", "and no picture of a hundred"


def refused(folder: Path, *arguments: str) -> str:
    """What the command line says there on its way out."""
    said = subprocess.run(
        [sys.executable, "-m", "martech", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2, said.stderr
    return said.stderr


def run_make(folder: Path) -> str:
    said = subprocess.run(["make"], cwd=folder, capture_output=True, text=True, check=True)
    return said.stdout


@pytest.mark.timeout(300)
def test_what_is_to_be_mended_is_said_to_the_letter(tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["extract", FIRST, str(tmp_path / "new")])
    assert said.exit_code == 0, said.output
    (module,) = load([FIRST])
    lines = said.stdout.splitlines()
    mended = [f"  {path}:{line}: {why}" for path, line, why in extract.mendings(module)]
    assert mended
    assert lines[-len(mended) :] == mended


def test_a_folder_with_something_in_it_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Conflict, match="is not an empty folder"):
        write(FIRST, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_made_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    into = tmp_path / "file" / FIRST
    said = CliRunner().invoke(main, ["extract", FIRST, str(into)])
    assert said.exit_code == 1
    assert "cannot be written: Not a directory. Name another folder" in said.stderr


def test_a_module_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["extract", "personalisation", str(tmp_path / "new")])
    assert said.exit_code == 2
    assert "There is no module 'personalisation'; installed are access" in said.stderr
    assert not (tmp_path / "new").exists()


def test_what_may_be_removed_leaves_the_face(tmp_path: Path) -> None:
    """A monolith without a module knows it as a peer: it is asked for, and not installed."""
    for folder in ("src", "migrations", "contracts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (module,) = load([FIRST])
    for path in sources.left_behind(module, ROOT):
        gone = tmp_path / path
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink(missing_ok=True)
    assert {p.name for p in (tmp_path / "src/martech/modules" / FIRST).iterdir()} >= {
        "__init__.py",
        "contract.py",
    }
    away = sorted(set(faces()) - set(installed()))
    run(tmp_path, "python", "-c", BOOT, FIRST, *away)
    elsewhere = f"tracking=http://tracking:8000,{FIRST}=http://{FIRST}:8000"
    gates = run(
        tmp_path,
        "python",
        "-m",
        "martech",
        "nginx",
        "--peers",
        elsewhere,
        "--rest",
        "http://rest:1",
    )
    assert "location /tracking/" in gates
    assert f"location /{FIRST}/" in gates, "by its contracts, which are here"
    run(tmp_path, "python", "-m", "martech", "contracts")
    breaches = gate.verdict(gate.in_tree(ROOT), gate.in_tree(tmp_path))
    assert breaches == [], "what it promised is still promised"


@pytest.mark.only_full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", installed())
def test_what_remains_holds_before_anything_is_mended(name: str, tmp_path: Path) -> None:
    """Style, types, sentences and contracts; and every test that is left is found."""
    whole = tmp_path / "whole"
    run(tmp_path, "git", "clone", "--quiet", str(ROOT), str(whole))
    run(whole, "python", "-m", "martech", "extract", name, str(tmp_path / name), "--remove")
    assert not (whole / "src" / "martech" / "modules" / name / "module.py").exists()
    run(whole, "python", "-m", "martech", "contracts")
    run(whole, "ruff", "check", "--no-cache")
    run(whole, "ruff", "format", "--check", "--no-cache")
    run(whole, "mypy")
    assert "0 broken" in run(whole, "lint-imports", "--no-cache")
    found = run(whole, "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider")
    assert "tests/architecture/" in found


BOOT = """
import sys
from martech.app import create_app, installed, load, settings_of
from martech.kernel.settings import SettingsError
assert not set(sys.argv[1:]) & set(installed())
alone = {"MARTECH_DATABASE_URL": "sqlite:///var"}
elsewhere = ",".join(f"{name}=http://127.0.0.1:1" for name in sys.argv[1:])
peers = {"MARTECH_PEERS": elsewhere, "MARTECH_PEER_SECRET": "s" * 32}
assert create_app(settings_of({**alone, **peers}))
try:
    load(sys.argv[1:2])
except SettingsError as left:
    assert f"{sys.argv[1]} has left: only its contract is here" in str(left)
else:
    raise AssertionError("there is nothing to load")
"""
