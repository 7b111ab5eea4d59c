"""Profiles beside what stands for tracking, served, with two tenants in it."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from martech.modules.profiles.module import module as profiles
from martech.modules.tracking.contract import TrackedEvent
from tests import databases
from tests.modules.profiles.items import START, track
from tests.neighbours import neighbour
from tests.serving import TENANTS, serve


class Counter:
    """Where people are asked for, by two tenants' owners."""

    def __init__(self, host: Host, client: httpx.AsyncClient) -> None:
        self.host = host
        self.client = client
        self.keys: dict[str, str] = {}

    async def track(self, *batches: Sequence[TrackedEvent], tenant: str = "acme") -> None:
        await track(self.host, TENANTS[tenant], *batches)

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


MODULES = (neighbour("tracking"), profiles)


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, MODULES, tmp_path)


@pytest.fixture
async def host(url: str) -> AsyncIterator[Host]:
    async with Host(MODULES, Settings(database_url=url)) as host:
        yield host


@pytest.fixture
async def counter(url: str) -> AsyncIterator[Counter]:
    clock = TestClock(START + timedelta(days=30))
    async with serve(MODULES, Settings(database_url=url), clock=clock) as served:
        stand = Counter(served.host, served.client)
        stand.keys = served.owners()
        yield stand
