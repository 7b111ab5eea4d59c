"""What the tests of delivery ask for, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import databases
from tests.modules.delivery.stand import MODULES, Stand, standing
from tests.sinks.smtp import Sink, sink


@pytest.fixture
async def server() -> AsyncIterator[Sink]:
    async with sink() as standing_by:
        yield standing_by


@pytest.fixture
def delivery_url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, MODULES, tmp_path)


@pytest.fixture
async def stand(delivery_url: str, server: Sink) -> AsyncIterator[Stand]:
    async with standing(delivery_url, server) as made:
        yield made
