"""Personalization beside what stands for profiles, served, with two tenants in it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from martech.modules.personalization.module import module as personalization
from tests import databases
from tests.modules.personalization.town import Town
from tests.neighbours import neighbour
from tests.serving import TENANTS, serve

MODULES = (neighbour("profiles"), personalization)
START = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, MODULES, tmp_path)


@pytest.fixture
def clock() -> TestClock:
    return TestClock(START)


@pytest.fixture
async def host(url: str, clock: TestClock) -> AsyncIterator[Host]:
    async with Host(MODULES, Settings(database_url=url), clock=clock) as host:
        yield host


@pytest.fixture
def town(host: Host, clock: TestClock) -> Town:
    return Town(host, clock)


class Counter:
    """Where segments are asked for, by two tenants' owners."""

    def __init__(self, town: Town, client: httpx.AsyncClient) -> None:
        self.town = town
        self.client = client
        self.keys: dict[str, str] = {}

    async def call(
        self, method: str, path: str, body: object = None, *, tenant: str = "acme", **query: object
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.keys[tenant]}"}
        asked = {name: str(value) for name, value in query.items()}
        return await self.client.request(
            method, f"/personalization/v1{path}", json=body, headers=headers, params=asked or None
        )


@pytest.fixture
async def counter(url: str, clock: TestClock) -> AsyncIterator[Counter]:
    async with serve(MODULES, Settings(database_url=url), clock=clock) as served:
        stand = Counter(Town(served.host, clock, TENANTS["acme"]), served.client)
        stand.keys = served.owners()
        yield stand
