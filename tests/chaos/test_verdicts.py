"""What `make chaos` writes down of a run."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.verdicts import NAMED, ONE, ROOT, Verdicts

pytest_plugins = ["pytester"]

HOLDS = (
    '"""M98 and M99: what holds."""\n\ndef test_one(): assert True\ndef test_two(): assert True\n'
)
BROKEN = '"""M99: what does not."""\n\ndef test_three(): assert False\n'


@pytest.fixture
def page(pytester: pytest.Pytester) -> Path:
    pytester.makepyfile(test_holds=HOLDS, test_broken=BROKEN, test_other='"""No guarantee."""\n')
    return pytester.path / "verdicts.json"


def run(pytester: pytest.Pytester, page: Path, *options: str) -> dict[str, Any]:
    pytester.inline_run("-p", "no:cacheprovider", *options, plugins=[Verdicts(page, pytester.path)])
    found: dict[str, Any] = json.loads(page.read_text())
    return found


def test_a_guarantee_holds_if_all_its_tests_do(pytester: pytest.Pytester, page: Path) -> None:
    found = run(pytester, page)
    assert {name: verdict["holds"] for name, verdict in found.items()} == {
        "M98": True,
        "M99": False,
    }
    assert {*found["M99"]["tests"]} == {
        "test_holds.py::test_one",
        "test_holds.py::test_two",
        "test_broken.py::test_three",
    }
    assert found["M99"]["tests"]["test_broken.py::test_three"]["outcome"] == "failed"


DIRECTED = """
from pathlib import Path
from tests.chaos.verdicts import Verdicts

def pytest_configure(config):
    config.pluginmanager.register(Verdicts(Path("verdicts.json").absolute(), Path.cwd()))
"""


def test_several_workers_write_one_page(pytester: pytest.Pytester, page: Path) -> None:
    alone = run(pytester, page)
    page.unlink()
    pytester.makeconftest(DIRECTED)
    pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "--numprocesses", "2", "-k", "one or three"
    )
    several = json.loads(page.read_text())
    assert (several["M98"]["holds"], several["M99"]["holds"]) == (True, False)
    assert {*several["M99"]["tests"]} == {*alone["M99"]["tests"]} - {"test_holds.py::test_two"}


DYING = """
import os

def test_last(): os._exit(1)
"""


def test_a_run_that_is_broken_off_has_found_out_what_it_has(
    pytester: pytest.Pytester, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    pytester.makeconftest(DIRECTED)
    pytester.makepyfile(test_zz=DYING)
    pytester.runpytest_subprocess("-p", "no:cacheprovider")
    found = json.loads(page.read_text())
    assert (found["M98"]["holds"], found["M99"]["holds"]) == (True, False)


def test_what_is_not_run_again_keeps_its_verdict(pytester: pytest.Pytester, page: Path) -> None:
    run(pytester, page)
    found = run(pytester, page, "test_holds.py", "-k", "one")
    assert found["M99"]["holds"] is False
    assert len(found["M99"]["tests"]) == 3


def test_a_test_that_is_gone_says_nothing_any_more(pytester: pytest.Pytester, page: Path) -> None:
    run(pytester, page)
    pytester.makepyfile(test_broken=BROKEN.replace("test_three(): assert False", "test_four(): 1"))
    assert run(pytester, page)["M99"]["holds"] is True


SAYING = '''"""M97: what is said."""
from random import Random

def test_it(record_property):
    for name in ("whole", "apart"):
        record_property("said", f"{name}: {Random(len(name)).random() < 1}")
    Random(7), Random(7), Random()
'''


def test_all_that_a_test_said_and_every_seed_is_kept(pytester: pytest.Pytester, page: Path) -> None:
    pytester.makepyfile(test_saying=SAYING)
    found = run(pytester, page, "test_saying.py")["M97"]["tests"]["test_saying.py::test_it"]
    assert found["said"] == ["whole: True", "apart: True"]
    assert found["seeds"] == [5, 7]


@pytest.mark.parametrize(
    ("line", "ids"),
    [
        ("M1: state", ["M1"]),
        ("E12, E13, E14, and E4 at the wire: what", ["E12", "E13", "E14", "E4"]),
        ("M4 for a store: two", ["M4"]),
        ("The same story", []),
    ],
)
def test_a_docstring_begins_with_what_it_shows(line: str, ids: list[str]) -> None:
    named = NAMED.match(line)
    assert (ONE.findall(named[1]) if named else []) == ids
