"""A request's unit of work, and the answer that is kept with it.

Litestar finishes a generator dependency after the response is made and before it is sent: so
200 means committed.
"""

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any
from uuid import UUID

from litestar import Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from martech.kernel import failpoints, idempotency, telemetry
from martech.kernel.auth import Principal
from martech.kernel.db import Database, Transaction
from martech.kernel.errors import Malformed
from martech.kernel.host import Host
from martech.kernel.http.problems import Replay
from martech.kernel.idempotency import Answer, Sent
from martech.kernel.outbox import Origin

READS = ("GET", "HEAD")
KEPT_HEADERS = ("content-type", "location", "etag")


class Keeping:
    """A request with an Idempotency-Key, and its answer once there is one."""

    def __init__(self, sent: Sent) -> None:
        self.sent = sent
        self.answer: Answer | None = None


class _Kept:
    """Stands in for a response, to see what it becomes."""

    def __init__(self, response: Response[Any], keeping: Keeping) -> None:
        self._response, self._keeping = response, keeping

    def to_asgi_response(self, **context: Any) -> ASGIApp:
        answer = self._response.to_asgi_response(**context)
        if isinstance(answer, ASGIResponse):
            headers = [
                (name.decode(), value.decode("latin-1"))
                for name, value in answer.encode_headers()
                if name.decode() in KEPT_HEADERS
            ]
            self._keeping.answer = Answer(answer.status_code, headers, answer.body)
        return answer


_keeping: ContextVar[Keeping | None] = ContextVar("martech.keeping", default=None)


async def keep_answer(response: Response[Any]) -> Any:
    """Litestar's ``after_request``: still inside the unit of work."""
    keeping = _keeping.get()
    return _Kept(response, keeping) if keeping else response


async def begin(request: Request[Any, Any, Any]) -> None:
    """Litestar's ``before_request``: it runs in the request's own context, dependencies may not."""
    if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise Malformed("The address holds a NUL character. Leave it out.")
    _keeping.set(None)  # a server may answer several requests in one context
    header = request.headers.get("idempotency-key")
    if header is None or request.method in READS:
        return
    target = request.scope["raw_path"].decode() + "?" + request.scope["query_string"].decode()
    body, principal = await request.body(), request.auth
    sent = idempotency.sent(header, request.method, target, body, by=principal.key)
    _keeping.set(Keeping(sent))


def origin() -> Origin | None:
    trace = telemetry.current.get()
    return Origin(trace.correlation, None, trace.traceparent) if trace else None


def service_of(
    host: Host, module: str, make: Callable[[Transaction], object] | None = None
) -> Callable[[Request[Any, Any, Any]], AsyncIterator[object]]:
    """The dependency ``service``: the module's service in a unit of the request's tenant; or what
    else *make* makes of the transaction."""
    made = make or partial(host.service, module)

    async def service(request: Request[Any, Any, Any]) -> AsyncIterator[object]:
        principal: Principal = request.auth
        database = host.databases[module]
        keeping = _keeping.get()
        if keeping is not None:
            await _replay(database, principal.tenant, keeping.sent)
        write = keeping is not None or not _reads(request)
        try:
            async with database.transaction(
                principal.tenant, write=write, principal=principal, origin=origin()
            ) as tx:
                yield made(tx)
                if keeping is not None and keeping.answer is not None:
                    await idempotency.keep(tx, database.metadata, keeping.sent, keeping.answer)
        except Exception:
            if keeping is not None:  # another request with this key may have been faster
                await _replay(database, principal.tenant, keeping.sent)
            raise
        await failpoints.reach("http.before_reply")

    return service


def _reads(request: Request[Any, Any, Any]) -> bool:
    """Whether the route changes nothing; some questions are too long for an address and are sent by
    POST, and must not wait for who writes."""
    scope = request.route_handler.opt.get("scope", "")
    return request.method in READS or scope.endswith(":read")


async def _replay(database: Database, tenant: UUID, sent: Sent) -> None:
    async with database.transaction(tenant, write=False) as tx:
        answer = await idempotency.first_answer(tx, database.metadata, sent)
    if answer is not None:
        raise Replay(answer)
