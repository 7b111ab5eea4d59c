"""Access, tracking, profiles and personalization on one host, served, with two tenants in it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from martech.app import load
from martech.kernel.auth import Follower, Keyring
from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.settings import Settings
from martech.modules.access.domain import tenant_id
from tests import databases
from tests.modules.personalization.town import Town
from tests.serving import alive

MODULES = load(["access", "tracking", "profiles", "personalization"])
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
    host, keyring = Host(MODULES, Settings(database_url=url), clock=clock), Keyring()
    follower = Follower(keyring, host.issuer(), clock)
    app = application(host, keyring, follower)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        stand = Counter(Town(host, clock, tenant_id("acme")), client)
        for name in ("acme", "globex"):
            async with host.unit("access", tenant_id(name)) as access:
                stand.keys[name] = (await access.open_tenant(name)).keys[1].token
        await follower.catch_up()
        yield stand
