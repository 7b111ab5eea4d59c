"""What a short run leaves to chance is chosen by the commit: in time everything has its turn, and
the same commit is tested alike everywhere."""

import subprocess

from martech.app import installed
from tests import databases
from tests.chaos.nodes import ROOT


def outside() -> str:
    """The module that is alone outside."""
    return installed()[_commit() % len(installed())]


def whole_on() -> str:
    """The database on which the story is told whole and split."""
    return databases.KINDS[_commit() % 2]


def broken_on() -> str:
    """The other one: on it modules are broken."""
    return databases.KINDS[1 - _commit() % 2]


def _commit() -> int:
    asked = ["git", "rev-parse", "--verify", "--quiet", "HEAD"]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return int(said.strip() or "0", 16)  # an archive has no commit, nor has a new repository
