"""The tracking API as its callers see it, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from martech.kernel.settings import Settings
from martech.modules.tracking.module import module as tracking
from tests import databases
from tests.modules.tracking.calling import Tracked
from tests.serving import serve


@pytest.fixture
def tracking_url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, [tracking], tmp_path)


@pytest.fixture
async def tracked(tracking_url: str) -> AsyncIterator[Tracked]:
    async with serve([tracking], Settings(database_url=tracking_url)) as served:
        yield Tracked(served)
