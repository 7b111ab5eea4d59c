"""What a short run leaves to chance is chosen by the commit: in time everything has its turn, and
the same commit is tested alike everywhere."""

import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from martech.app import installed
from tests import databases
from tests.chaos.nodes import ROOT


class Turn(NamedTuple):
    outside: str
    """The module that is alone outside."""

    whole_on: str
    """The database on which the story is told whole and split."""

    broken_on: str
    """The other one: on it modules are broken."""


def turn(number: int) -> Turn:
    """Whose turn it is. In so many turns as there are modules, each is outside on one database, and
    in so many more on the other."""
    rounds, place = divmod(number, len(installed()))
    one, other = databases.KINDS
    return Turn(installed()[place], *((one, other) if rounds % 2 == 0 else (other, one)))


class Case(NamedTuple):
    """One way in which a test is told."""

    name: str
    given: Mapping[str, object]
    """By its parameters."""

    planted: bool
    """Whether it shows that a defect is found out (`pytest.mark.planted`)."""


def outside() -> str:
    return turn(_commit()).outside


def whole_on() -> str:
    return turn(_commit()).whole_on


def broken_on() -> str:
    return turn(_commit()).broken_on


def shorten(
    config: pytest.Config,
    items: list[pytest.Item],
    folder: Path,
    kept: Callable[[Case], bool],
) -> None:
    """Leave out of a short run those below *folder* that are not *kept*."""
    if config.getoption("--full"):
        return
    left = {i for i in items if folder in i.path.parents and not kept(_case(i))}
    config.hook.pytest_deselected(items=list(left))
    items[:] = [item for item in items if item not in left]


def _case(item: pytest.Item) -> Case:
    varied = getattr(item, "callspec", None)
    planted = item.get_closest_marker("planted") is not None
    return Case(item.name.partition("[")[0], varied.params if varied else {}, planted)


@cache
def _commit() -> int:
    asked = ["git", "rev-parse", "--verify", "--quiet", "HEAD"]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return int(said.strip() or "0", 16)  # an archive has no commit, nor has what was just begun
