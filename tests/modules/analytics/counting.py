"""Analytics, stand-ins of those it listens to, and facts to tell it, in the fewest words."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import httpx
import msgspec

from martech.kernel.bus import Bus
from martech.kernel.host import Host
from martech.kernel.messages import Event
from martech.kernel.settings import Settings
from martech.modules.analytics.module import module as analytics
from martech.modules.delivery.contract import (
    Bounce,
    Click,
    LinkClicked,
    MessageBounced,
    MessageFact,
    MessageOpened,
    MessageSent,
    Open,
    OptOut,
    SentMessage,
    Unsubscribed,
)
from martech.modules.profiles.contract import Activity, ActivityRecorded, Identity, ProfilesMerged
from tests import databases
from tests.neighbours import neighbour
from tests.serving import TENANTS

START = datetime(2026, 12, 1, 12, tzinfo=UTC)
SPACE = UUID(int=7)
MODULES = (analytics, neighbour("profiles"), neighbour("delivery"))


def who(name: str) -> UUID:
    return uuid5(SPACE, name)


def did(
    number: int,
    person: str,
    event: str | None = "Order Completed",
    properties: Mapping[str, object] | bytes | None = None,
    *,
    at: datetime | None = None,
    minute: float = 0,
    type: str = "track",
) -> Activity:
    """What *person* did as message *number*, at *at* or at *minute* of the story."""
    raw = properties if isinstance(properties, bytes) else msgspec.json.encode(properties or {})
    happened = at or START + timedelta(minutes=minute)
    return Activity(
        profile_id=who(person),
        identity=Identity("user_id", person),
        message_id=f"m{number}",
        type=type,  # type: ignore[arg-type]
        event=event,
        timestamp=happened,
        received_at=happened,
        properties=msgspec.Raw(raw),
    )


FACTS: dict[str, tuple[type[MessageFact], type[Event]]] = {
    "sent": (SentMessage, MessageSent),
    "bounced": (Bounce, MessageBounced),
    "opened": (Open, MessageOpened),
    "clicked": (Click, LinkClicked),
    "unsubscribed": (OptOut, Unsubscribed),
}
MORE: dict[str, dict[str, object]] = {
    "sent": {"content_id": UUID(int=9), "content_version": 1},
    "bounced": {"code": 550, "reason": "no such user"},
    "clicked": {"url": "https://example.com/"},
}


def fact(
    kind: str,
    person: str,
    source: str = "campaign:1",
    *,
    at: datetime | None = None,
    minute: float = 0,
) -> tuple[str, MessageFact]:
    """Something about the message of *source* to *person*."""
    made, _ = FACTS[kind]
    return kind, made(
        message_id=who(f"{source} to {person}"),
        send_id=who(source),
        source=source,
        occasion="once",
        step="",
        channel="email",
        profile_id=who(person),
        at=at or START + timedelta(minutes=minute),
        **MORE.get(kind, {}),  # type: ignore[arg-type]
    )


class Counter:
    """Tells, and asks for figures as two tenants' owners."""

    def __init__(self, host: Host, app: Any, client: httpx.AsyncClient) -> None:
        self.host = host
        self.app = app
        self.client = client
        self.keys: dict[str, str] = {}

    async def record(self, *activities: Activity, tenant: str = "acme") -> None:
        await self.publish("profiles", ActivityRecorded(items=list(activities)), tenant=tenant)

    async def merge(self, kept: str, merged: str, *, tenant: str = "acme") -> None:
        told = ProfilesMerged(kept=who(kept), merged=who(merged))
        await self.publish("profiles", told, tenant=tenant)

    async def message(self, *facts: tuple[str, MessageFact], tenant: str = "acme") -> None:
        for kind in FACTS:
            items = [one for its, one in facts if its == kind]
            event: type = FACTS[kind][1]
            await self.publish("delivery", event(items=items), tenant=tenant)

    async def publish(self, source: str, *events: Event, tenant: str = "acme") -> None:
        await tell(self.host, source, *events, tenant=TENANTS[tenant])
        await Bus(self.host).settle()

    async def call(self, path: str, *, tenant: str = "acme", **query: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.keys[tenant]}"}
        asked = {n.rstrip("_"): str(v) for n, v in query.items() if v is not None}
        return await self.client.get(f"/analytics/v1/{path}", headers=headers, params=asked or None)

    async def get(self, path: str, *, tenant: str = "acme", **query: object) -> dict[str, object]:
        answer = await self.call(path, tenant=tenant, **query)
        assert answer.status_code == 200, answer.text
        body: dict[str, object] = answer.json()
        return body

    async def hang_up(self, path: str, tenant: str = "acme") -> list[int]:
        """Ask and be gone; the statuses that nobody reads."""
        coming = [
            {"type": "http.request", "body": b"", "more_body": False},
            {"type": "http.disconnect"},
        ]
        statuses = list[int]()

        async def receive() -> dict[str, object]:
            return coming.pop(0)

        async def send(message: dict[str, Any]) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"host", b"x"),
                (b"authorization", f"Bearer {self.keys[tenant]}".encode()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("x", 80),
        }
        await self.app(scope, receive, send)
        return statuses


async def tell(host: Host, source: str, *events: Event, tenant: UUID = TENANTS["acme"]) -> None:
    async with host.databases[source].transaction(tenant) as tx:
        for event in events:
            tx.publish(event)


def settings(url: str, folder: Path) -> Settings:
    return Settings(database_url=url, store_urls={"analytics": f"duckdb:///{folder}/events.duckdb"})


def fresh(kind: str, folder: Path) -> str:
    """The URL of a database of its own."""
    return databases.fresh(kind, MODULES, folder)


def values(body: dict[str, object], *names: str) -> Sequence[object]:
    """Of each row of an answer the value of *names*, or a tuple of them."""
    rows = body["data"]
    assert isinstance(rows, list)
    if len(names) == 1:
        return [row[names[0]] for row in rows]
    return [tuple(row[name] for name in names) for row in rows]
