"""`martech contracts check`: any revision of a repository against the files that lie in it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from martech.__main__ import main

ROOT = Path(__file__).parents[2]
EVENTS = "contracts/personalization/asyncapi.json"
VERSION = "/components/schemas/SegmentChange/properties/version"
CURE = (
    "Keep the type, or add a field beside it with a default; or write V2 beside it, with an"
    " upcaster from V1."
)


SOME = ("personalization", "profiles", "tracking")
"""The modules whose contracts are looked at."""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Some of our contracts, committed as `released`; our mistakes are of no interest here."""
    for module in SOME:
        shutil.copytree(ROOT / "contracts" / module, tmp_path / "contracts" / module)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "released")
    return tmp_path


def git(repository: Path, *arguments: str) -> str:
    person = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    ran = subprocess.run(
        ["git", "-C", str(repository), *person, *arguments],
        capture_output=True,
        check=True,
        text=True,
    )
    return ran.stdout.strip()


def commit(repository: Path, tag: str) -> None:
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--no-verify", "--allow-empty", "--message", tag)
    git(repository, "tag", tag)


def check(repository: Path, *arguments: str) -> Result:
    command = ["contracts", "check", "--repository", str(repository), *arguments]
    return CliRunner().invoke(main, command)


def make_version_a_text(repository: Path) -> None:
    file = repository / EVENTS
    document = json.loads(file.read_text())
    document["components"]["schemas"]["SegmentChange"]["properties"]["version"] = {"type": "string"}
    file.write_text(json.dumps(document))


def test_it_is_0_if_every_promise_is_kept(repository: Path) -> None:
    done = check(repository, "--against", "released")
    assert done.exit_code == 0
    assert done.output.startswith("Every promise is kept, against released (")


def test_it_is_1_with_the_place_the_rule_and_the_cure_of_each_breach(repository: Path) -> None:
    make_version_a_text(repository)
    done = check(repository, "--against", "released")
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        f"{EVENTS} {VERSION}",
        "    type-changed",
        '    was: {"type":"integer"}',
        '    is:  {"type":"string"}',
        f"    {CURE}",
        f"1 broken promise, against released ({git(repository, 'rev-parse', 'released')[:12]}).",
    ]


def test_its_json_is_for_programs(repository: Path) -> None:
    make_version_a_text(repository)
    done = check(repository, "--against", "released", "--json")
    assert done.exit_code == 1
    assert json.loads(done.output) == {
        "against": git(repository, "rev-parse", "released"),
        "breaches": [
            {
                "file": EVENTS,
                "pointer": VERSION,
                "rule": "type-changed",
                "was": {"type": "integer"},
                "is": {"type": "string"},
                "instead": CURE,
            }
        ],
        "corrected": [],
    }


CORRECTION = {
    "file": EVENTS,
    "pointer": VERSION,
    "rule": "type-changed",
    "was": {"type": "integer"},
    "is": {"type": "string"},
    "why": "It has been a text from the start.",
}


def correct(repository: Path, **otherwise: object) -> None:
    file = repository / "contracts/corrections.json"
    file.write_text(json.dumps([{**CORRECTION, **otherwise}]))


def test_a_mistake_in_writing_that_is_listed_as_it_was_is_no_breach(repository: Path) -> None:
    make_version_a_text(repository)
    correct(repository)
    done = check(repository, "--against", "released")
    assert done.exit_code == 0
    assert done.output.splitlines()[:2] == [
        f"{EVENTS} {VERSION}",
        "    corrected: It has been a text from the start.",
    ]
    said = json.loads(check(repository, "--against", "released", "--json").output)
    assert (said["breaches"], said["corrected"]) == ([], [CORRECTION])


@pytest.mark.parametrize(
    "otherwise",
    [
        {"file": "contracts/profiles/asyncapi.json"},
        {"pointer": "/info"},
        {"rule": "format-changed"},
        {"was": {"type": "number"}},
        {"is": {"type": "boolean"}},
    ],
    ids=lambda otherwise: next(iter(otherwise)),
)
def test_any_other_difference_is_not_covered_by_it(
    repository: Path, otherwise: dict[str, object]
) -> None:
    make_version_a_text(repository)
    correct(repository, **otherwise)
    done = check(repository, "--against", "released")
    assert done.exit_code == 1
    assert "corrected" not in done.output


def test_it_is_2_if_the_corrections_cannot_be_read(repository: Path) -> None:
    (repository / "contracts/corrections.json").write_text('[{"file": "x"}]')
    done = check(repository, "--against", "released")
    assert done.exit_code == 2
    assert "martech: contracts/corrections.json cannot be read: " in done.output


def test_any_revision_will_do(repository: Path) -> None:
    make_version_a_text(repository)
    commit(repository, "later")
    assert check(repository, "--against", "later").exit_code == 0
    assert check(repository, "--against", "HEAD~1").exit_code == 1


def test_a_module_that_was_not_there_has_promised_nothing(repository: Path) -> None:
    shutil.copytree(repository / "contracts/profiles", repository / "contracts/loyalty")
    assert check(repository, "--against", "released").exit_code == 0


def test_a_module_that_is_there_no_more_has_broken_every_promise(repository: Path) -> None:
    files = sorted((repository / "contracts/profiles").rglob("*.json"))
    gone = [file.relative_to(repository).as_posix() for file in files]
    shutil.rmtree(repository / "contracts/profiles")
    done = check(repository, "--against", "released", "--json")
    found = [(found["file"], found["rule"]) for found in json.loads(done.output)["breaches"]]
    assert found == [(file, "contract-removed") for file in gone]
    assert {"asyncapi.json", "openapi.json", "port.json"} < {file.name for file in files}


def test_a_golden_payload_that_is_written_anew_is_a_breach(repository: Path) -> None:
    golden = repository / "contracts/tracking/golden/tracking.events_tracked.v1.json"
    golden.write_text(golden.read_text().replace('"word"', '"other"'))
    done = check(repository, "--against", "released")
    assert done.exit_code == 1
    assert "golden-changed" in done.output


@pytest.mark.parametrize("revision", ["nowhere", "--help", "released:contracts"])
def test_it_is_2_if_there_is_no_such_revision(repository: Path, revision: str) -> None:
    done = check(repository, f"--against={revision}")
    assert done.exit_code == 2
    assert f"martech: {revision}: no such revision in" in done.output


def test_it_is_2_where_git_keeps_nothing(tmp_path: Path) -> None:
    done = check(tmp_path, "--against", "HEAD")
    assert done.exit_code == 2
    assert "no such revision" in done.output


def test_where_nothing_is_committed_yet_that_is_the_cure(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    done = check(tmp_path, "--against", "HEAD")
    assert done.exit_code == 2
    assert "where nothing is committed yet, commit first" in done.output


def test_it_is_2_if_a_file_cannot_be_read(repository: Path) -> None:
    (repository / EVENTS).write_text("<<<<<<< HEAD")
    done = check(repository, "--against", "released")
    assert done.exit_code == 2
    assert f"martech: {EVENTS} is no JSON: " in done.output


def test_it_does_not_write_the_contracts_anew(repository: Path) -> None:
    make_version_a_text(repository)
    before = {file: file.read_bytes() for file in repository.glob("contracts/**/*.json")}
    check(repository, "--against", "released")
    assert {file: file.read_bytes() for file in repository.glob("contracts/**/*.json")} == before
