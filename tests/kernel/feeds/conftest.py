"""Every way, on both databases; in one process and in three."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests.chaos.choosing import Case, shorten
from tests.kernel.feeds.ways import CASES, WAYS, Way
from tests.sample.shop.module import module as shop_module


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A short run has three processes where one and three are asked for."""
    shorten(config, items, Path(__file__).parent, _in_short)


def _in_short(case: Case) -> bool:
    return case.given.get("processes", 3) == 3


@pytest.fixture(params=CASES)
def feed(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[1, 3])
def processes(request: pytest.FixtureRequest) -> int:
    """How many carry the same subscriptions."""
    return int(request.param)


@pytest.fixture
def full(request: pytest.FixtureRequest, full: bool) -> bool:
    """tansu carries short runs only: of more than two thousand batches it gives no more out."""
    on_tansu = "feed" in request.fixturenames and request.getfixturevalue("feed") == "tansu"
    return full and not on_tansu


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
