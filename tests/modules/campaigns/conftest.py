"""Campaigns among neighbours that a test sees through, served, with two tenants."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from martech.kernel.bus import Bus
from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.settings import Settings
from martech.modules.campaigns.domain import send_of
from martech.modules.campaigns.module import module as campaigns
from tests import databases
from tests.modules.campaigns.neighbours import NEIGHBOURS
from tests.serving import TENANTS, serve

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
SEGMENT, CONTENT = UUID(int=10**6), UUID(int=10**7)
MODULES = (campaigns, *NEIGHBOURS)


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, MODULES, tmp_path)


@pytest.fixture
def clock() -> TestClock:
    return TestClock(NOON)


class Desk:
    """Where campaigns are run, by the owners of acme and globex."""

    def __init__(self, host: Host, app: Any, client: httpx.AsyncClient) -> None:
        self.host = host
        self.app = app
        self.client = client
        self.keys: dict[str, str] = {}
        self.jobs = Jobs(host)

    def module(self, name: str, tenant: str = "acme") -> AbstractAsyncContextManager[Any]:
        return self.host.unit(name, TENANTS[tenant])

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        tenant: str = "acme",
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.keys[tenant]}", **(headers or {})}
        return await self.client.request(
            method, f"/campaigns/v1/campaigns{path}", json=body, headers=sent
        )

    def headers(self) -> dict[str, str]:
        """Those of acme's owner."""
        return {"authorization": f"Bearer {self.keys['acme']}"}

    async def do(self, method: str, path: str, body: object = None, **more: Any) -> dict[str, Any]:
        answer = await self.call(method, path, body, **more)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def plan(self, name: str = "November", *, tenant: str = "acme", **more: object) -> str:
        """A new campaign's id."""
        body = {"name": name, "segment_id": str(SEGMENT), "content_id": str(CONTENT), **more}
        made: str = (await self.do("POST", "", body, tenant=tenant))["id"]
        return made

    async def order(self, campaign: str, order: str) -> str:
        """The status after it."""
        status: str = (await self.do("POST", f"/{campaign}/{order}"))["status"]
        return status

    async def status(self, campaign: str) -> dict[str, Any]:
        return await self.do("GET", f"/{campaign}/status")

    async def gather(
        self, people: Sequence[int], *, segment: UUID = SEGMENT, ready: bool = True
    ) -> None:
        async with self.module("personalization") as crowd:
            await crowd.gather(segment, [UUID(int=n) for n in people], ready=ready)

    async def publish(self, version: int = 1) -> None:
        async with self.module("content") as shelf:
            await shelf.publish(CONTENT, version)

    async def settle(self) -> None:
        """Jobs and news, until nothing moves."""
        await Bus(self.host).settle()
        while await self.jobs.settle():
            await Bus(self.host).settle()

    async def deliver(self, most: int = 1_000_000, *, opens: int = 0) -> None:
        async with self.module("delivery") as office:
            await office.work(most, opens=opens)

    async def asked(self, campaign: str) -> list[str]:
        """What delivery was asked about the campaign's send."""
        async with self.module("delivery") as office:
            asked: list[str] = await office.asked(send_of(UUID(campaign)))
            return asked

    async def told(self, event: str) -> list[dict[str, Any]]:
        """Everything of that type that campaigns has said."""
        feed = self.host.feed("campaigns")
        records = await feed.read(after=0, types=[f"campaigns.{event}.v1"])
        return [httpx.Response(200, content=bytes(r.data)).json() for r in records]


@pytest.fixture
async def desk(url: str, clock: TestClock) -> AsyncIterator[Desk]:
    async with serve(MODULES, Settings(database_url=url), clock=clock) as served:
        desk = Desk(served.host, served.app, served.client)
        desk.keys = served.owners()
        yield desk


@pytest.fixture
async def ready(desk: Desk) -> Desk:
    """Content is published, and two thousand five hundred people are in the segment."""
    await desk.publish()
    await desk.gather(range(2500))
    return desk


def nobody() -> str:
    return str(uuid4())
