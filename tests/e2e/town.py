"""The whole product, driven through its API alone; its mails go to a server that notes them."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from martech.kernel.bus import Bus
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.module import Module
from martech.kernel.settings import Settings
from martech.modules.delivery.domain.settings import DeliverySettings
from tests import databases
from tests.kernel.test_watching import listening
from tests.kitchen import running
from tests.modules.delivery.visiting import BASE, ONE_CLICK, Received
from tests.serving import Served, serve
from tests.sinks.smtp import Sink

HTML = (
    "<html><body><p>Dear {{ profile.traits.name }}, <a href='https://shop.example/boots'>boots</a>"
    "</p><a href='{{ unsubscribe_url }}'>no more</a></body></html>"
)


class Town:
    def __init__(self, served: Served, sink: Sink) -> None:
        self.served = served
        self.sink = sink
        self.jobs = Jobs(served.host)

    async def do(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """As the tenant's owner, who may."""
        answer = await self.call(method, path, body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    async def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        headers = self.served.headers("*:*")
        return await self.served.client.request(method, path, json=body, headers=headers)

    async def track(self, items: Sequence[dict[str, object]]) -> None:
        key = self.served.key(kind="write")
        for start in range(0, len(items), 100):
            answer = await self.served.client.post(
                "/v1/batch",
                json={"batch": items[start : start + 100]},
                headers={"authorization": f"Bearer {key}"},
            )
            assert answer.status_code == 200, answer.text
        await self.settle()

    async def settle(self) -> None:
        """News and jobs, until nothing moves."""
        await Bus(self.served.host).settle()
        while await self.jobs.settle():
            await Bus(self.served.host).settle()

    async def segment(self, name: str, condition: object) -> str:
        made = await self.do(
            "POST", "/personalization/v1/segments", {"name": name, "condition": condition}
        )
        await self.settle()
        found = await self.do("GET", f"/personalization/v1/segments/{made['id']}")
        assert found["ready"], found
        number: str = found["id"]
        return number

    async def template(self, subject: str = "{{ profile.traits.name }}, it is winter") -> str:
        """A published one."""
        draft = {"name": "Winter", "subject": subject, "html": HTML}
        made: str = (await self.do("POST", "/content/v1/templates", draft))["id"]
        await self.do("POST", f"/content/v1/templates/{made}/publish")
        await self.settle()
        return made

    async def campaign(self, segment: str, content: str, name: str = "Winter") -> str:
        plan = {"name": name, "segment_id": segment, "content_id": content}
        made: str = (await self.do("POST", "/campaigns/v1/campaigns", plan))["id"]
        return made

    async def order(self, campaign: str, order: str) -> None:
        await self.do("POST", f"/campaigns/v1/campaigns/{campaign}/{order}")

    async def status(self, campaign: str) -> dict[str, Any]:
        return await self.do("GET", f"/campaigns/v1/campaigns/{campaign}/status")

    async def watched(self, campaign: str) -> list[dict[str, Any]]:
        """All that its progress tells until it is over."""
        views = []
        path = f"/campaigns/v1/campaigns/{campaign}/progress"
        async with listening(self.served, path, "campaigns:read") as stream:
            while event := await stream.event():
                views.append(json.loads(event["data"]))
        return views

    def mails(self) -> dict[str, Received]:
        """What the mail server took, by the name before the @; it fails if somebody has two."""
        names = [mail.to[0].partition("@")[0] for mail in self.sink.mails]
        assert len(set(names)) == len(names), sorted(names)
        received = (Received(mail.bytes) for mail in self.sink.mails)
        return dict(zip(names, received, strict=True))

    async def visit(self, method: str, url: str, **more: Any) -> httpx.Response:
        """As a browser or a mail program does, with nothing but the address."""
        split = urlsplit(url)
        assert f"{split.scheme}://{split.netloc}" == BASE
        answer = await self.served.client.request(method, split.path, **more)
        assert answer.status_code < 400, answer.text
        return answer

    async def unsubscribe(self, mail: Received) -> None:
        """With one click."""
        form = {"content-type": "application/x-www-form-urlencoded"}
        await self.visit("POST", mail.out, content=ONE_CLICK, headers=form)


def mailing_to(sink: Sink, url: str) -> Settings:
    own = DeliverySettings(
        smtp_url=f"smtp://{sink.host}:{sink.port}?tls=none",
        sender="Shop <news@shop.example>",
        retry_seconds=0.2,
    )
    return Settings(database_url=url, public_url=BASE, of_modules={DeliverySettings: own})


@asynccontextmanager
async def town(
    url: str,
    sink: Sink,
    modules: Sequence[Module] | None = None,
    tenant: UUID | None = None,
) -> AsyncIterator[Town]:
    """*tenant* is whose it was before, if the process was stopped and started."""
    async with serve(modules or databases.product(), mailing_to(sink, url)) as served:
        served.tenant = tenant or served.tenant
        yield Town(served, sink)


@asynccontextmanager
async def at_work(*hosts: Host) -> AsyncIterator[None]:
    """Jobs on every host and the bus on the first, in the background."""
    async with AsyncExitStack() as stack:
        for host in hosts:
            await stack.enter_async_context(running(Jobs(host)))
        bus = asyncio.create_task(Bus(hosts[0]).run())
        try:
            yield
        finally:
            bus.cancel()
            await asyncio.wait([bus])
