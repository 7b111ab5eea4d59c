"""A failpoint is where code is, and some test fails there on purpose."""

import re
from pathlib import Path

from martech.kernel.failpoints import NAMES
from tests.architecture.copies import ROOT, SRC


def test_every_failpoint_stands_in_the_code_and_is_used_by_a_test() -> None:
    reached = re.findall(r'failpoints\.reach\(\s*"([a-z_.]+)"', _read(SRC))
    assert set(reached) == NAMES
    assert [name for name in NAMES if name not in _read(ROOT / "tests")] == []


def _read(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.rglob("*.py"))
