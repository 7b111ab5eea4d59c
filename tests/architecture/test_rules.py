"""The house rules hold in every file; and each rule, shown its violation, catches it."""

from pathlib import Path

import pytest

from tests.architecture import rules
from tests.architecture.copies import ROOT, SPECIMEN, SRC
from tests.architecture.rules import Rule

MODULES = [
    rules.the_edge_commits,
    rules.settings_come_from_the_host,
    rules.time_is_an_argument,
    rules.domain_throws_no_dice,
    rules.types_are_kept,
    rules.statements_are_built,
    rules.a_thing_is_defined_where_it_belongs,
    rules.what_a_route_takes_is_strict,
    rules.a_port_is_asked_in_one_round_trip,
    rules.a_unit_holds_nothing_of_the_world,
]
SOURCE = [rules.everything_is_finished, rules.an_init_is_empty, rules.a_name_says_something]
EVERYTHING = [rules.a_file_is_short, rules.a_function_is_short]
TESTS = [
    rules.tests_wait_for_what_they_want,
    rules.tests_use_what_is_real,
    rules.tests_are_run,
    rules.tests_assert,
]
CODE = ["src", "tests", "demo", "benchmarks", "clients"]
HELD = {"src/martech/modules": MODULES, "src": SOURCE, "tests": TESTS}

HTTP, DOMAIN = "src/martech/modules/plums/http.py", "src/martech/modules/plums/domain.py"
SERVICE, KERNEL = "src/martech/modules/plums/service.py", "src/martech/kernel/ropes.py"
JOBS = "src/martech/modules/plums/jobs.py"
TEST = "tests/modules/plums/test_plums.py"
LONG = "def f() -> None:\n" + "    x = 1\n" * 40

ASKS = """
class PlumService:
    def __init__(self, tx, fruits):
        self.fruits = fruits
    async def f(self, ids):
        {}
"""
UNIT = """
async def pick(command, unit, fruits):
    async with unit() as plums:
        {}
"""

