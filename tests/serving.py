"""A whole application as its callers see it: routes, guards, admission, keys."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import httpx
from uuid_utils.compat import uuid7

from martech.app import describe, front
from martech.kernel.auth import Claims, Follower, Issuer, Keyring, Kind
from martech.kernel.clock import Clock, SystemClock
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.http.requests import JsonRequest
from martech.kernel.module import Module
from martech.kernel.process import Process
from martech.kernel.settings import Settings
from tests.promised import Promised


@cache
def rest_api() -> dict[str, Any]:
    """What `/openapi.json` of the whole product says; to derive it takes half a second."""
    return describe()


TENANTS = {"acme": UUID(int=1), "globex": UUID(int=2)}
"""Two who must never meet."""


class Served:
    """An application, a client for it, and somebody who issues keys."""

    def __init__(self, host: Host, keyring: Keyring, app: Any, client: httpx.AsyncClient) -> None:
        self.host = host
        self.keyring = keyring
        self.app = app
        self.client = client
        self.issuer = Issuer(Issuer.make())
        keyring.trust(self.issuer.public)
        keyring.read_at = host.clock.now()
        self.tenant = uuid4()

    def key(
        self, *scopes: str, kind: Kind = "secret", tenant: UUID | None = None, **claims: Any
    ) -> str:
        return self.issuer.sign(
            kind,
            Claims(
                key=uuid7(),
                tenant=tenant or self.tenant,
                scopes=frozenset(scopes),
                issued_at=self.host.clock.now(),
                **claims,
            ),
        )

    def owners(self) -> dict[str, str]:
        """A key of the owner of each of `TENANTS`."""
        return {name: self.key("*:*", tenant=tenant) for name, tenant in TENANTS.items()}

    def headers(self, *scopes: str, **more: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"authorization": f"Bearer {self.key(*(scopes or ('*:*',)))}", **named}


@asynccontextmanager
async def serve(
    modules: Sequence[Module],
    settings: Settings,
    request: type[JsonRequest] = JsonRequest,
    clock: Clock | None = None,
    process: Process | None = None,
) -> AsyncIterator[Served]:
    host, keyring = Host(modules, settings, clock=clock, process=process), Keyring()
    follower = Follower(keyring, None, SystemClock())
    app = application(host, keyring, follower, request=request, front=front())
    transport = Promised(app, host)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        yield Served(host, keyring, app, client)


@asynccontextmanager
async def alive(app: Any) -> AsyncIterator[None]:
    """Start up and shut down *app* as a server would."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan"}, inbox.get, outbox.put))
    await _say(inbox, outbox, "startup")
    try:
        yield
    finally:
        await _say(inbox, outbox, "shutdown")
        await task


async def _say(inbox: Any, outbox: Any, word: str) -> None:
    await inbox.put({"type": f"lifespan.{word}"})
    answer = await outbox.get()
    assert answer["type"] == f"lifespan.{word}.complete", answer
