"""Analytics on a host, served, with two tenants in it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from martech.kernel.clock import TestClock
from tests.modules.analytics.counting import MODULES, START, Counter, fresh, settings
from tests.serving import serve


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return fresh(kind, tmp_path)


@pytest.fixture
async def counter(url: str, tmp_path: Path) -> AsyncIterator[Counter]:
    clock = TestClock(START + timedelta(days=30))
    async with serve(MODULES, settings(url, tmp_path), clock=clock) as served:
        stand = Counter(served.host, served.app, served.client)
        stand.keys = served.owners()
        yield stand
