"""What guarantees about one kind of database ask for."""

from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.chaos.choosing import broken_on


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """That a check can fail is shown on one database in a short run, which the commit chooses."""
    if not config.getoption("--full"):
        here = Path(__file__).parent
        items[:] = [item for item in items if here not in item.path.parents or _in_short(item)]


def _in_short(item: pytest.Item) -> bool:
    varied = getattr(item, "callspec", None)
    planted = item.name.partition("[")[0].endswith("_is_found_out")
    return not (planted and varied) or varied.params.get("kind", broken_on()) == broken_on()


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
