"""Access alone, on either database, with a clock that tests can move."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from martech.kernel.auth import Follower, Keyring, Principal
from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.settings import Settings
from martech.modules.access.contract import OpenedTenant
from martech.modules.access.domain import tenant_id
from martech.modules.access.module import module
from martech.modules.access.service import AccessService
from tests import databases
from tests.serving import alive


@pytest.fixture
def access_url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, [module], tmp_path)


@pytest.fixture
def clock() -> TestClock:
    return TestClock(datetime(2026, 11, 21, 9, 30, tzinfo=UTC))


@pytest.fixture
async def host(access_url: str, clock: TestClock) -> AsyncIterator[Host]:
    async with Host([module], Settings(database_url=access_url), clock=clock) as host:
        yield host


class Office:
    """One tenant's access, and whoever asks for something there."""

    def __init__(self, host: Host, name: str = "acme") -> None:
        self.host = host
        self.name = name
        self.tenant = tenant_id(name)

    def asks(
        self, principal: Principal | None = None
    ) -> AbstractAsyncContextManager[AccessService]:
        """A unit of work on behalf of *principal*; without one, of the command line."""
        return self.host.unit("access", self.tenant, principal=principal)

    async def open(self) -> OpenedTenant:
        async with self.asks() as access:
            return await access.open_tenant(self.name)

    async def keyring(self) -> Keyring:
        """That of a host which has just heard everything."""
        keyring = Keyring()
        await Follower(keyring, self.host.issuer(), self.host.clock).catch_up()
        return keyring

    async def principal(self, token: str) -> Principal:
        return (await self.keyring()).verify(token, self.host.clock.now())


@pytest.fixture
def office(host: Host) -> Office:
    return Office(host)


class Desk:
    """An office that is served over HTTP, and its owner's key."""

    def __init__(self, office: Office, follower: Follower, client: httpx.AsyncClient) -> None:
        self.office = office
        self.follower = follower
        self.client = client
        self.owner = ""

    async def call(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> httpx.Response:
        """A request with the owner's key, or with *key*, after all news was heard."""
        await self.follower.catch_up()
        headers = {"authorization": f"Bearer {self.owner if key is None else key}"}
        return await self.client.request(method, f"/access/v1{path}", json=body, headers=headers)


@pytest.fixture
async def desk(access_url: str, clock: TestClock) -> AsyncIterator[Desk]:
    host, keyring = Host([module], Settings(database_url=access_url), clock=clock), Keyring()
    follower = Follower(keyring, host.issuer(), clock)
    app = application(host, keyring, follower)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        desk = Desk(Office(host), follower, client)
        desk.owner = (await desk.office.open()).keys[1].token
        yield desk
