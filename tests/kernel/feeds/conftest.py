"""Every way, on both databases; in one process and in three."""

from collections.abc import AsyncIterator

import pytest

from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests.kernel.feeds.ways import WAYS, Way
from tests.sample.shop.module import module as shop_module


@pytest.fixture(params=WAYS)
def feed(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[1, 3])
def processes(request: pytest.FixtureRequest) -> int:
    """How many carry the same subscriptions."""
    return int(request.param)


@pytest.fixture
async def way(feed: str, sample_url: str) -> AsyncIterator[Way]:
    made = WAYS[feed](sample_url)
    await made.begin()
    try:
        yield made
    finally:
        await made.end()


@pytest.fixture
async def shop(sample_url: str) -> AsyncIterator[Host]:
    """Where things are told: a process that carries nothing."""
    async with Host([shop_module], Settings(database_url=sample_url)) as host:
        yield host
