"""What guarantees about one kind of database ask for."""

from pathlib import Path
from typing import Any

import pytest

from tests import databases


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
