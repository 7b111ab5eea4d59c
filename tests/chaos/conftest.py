"""What guarantees about one kind of database ask for."""

from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.chaos.choosing import Case, broken_on, shorten, whole_on


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Some is shown on one database in a short run, which the commit chooses: that a check can
    fail, and that no route can be hurt by what most of them refuse before they ask a database."""
    shorten(config, items, Path(__file__).parent, _in_short)


def _in_short(case: Case) -> bool:
    if case.name == "test_a_hostile_body_is_refused_by_every_route_that_takes_one":
        return case.given["kind"] == whole_on()
    if case.planted or case.name == "test_a_hostile_parameter_breaks_no_route":
        return case.given.get("kind", broken_on()) == broken_on()
    return True


@pytest.fixture
def postgresql_url(tmp_path: Path) -> str:
    """The sample shop, ledger and kitchen on PostgreSQL: many write at once there."""
    return databases.fresh("postgresql", databases.SAMPLE, tmp_path)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What runs say of themselves: `record_property("said", …)`."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "said":
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {value}")
