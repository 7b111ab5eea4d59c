"""Access, tracking and profiles on one host, served, with two tenants in it."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from martech.app import load
from martech.kernel.auth import Follower, Keyring
from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.settings import Settings
from martech.modules.access.domain import tenant_id
from martech.modules.tracking.contract import TrackedEvent
from tests import databases
from tests.modules.profiles.items import START, track
from tests.serving import alive


class Counter:
    """Where people are asked for, by two tenants' owners."""

    def __init__(self, host: Host, client: httpx.AsyncClient) -> None:
        self.host = host
        self.client = client
        self.keys: dict[str, str] = {}

    async def track(self, *batches: Sequence[TrackedEvent], tenant: str = "acme") -> None:
        await track(self.host, tenant_id(tenant), *batches)

    async def call(
        self, method: str, path: str, body: object = None, *, tenant: str = "acme", **query: object
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.keys[tenant]}"}
        asked = {name: str(value) for name, value in query.items()}
        return await self.client.request(
            method, f"/profiles/v1{path}", json=body, headers=headers, params=asked or None
        )

    async def get(self, path: str, **query: object) -> dict[str, object]:
        answer = await self.call("GET", path, **query)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        body: dict[str, object] = answer.json()
        return body

    async def pages(self, path: str, **query: object) -> list[dict[str, object]]:
        """All pages of a list, one behind the other."""
        rows, after = [], dict[str, object]()
        while True:
            page = await self.get(path, **query | after)
            rows += page["data"]  # type: ignore[operator]
            if page["next"] is None:
                return rows
            after = {"after": page["next"]}

    async def person(self, user_id: str) -> UUID:
        found = await self.get("/people/lookup", kind="user_id", value=user_id)
        return UUID(str(found["id"]))


MODULES = load(["access", "tracking", "profiles"])


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, MODULES, tmp_path)


@pytest.fixture
async def counter(url: str) -> AsyncIterator[Counter]:
    clock = TestClock(START + timedelta(days=30))
    host, keyring = Host(MODULES, Settings(database_url=url), clock=clock), Keyring()
    follower = Follower(keyring, host.issuer(), clock)
    app = application(host, keyring, follower)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        stand = Counter(host, client)
        for name in ("acme", "globex"):
            async with host.unit("access", tenant_id(name)) as access:
                stand.keys[name] = (await access.open_tenant(name)).keys[1].token
        await follower.catch_up()
        yield stand
