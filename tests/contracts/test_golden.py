"""What was told once is read by today's code as it was meant, whatever has come since."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from martech.__main__ import main
from martech.app import load
from martech.kernel.files import faces, installed
from martech.kernel.messages import Event, Item, wire_name
from martech.kernel.published import golden
from martech.kernel.published.canvas import events
from martech.kernel.published.golden import payloads
from tests.neighbours import neighbour

ROOT = Path(__file__).parents[2]
HERE = load(installed())
LEFT = [
    neighbour(name)
    for name in faces()
    if name not in installed() and (ROOT / "contracts" / name).is_dir()
]
"""Whose face and promises stayed: what they told is in outboxes still."""

TYPES = {
    f"contracts/{module.name}/golden/{wire_name(event)}.json": event
    for module in [*HERE, *LEFT]
    for event in events(module)
}


def unread(written: object, read: object) -> list[str]:
    """Where *read* does not say what was *written*; more it may say."""
    if isinstance(written, dict) and isinstance(read, dict):
        return [
            f"{name}.{place}" if place else name
            for name, value in written.items()
            for place in (unread(value, read[name]) if name in read else [""])
        ]
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        return [place for pair in zip(written, read, strict=True) for place in unread(*pair)]
    return [] if written == read else [""]


def reread(event: type[Event], payload: object) -> Any:
    told = msgspec.json.decode(msgspec.json.encode(payload), type=event)
    return msgspec.json.decode(msgspec.json.encode(told))


def test_every_type_that_is_told_has_its_payloads_and_none_is_forgotten() -> None:
    there = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("contracts/*/golden/*.json")}
    assert there == set(TYPES), "run `make contracts`; what was told once goes on being read"


@pytest.mark.parametrize("path", TYPES)
def test_what_was_told_is_read_whole(path: str) -> None:
    told = json.loads((ROOT / path).read_text())
    for payload in (told["whole"], told["least"]):
        assert unread(payload, reread(TYPES[path], payload)) == []


class Sample(Item, frozen=True, kw_only=True):
    name: str
    note: str | None = None


class Renamed(Item, frozen=True, kw_only=True):
    name: str
    remark: str | None = None


class Told(Event, frozen=True, kw_only=True):
    about: list[Sample]


class Retold(Event, frozen=True, kw_only=True):
    about: list[Renamed]


def test_the_whole_has_every_field_and_the_least_only_what_is_required() -> None:
    made = payloads(Told)
    assert json.loads(bytes(made.whole)) == {"about": [{"name": "word", "note": "word"}]}
    assert json.loads(bytes(made.least)) == {"about": [{"name": "word"}]}


def test_a_field_that_nobody_reads_any_more_is_found() -> None:
    told = json.loads(bytes(payloads(Told).whole))
    assert unread(told, reread(Told, told)) == []
    assert unread(told, reread(Retold, told)) == ["about.note"]


@pytest.mark.parametrize("old", list(golden(HERE))[:1])  # where only who tells nothing is: none
def test_what_was_written_once_is_never_written_anew(old: str, tmp_path: Path) -> None:
    file = tmp_path / old
    file.parent.mkdir(parents=True)
    file.write_text("told long ago")
    done = CliRunner().invoke(main, ["contracts", "--into", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert file.read_text() == "told long ago"
    assert [path for path in golden(HERE) if not (tmp_path / path).exists()] == []
