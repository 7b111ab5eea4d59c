"""docs/verdicts.json: what `make chaos` found, guarantee by guarantee.

The first line of a file's docstring names the guarantees that it shows (``E3 and E7: …``). A run at
full size writes what became of them, with the commit, the machine and the seeds; what was not run
keeps the verdict of the run before.
"""

import inspect
import os
import platform
import re
import subprocess
from collections import defaultdict
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


def guarantees(item: pytest.Item) -> list[str]:
    """Those that the file of *item* names."""
    module = getattr(item, "module", None)
    named = NAMED.match(inspect.getdoc(module) or "") if module else None
    return ONE.findall(named[1]) if named else []


class Verdicts:
    """A plugin that hears of every test and writes the page when the run is over."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file
        self._of: dict[str, list[str]] = {}
        self._found: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Before any is deselected."""
        self._of = {item.nodeid: guarantees(item) for item in items}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        said = {name: value for name, value in report.user_properties if name in ("said", "seed")}
        self._found[report.nodeid] = {
            "outcome": report.outcome,
            "seconds": round(report.duration, 1),
            **said,
            "run": {"commit": _commit(), "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", **MACHINE},
        }

    def pytest_sessionfinish(self) -> None:
        verdicts: dict[str, dict[str, Any]] = defaultdict(dict)
        for nodeid, named in self._of.items():
            if nodeid in self._found:
                for guarantee in named:
                    verdicts[guarantee][nodeid] = self._found[nodeid]
        if verdicts:
            before = msgspec.json.decode(self._file.read_bytes()) if self._file.is_file() else {}
            page = {
                name: self._verdict(before.get(name, {}), verdicts.get(name, {}))
                for name in sorted({*before, *verdicts}, key=_order)
            }
            self._file.write_bytes(msgspec.json.format(msgspec.json.encode(page)) + b"\n")

    def _verdict(self, before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
        """What a test that was not run now said last, unless there is no such test any more."""
        files = {nodeid.partition("::")[0] for nodeid in self._of}
        kept = {
            nodeid: said
            for nodeid, said in before.get("tests", {}).items()
            if nodeid in self._of or nodeid.partition("::")[0] not in files
        }
        tests = {**kept, **now}
        return {"holds": all(t["outcome"] == "passed" for t in tests.values()), "tests": tests}


MACHINE = {
    "python": platform.python_version(),
    "system": platform.system(),
    "processors": os.cpu_count() or 0,
}


def _order(guarantee: str) -> tuple[str, int]:
    return guarantee[0], int(guarantee[1:])


@cache
def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return said.strip() or "unknown"