VIOLATIONS: list[tuple[Rule, str, str]] = [
    (rules.the_edge_commits, SERVICE, "async def f(tx):\n    await tx.connection.commit()"),
    (rules.the_edge_commits, SERVICE, "async def f(tx):\n    await tx.rollback()"),
    (rules.the_edge_commits, SERVICE, "async def f(e):\n    async with e.begin(): ..."),
    (rules.settings_come_from_the_host, SERVICE, "import os\nx = os.environ['X']"),
    (rules.settings_come_from_the_host, SERVICE, "from os import environ as e\nx = e['X']"),
    (rules.settings_come_from_the_host, SERVICE, "import os\nx = os.getenv('X')"),
    (rules.settings_come_from_the_host, SERVICE, "x = Settings.from_env({})"),
    (rules.time_is_an_argument, SERVICE, "x = datetime.now(UTC)"),
    (rules.time_is_an_argument, DOMAIN, "import datetime\nx = datetime.datetime.utcnow()"),
    (rules.time_is_an_argument, DOMAIN, "from time import monotonic\nx = monotonic()"),
    (rules.time_is_an_argument, DOMAIN, "x = date.today()"),
    (rules.domain_throws_no_dice, DOMAIN, "from uuid import uuid4\nx = uuid4()"),
    (rules.domain_throws_no_dice, DOMAIN, "import uuid\nx = uuid.uuid1()"),
    (rules.domain_throws_no_dice, "src/martech/modules/plums/domain/x.py", "x = uuid7()"),
    (rules.types_are_kept, SERVICE, "from typing import Any\nx: Any = 1"),
    (rules.types_are_kept, SERVICE, "import typing\nx: typing.Any = 1"),
    (rules.types_are_kept, SERVICE, "from typing import cast as c\nx = c(int, 1)"),
    (rules.types_are_kept, SERVICE, "x = 1  # type: ignore[assignment]"),
    (rules.types_are_kept, SERVICE, "x = 1  # noqa: E501"),
    (rules.statements_are_built, SERVICE, "from sqlalchemy import text\nx = text('SELECT 1')"),
    (rules.statements_are_built, SERVICE, "import sqlalchemy as sa\nx = sa.text('SELECT 1')"),
    (rules.statements_are_built, SERVICE, "from sqlalchemy.orm import DeclarativeBase"),
    (rules.a_thing_is_defined_where_it_belongs, SERVICE, "class Ripened(Event, frozen=True): ..."),
    (rules.a_thing_is_defined_where_it_belongs, DOMAIN, "class Ripened(Folded): ..."),
    (rules.a_thing_is_defined_where_it_belongs, SERVICE, "class Plum(messages.View): ..."),
    (rules.a_thing_is_defined_where_it_belongs, HTTP, "class Pick(Command): ..."),
    (rules.a_thing_is_defined_where_it_belongs, DOMAIN, "class PickPlum(Request): ..."),
    (rules.what_a_route_takes_is_strict, HTTP, "class PickPlum(msgspec.Struct): ..."),
    (
        rules.a_port_is_asked_in_one_round_trip,
        SERVICE,
        ASKS.format("for i in ids:\n            x = await self.fruits.get(i)"),
    ),
    (
        rules.a_port_is_asked_in_one_round_trip,
        SERVICE,
        ASKS.format("return [await self.fruits.get(i) for i in ids]"),
    ),
    (rules.a_unit_holds_nothing_of_the_world, JOBS, UNIT.format("await fruits.get(1)")),
    (rules.a_unit_holds_nothing_of_the_world, JOBS, UNIT.format("await COURIERS['x'].send(plums)")),
    (rules.everything_is_finished, KERNEL, "def f():\n    raise NotImplementedError"),
    (rules.everything_is_finished, KERNEL, "x = 1  # TODO: more"),
    (rules.everything_is_finished, KERNEL, "# FIXME\nx = 1"),
    (rules.an_init_is_empty, "src/martech/modules/plums/__init__.py", "from x import y"),
    (rules.an_init_is_empty, "src/martech/kernel/__init__.py", "x = 1"),
    (rules.an_init_is_empty, "src/martech/__init__.py", "VERSION = 1"),
    (rules.an_init_is_empty, "src/martech/modules/__init__.py", "x = 1"),
    (rules.a_name_says_something, "src/martech/kernel/utils.py", "x = 1"),
    (rules.a_name_says_something, "src/martech/kernel/rope_helpers.py", "x = 1"),
    (rules.a_name_says_something, "src/martech/kernel/common/ropes.py", "x = 1"),
    (rules.a_name_says_something, KERNEL, "class RopeManager: ..."),
    (rules.a_name_says_something, KERNEL, "class BaseRope: ..."),
    (rules.a_file_is_short, KERNEL, "x = 1\n" * 401),
    (rules.a_function_is_short, KERNEL, LONG),
    (rules.a_function_is_short, KERNEL, LONG.replace("def", "async def")),
    (rules.tests_wait_for_what_they_want, TEST, "import time\ntime.sleep(1)"),
    (rules.tests_wait_for_what_they_want, TEST, "from asyncio import sleep\nx = sleep(1)"),
    (rules.tests_wait_for_what_they_want, TEST, "import asyncio\nx = asyncio.sleep(0.01)"),
    (rules.tests_wait_for_what_they_want, TEST, "await asyncio.wait({x}, timeout=0.5)"),
    (rules.tests_use_what_is_real, TEST, "from unittest.mock import patch"),
    (rules.tests_use_what_is_real, TEST, "from unittest import mock"),
    (rules.tests_are_run, TEST, "import pytest\npytest.skip('no database')"),
    (rules.tests_are_run, TEST, "import pytest\n@pytest.mark.skipif(True)\ndef test_x(): ..."),
    (rules.tests_are_run, TEST, "import pytest\n@pytest.mark.xfail\ndef test_x(): ..."),
    (rules.tests_assert, TEST, "def test_x() -> None:\n    print(1)"),
]


def rules_of(path: Path) -> list[Rule]:
    below = [held for folder, held in HELD.items() if ROOT / folder in path.parents]
    return [*EVERYTHING, *(rule for held in below for rule in held)]


@pytest.mark.parametrize("folder", CODE)
def test_every_file_keeps_its_rules(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {rule.__name__}: {finding}"
        for path in sorted((ROOT / folder).glob("**/*.py"))
        if "node_modules" not in path.parts
        for source in [path.read_text()]
        for rule in rules_of(path)
        for finding in rule(path, source)
    ]
    assert not found, "\n".join(found)


def test_every_folder_of_the_source_is_a_package() -> None:
    """The linter sees packages only: a folder without an __init__.py would hide from it."""
    folders = {path.parent for path in SRC.glob("**/*.py")}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()] == []


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    VIOLATIONS,
    ids=[f"{v[0].__name__}-{n}" for n, v in enumerate(VIOLATIONS)],
)
def test_a_rule_catches_its_violation(rule: Rule, path: str, source: str) -> None:
    assert rule(ROOT / path, source) != []


@pytest.mark.parametrize("rule", [*MODULES, *SOURCE, *EVERYTHING])
def test_a_rule_lets_the_legal_form_pass(rule: Rule) -> None:
    in_place = {
        SRC / "modules" / path.relative_to(SPECIMEN): path.read_text()
        for path in SPECIMEN.glob("*/*.py")
    }
    assert [path for path, source in in_place.items() if rule(path, source)] == []


def test_every_rule_was_seen_to_catch() -> None:
    assert {rule for rule, _, _ in VIOLATIONS} == {*MODULES, *SOURCE, *EVERYTHING, *TESTS}
