"""The first and last thing that happens to a request: an id, a place, and a measured answer.

Pure ASGI, and counted in microseconds: it wraps every request, the one that must be answered
5,000 times a second included. (Bodies are bounded by Litestar's `request_max_body_size`.)
"""

import asyncio
import logging
from collections.abc import Iterable
from time import perf_counter
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from martech.kernel.process import Process
from martech.kernel.telemetry import RequestTimes, Trace, current

log = logging.getLogger(__name__)

VITAL = ("/health/", "/metrics")
"""Answered however full it is: whoever asks decides whether this process lives."""

UNRECORDED = (*VITAL, "/_outbox")
"""Asked again and again by machines, and no part of anybody's story."""

PEERS = "/_outbox/"
"""Here a host that hears ours asks, one question at a time for each of its subscriptions: they are
few, most of them wait for news, and who is told to come back reads the same a little later. So
they take no places and are never told that; who lacks the secret is told so at once."""

STREAM = b"text/event-stream"
SLOW = 1.0
"""Seconds after which a request is worth a line in the log."""

NO_ROUTE = "(none)"

_JSON = (b"content-type", b"application/problem+json")


def _problem(slug: str, title: str, status: int, detail: str) -> bytes:
    return (
        f'{{"type":"/problems/{slug}","title":"{title}","status":{status},"detail":"{detail}"}}'
    ).encode()


FULL = _problem("unavailable", "Not available at the moment", 503, "Too busy. Try again shortly.")
BROKEN = _problem("error", "Something went wrong here", 500, "This is our fault. Send it again.")
LATE = _problem(
    "late", "The request did not arrive", 408, "The body stopped coming. Send it again."
)


class Admission:
    """Lets at most *most* requests in at once; the others are told at once to come back.

    A place is not held by who stops sending: a body has *patience* seconds to arrive.
    """

    def __init__(
        self,
        app: ASGIApp,
        times: RequestTimes,
        most: int,
        patience: float = 30.0,
        process: Process | None = None,
    ) -> None:
        self.process = process or Process()
        self.app = app
        self.times = times
        self.most = most
        self.patience = patience
        self.inside = 0
        self.shed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
        elif scope["path"].startswith(PEERS):
            await self._answer(scope, receive, send)
        elif self.inside >= self.most and not scope["path"].startswith(VITAL):
            self.shed += 1
            await _say(send, 503, FULL, (b"retry-after", b"1"))
        else:
            self.inside += 1
            try:
                await self._answer(scope, receive, send)
            finally:
                self.inside -= 1

    def _trace(self, scope: Any) -> Trace:
        recorder = self.process.recorder
        if recorder is None or scope["path"].startswith(UNRECORDED):
            return Trace.of(scope["headers"])
        trace = Trace.of(scope["headers"], recorder)
        trace.begin(scope["method"], "server", {})
        return trace

    async def _answer(self, scope: Any, receive: Receive, send: Send) -> None:
        trace = self._trace(scope)
        current.set(trace)
        began, status, streams = perf_counter(), 0, False

        async def reply(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = _is_stream(message["headers"])
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", trace.request.encode()),
                ]
            await send(message)

        body = _Body(receive, self.patience)
        self.process.asked += 1
        try:
            await self.app(scope, body.take, reply)
        except asyncio.CancelledError:
            if not body.ended_by_us():
                raise
            if not status:
                await _say(reply, 408, LATE, (b"connection", b"close"))
        except Exception:
            log.exception("%s %s failed beyond every handler", scope["method"], route_of(scope))
            if not status:
                await _say(reply, 500, BROKEN)
        finally:
            body.close()
            took = perf_counter() - began
            route = route_of(scope)
            _end(trace, scope, route, status or 500)
            timed = not (streams or _waits(scope))  # how long they take says nothing
            if timed:
                self.times.add(route, scope["method"], status or 500, took)
            if took > SLOW and timed:
                log.warning("%s %s took %.1f s", scope["method"], route, took)


def route_of(scope: Any) -> str:
    """What is said of where a request went: its path may name somebody, or be a token."""
    return str(scope.get("path_template", NO_ROUTE))


def _end(trace: Trace, scope: Any, route: str, status: int) -> None:
    if trace.span is None:
        return
    trace.span.name = f"{scope['method']} {route}"
    trace.span.attributes |= {
        "http.request.method": scope["method"],
        "http.route": route,
        "http.response.status_code": status,
        "url.scheme": scope["scheme"],
    }
    trace.end(str(status) if status >= 500 else "")


def _waits(scope: Any) -> bool:
    """Whether the route answers only when there is something to say."""
    handler = scope.get("route_handler")
    return handler is not None and bool(handler.opt.get("waits"))


def _is_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and kind.startswith(STREAM) for name, kind in headers)


class _Body:
    """Ends the request that waits for a body in vain. (A third of what `asyncio.timeout` costs.)"""

    __slots__ = ("_late", "_patience", "_receive", "_task", "_timer")

    def __init__(self, receive: Receive, patience: float) -> None:
        self._receive = receive
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None
        self._late = False

    async def take(self) -> Any:
        if self._timer is None:
            self._task = asyncio.current_task()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._patience, self._expire)
        message = await self._receive()
        if not message.get("more_body"):
            self._timer.cancel()
        return message

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def ended_by_us(self) -> bool:
        """Whether a cancellation ends the waiting for this body, and not the task."""
        if self._late and self._task is not None:
            self._task.uncancel()
        return self._late

    def _expire(self) -> None:
        if self._task is not None:
            self._late = True
            self._task.cancel()


async def _say(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", b"%d" % len(body))
    start: Any = {
        "type": "http.response.start",
        "status": status,
        "headers": [_JSON, length, *headers],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})
