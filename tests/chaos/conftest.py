"""What guarantees about one kind of database ask for."""

from pathlib import Path

import pytest

from tests import databases


@pytest.fixture
def postgresql_url(tmp_path: Path) -> str:
    """The sample shop, ledger and kitchen on PostgreSQL: many write at once there."""
    return databases.fresh("postgresql", databases.SAMPLE, tmp_path)
