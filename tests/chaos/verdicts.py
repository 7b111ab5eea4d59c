"""docs/verdicts.json: what `make chaos` found, guarantee by guarantee.

The first line of a file's docstring names the guarantees that it shows (``E3 and E7: …``). A run at
full size writes what became of them, with the commit, the machine, all that they said of themselves
and the seeds of their dice; what was not run keeps the verdict of the run before. It is written
test by test, so that a run that is broken off has found out what it has. Of several workers
(`--numprocesses`) each says which guarantees its tests show, and who directs them writes.
"""

import inspect
import os
import platform
import random
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "verdicts.json"
NAMED = re.compile(r"^((?:[A-Z]\d+(?:, and |, | and )?)+)")
"""One guarantee or several, at the beginning of a docstring."""

ONE = re.compile(r"[A-Z]\d+")

NOTED = {"said": "said", "seed": "seeds"}
"""What is written down of a test's properties, each as a list of all that there were."""


def guarantees(item: pytest.Item) -> list[str]:
    """Those that the file of *item* names."""
    module = getattr(item, "module", None)
    named = NAMED.match(inspect.getdoc(module) or "") if module else None
    return ONE.findall(named[1]) if named else []


def output(config: pytest.Config) -> dict[str, Any] | None:
    """What a worker says to who directs it; None if this is none."""
    return getattr(config, "workeroutput", None)


@contextmanager
def seeds_heard(tests: Path, hear: Callable[[int], None]) -> Iterator[None]:
    """Whoever below *tests* makes dice from a number has it heard."""
    make = random.Random.__init__

    def made(dice: random.Random, x: Any = None) -> None:
        if isinstance(x, int) and Path(sys._getframe(1).f_code.co_filename).is_relative_to(tests):
            hear(x)
        make(dice, x)

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(random.Random, "__init__", made)
        yield


class Verdicts:
    """A plugin that hears of every test and writes the page."""

    def __init__(self, file: Path = FILE, tests: Path = ROOT / "tests") -> None:
        self._file = file
        self._tests = tests
        self._writes = True
        self._there: set[str] = set()
        self._shows: dict[str, list[str]] = {}
        self._found: dict[str, dict[str, Any]] = {}

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._writes = output(session.config) is None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Before any is deselected."""
        self._there = {item.nodeid for item in items}
        if (said := output(config)) is not None:
            said["there"] = sorted(self._there)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """One that died in a test has said nothing; the others have collected the same."""
        self._there |= set(getattr(node, "workeroutput", {}).get("there", ()))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Nobody has to remember to write down a seed."""
        item.user_properties += [("shows", each) for each in guarantees(item)]
        with seeds_heard(self._tests, lambda seed: item.user_properties.append(("seed", seed))):
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        said: dict[str, list[object]] = defaultdict(list)
        for name, value in report.user_properties:
            if name in NOTED and value not in said[NOTED[name]]:
                said[NOTED[name]].append(value)
        self._shows[report.nodeid] = [
            str(v) for name, v in report.user_properties if name == "shows"
        ]
        self._found[report.nodeid] = {
            "outcome": report.outcome,
            "seconds": round(report.duration, 1),
            **said,
            "run": {"commit": _commit(), "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", **MACHINE},
        }
        self._write()

    def pytest_sessionfinish(self) -> None:
        """Only now every worker has said what tests there are."""
        self._write()

    def _write(self) -> None:
        verdicts: dict[str, dict[str, Any]] = defaultdict(dict)
        for nodeid, found in self._found.items():
            for guarantee in self._shows[nodeid]:
                verdicts[guarantee][nodeid] = found
        if verdicts and self._writes:
            before = msgspec.json.decode(self._file.read_bytes()) if self._file.is_file() else {}
            page = {
                name: self._verdict(before.get(name, {}), verdicts.get(name, {}))
                for name in sorted({*before, *verdicts}, key=_order)
            }
            self._file.write_bytes(msgspec.json.format(msgspec.json.encode(page)) + b"\n")

    def _verdict(self, before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
        """What a test that was not run now said last, unless there is no such test any more."""
        files = {nodeid.partition("::")[0] for nodeid in self._there}
        kept = {
            nodeid: said
            for nodeid, said in before.get("tests", {}).items()
            if nodeid in self._there or nodeid.partition("::")[0] not in files
        }
        tests = {**kept, **now}
        return {"holds": all(t["outcome"] == "passed" for t in tests.values()), "tests": tests}


MACHINE = {
    "python": platform.python_version(),
    "system": platform.system(),
    "processors": os.cpu_count() or 0,
}


WRITTEN = ("docs/verdicts.json", "docs/blast-radius.md")
"""By such runs."""


def _order(guarantee: str) -> tuple[str, int]:
    return guarantee[0], int(guarantee[1:])


@cache
def _commit() -> str:
    """What an earlier run has written makes no other tree."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", *(f":!{path}" for path in WRITTEN))
    return f"{commit}-dirty" if commit and changed else commit or "unknown"


def _git(*asked: str) -> str:
    said = subprocess.run(["git", *asked], cwd=ROOT, capture_output=True, text=True, check=False)
    return said.stdout.strip()
