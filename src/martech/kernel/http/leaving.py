"""A question that its caller waits for no longer is broken off.

For controllers that only read, and whose questions may take seconds: ``middleware = [WhileThere]``.
The handler is cancelled; what it asks of a port or a store ends as that sees fit.
"""

import asyncio
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from martech.kernel.errors import Unavailable

LEFT = 499
"""What proxies count such a request as; nobody reads it."""


class WhileThere:
    """Answers while the caller is there. The request has no body.

    Raises `Unavailable` when the answer is broken off by somebody else, as by a store that is
    closed: the caller is told so.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        left = asyncio.ensure_future(_left(receive))
        answer = asyncio.ensure_future(_answer(self.app, scope, send))
        try:
            await asyncio.wait((left, answer), return_when=asyncio.FIRST_COMPLETED)
            gone = left.done()
        finally:
            left.cancel()
            answer.cancel()  # of one that has ended, nothing
            await asyncio.wait((left, answer))
        if not answer.cancelled():
            answer.result()
        elif gone:
            await send({"type": "http.response.start", "status": LEFT, "headers": []})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            raise Unavailable("This was broken off on our side. Ask again.", retry_after=2)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _answer(app: ASGIApp, scope: Any, send: Send) -> None:
    async def nothing() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope, nothing, send)
