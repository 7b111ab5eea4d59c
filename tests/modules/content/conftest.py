"""Content alone, on either database."""

from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from martech.kernel.aside import Aside
from martech.kernel.feeds.local import LocalFeed
from martech.kernel.host import Host
from martech.kernel.outbox import Recorded
from martech.kernel.settings import Settings
from martech.modules.content.module import module
from martech.modules.content.service import Press
from tests import databases
from tests.serving import Served, serve

ACME, GLOBEX = UUID(int=1), UUID(int=2)

TOLD = ["content.content_published.v1", "content.content_withdrawn.v1"]

MJML = """<mjml>
  <mj-body>
    <mj-section><mj-column>
      <mj-text>Hello {{ profile.first_name | default: "you & <me>" }}!</mj-text>
      <mj-image src="https://example.com/tea.png" alt="Tea" />
      <mj-text><a href="{{ unsubscribe_url }}">Unsubscribe</a></mj-text>
    </mj-column></mj-section>
  </mj-body>
</mjml>"""

TEMPLATE = {
    "name": "Welcome",
    "subject": "Hi {{ profile.first_name }}",
    "mjml": MJML,
    "sample": {"profile": {"first_name": "Ada"}},
}


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, [module], tmp_path)


@pytest.fixture
async def host(url: str) -> AsyncIterator[Host]:
    async with Host([module], Settings(database_url=url)) as host:
        yield host


class Desk:
    """Where templates are worked on, by people of two tenants."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.key = cache(served.key)
        """One for everybody who may do the same: a request sent again comes with the same key."""

    async def call(
        self,
        method: str,
        path: str = "",
        body: object = None,
        *,
        tenant: UUID = ACME,
        scopes: tuple[str, ...] = ("*:*",),
        **headers: str,
    ) -> httpx.Response:
        key = self.key(*scopes, tenant=tenant)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.served.client.request(
            method,
            f"/content/v1/templates{path}",
            json=body,
            headers={"authorization": f"Bearer {key}", **named},
        )

    async def made(self, **changed: object) -> str:
        """The path of a new template."""
        answer = await self.call("POST", "", TEMPLATE | changed)
        assert answer.status_code == 201, answer.text
        return f"/{answer.json()['id']}"

    @property
    def aside(self) -> Aside:
        """Where drafts are compiled."""
        press = self.served.host.resources["content"][Press]
        assert isinstance(press, Press)
        return press.aside

    async def told(self) -> list[Recorded]:
        return await told(self.served.host)


async def told(host: Host) -> list[Recorded]:
    """What content has said, in order."""
    return await LocalFeed(host.databases["content"]).read(after=0, types=TOLD)


@pytest.fixture
async def desk(url: str) -> AsyncIterator[Desk]:
    async with serve([module], Settings(database_url=url)) as served:
        yield Desk(served)


def problem(response: httpx.Response) -> tuple[int, str | None, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    return response.status_code, body.get("field"), body["detail"]
