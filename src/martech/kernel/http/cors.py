"""Pages of other sites may call us: browsers send events. No cookie is ever looked at, so a page
can do no more than its key allows. (A request from no page costs half a microsecond here.)"""

from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

ANYBODY = (b"access-control-allow-origin", b"*")
SHOWN = (
    b"access-control-expose-headers",
    b"idempotency-replayed, link, retry-after, x-request-id",
)
ALLOWED = (
    b"authorization, content-type, content-encoding, idempotency-key, traceparent, "
    b"x-retry-count"  # a tracking client's second try
)
PREFLIGHT: list[tuple[bytes, bytes]] = [
    ANYBODY,
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", ALLOWED),
    (b"access-control-max-age", b"86400"),
    (b"content-length", b"0"),
]


class Cors:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            for name, _ in scope["headers"]:
                if name == b"origin":
                    await self._across(scope, receive, send)
                    return
        await self.app(scope, receive, send)

    async def _across(self, scope: Any, receive: Receive, send: Send) -> None:
        names = {name for name, _ in scope["headers"]}
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in names:
            start: Any = {"type": "http.response.start", "status": 204, "headers": PREFLIGHT}
            await send(start)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return

        async def reply(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], ANYBODY, SHOWN]
            await send(message)

        await self.app(scope, receive, reply)
