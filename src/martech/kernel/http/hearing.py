"""How outside systems hear: ``GET /<module>/v1/events``, for every module that tells anything.

CloudEvents 1.0, as one JSON batch or as server-sent events, of the tenant whose key asks and of
nobody else. A folded event is one CloudEvent, as the contract describes it and as the modules hear
it: its id is its own, so that (source, id) tells copies apart.

Where a reader stands is the ``position`` of the last event that it has: each event says its own,
nothing has to be kept for the reader here, and what it has kept is good for ever. (``next`` of
other lists is a place in an order of rows; this order is a promise.) Batches name the next page in
``Link`` besides; a stream gives the position as its event id, so that `EventSource` goes on where
it was by itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter

from martech.kernel import outbox
from martech.kernel.auth import Principal
from martech.kernel.errors import Error, Malformed, Unavailable
from martech.kernel.host import Host
from martech.kernel.http import watching
from martech.kernel.messages import FOLD, View
from martech.kernel.module import Module
from martech.kernel.outbox import Recorded
from martech.kernel.published.canvas import hearing as hearing_route
from martech.kernel.published.canvas import outward
from martech.kernel.published.schemas import schema_uri

BATCH = "application/cloudevents-batch+json"
STREAM = "text/event-stream"
LOOK = 1.0  # seconds between looks for what a process beside this one has told
LONGEST_WAIT = 30.0
HIGHEST = 2**63 - 1

After = Annotated[
    int,
    QueryParameter(
        ge=0, le=HIGHEST, description="The position of the last event that you have; 0 to begin."
    ),
]
Types = Annotated[
    list[str] | None, QueryParameter(description="Only events of these types; all without.")
]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Events in a batch.")]
Wait = Annotated[
    float,
    QueryParameter(
        ge=0, le=LONGEST_WAIT, description="Seconds to wait for an event where there is none yet."
    ),
]


class CloudEvent(View, frozen=True, kw_only=True, omit_defaults=True):
    """An event in the form of CloudEvents 1.0. ``data`` is what the schema at ``dataschema``
    describes; a ``subject`` has whatever is about one thing."""

    specversion: Literal["1.0"]
    id: UUID
    source: str
    type: str
    time: datetime
    datacontenttype: Literal["application/json"]
    dataschema: str
    tenant: UUID
    position: int
    """Higher than that of every event before; give it as ``after`` to go on behind this one."""

    data: msgspec.Raw
    subject: str | None = None
    correlationid: UUID | None = None
    causationid: UUID | None = None
    traceparent: str | None = None


@dataclass(frozen=True)
class Asked:
    """By one reader, of one module."""

    tenant: UUID
    types: tuple[str, ...]
    after: int
    limit: int

    def behind(self, events: Sequence[CloudEvent]) -> "Asked":
        return replace(self, after=events[-1].position) if events else self


class Hearing:
    """What one module of a host has told, for whoever may hear it."""

    def __init__(self, host: Host, module: Module) -> None:
        self._host, self._process = host, host.process
        self._name = module.name
        self.types = tuple(outward(module))

    def wanted(self, types: Sequence[str] | None) -> tuple[str, ...]:
        """*types*, or all there are. Raises `Malformed` for one that is not told here."""
        for each in types or ():
            if each not in self.types:
                raise Malformed(
                    f"{self._name} tells no {each[:100]!r}. It tells {', '.join(self.types)}; "
                    "leave types out to hear all.",
                    field="types",
                )
        return tuple(types or self.types)

    async def look(self, asked: Asked) -> list[CloudEvent]:
        """What there is by now, in the tenant's own transaction: both walls stand round it."""
        database = self._host.databases[self._name]
        async with database.transaction(asked.tenant, write=False) as tx:
            records = await outbox.read(
                tx,
                database.metadata,
                after=asked.after,
                types=asked.types,
                rows=asked.limit,
                items=asked.limit * FOLD,
                tenant=asked.tenant,
            )
        return [self._told(record) for record in records]

    async def batch(self, asked: Asked, wait: float) -> list[CloudEvent]:
        """What there is, or the first that comes within *wait* seconds."""
        loop = asyncio.get_running_loop()
        with self._process.signals.listening(self._name) as news:
            looked = loop.time()
            events = await self.look(asked)
            if events or not wait:
                return events
            with watching.place(self._process, asked.tenant):
                until = loop.time() + wait
                while not events and loop.time() < until:
                    if await self._over(news, looked, min(looked + LOOK, until)):
                        break
                    news.clear()
                    looked = loop.time()
                    events = await self.look(asked)
        return events

    async def streamed(self, asked: Asked) -> Response[Any]:
        """Server-sent events, from *asked* on. Raises what the first look raises, and `TooMany`."""
        return await watching.begun(self._chunks(asked))

    async def _chunks(self, asked: Asked) -> AsyncIterator[bytes]:
        """Until the reader has to ask again, with a key that must still hold."""
        loop = asyncio.get_running_loop()
        held = watching.place(self._process, asked.tenant)
        with held, self._process.signals.listening(self._name) as news:
            began = said = looked = loop.time()
            events = await self.look(asked)
            yield watching.BEGUN
            while loop.time() - began < watching.LONGEST:
                for event in events:
                    said = loop.time()
                    yield watching.event(event.position, msgspec.json.encode(event))
                if loop.time() - said > watching.HEARTBEAT:
                    said = loop.time()
                    yield watching.STILL_HERE
                there_is_more = len(events) == asked.limit
                if await self._over(news, looked, looked if there_is_more else looked + LOOK):
                    return
                asked = asked.behind(events)
                news.clear()
                looked = loop.time()
                try:
                    events = await self.look(asked)
                except Unavailable:
                    events = []  # the heartbeat says that we are still there
                except Error:
                    return  # whoever asks again is told so

    async def _over(self, news: asyncio.Event, looked: float, until: float) -> bool:
        """Wait for news, at most *until* then, and not so short that a reader looks more often than
        who watches: all of a module are woken by whoever commits there, of any tenant. Whether the
        process is to end."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await news.wait()
        return await self._process.ends_within(min(looked + watching.LOOK, until) - loop.time())

    def _told(self, record: Recorded) -> CloudEvent:
        return CloudEvent(
            specversion="1.0",
            id=record.id,
            source=record.source,
            type=record.type,
            time=record.time,
            datacontenttype="application/json",
            dataschema=schema_uri(self._host.settings.public, record.type),
            tenant=record.tenant,
            position=record.position,
            data=record.data,
            subject=record.subject or None,
            correlationid=record.correlationid,
            causationid=record.causationid,
            traceparent=record.traceparent,
        )


def hearing_of(host: Host, module: Module) -> HTTPRouteHandler:
    """The route of *module*, below ``/<module>/v1``."""
    hearing, route = Hearing(host, module), hearing_route(module)
    answer = ResponseSpec(list[CloudEvent], media_type=BATCH, generate_examples=False)

    @get(
        "/events",
        operation_id=route.operation,
        opt={"scope": route.needs, "streams": True},
        responses={200: answer},
    )
    async def hear(
        request: Request[Any, Any, Any],
        principal: NamedDependency[Principal],
        after: After = 0,
        types: Types = None,
        limit: Limit = 100,
        wait: Wait = 0.0,
    ) -> Response[Any]:
        """What the module has told of this tenant, oldest first, in CloudEvents 1.0.

        With `Accept: text/event-stream` the answer goes on with whatever is told next;
        `Last-Event-ID` takes the place of `after`. Events come at least once: `source` and `id`
        together tell copies apart.
        """
        asked = Asked(principal.tenant, hearing.wanted(types), after, limit)
        if request.accept.best_match([BATCH, "application/json", STREAM]) == STREAM:
            asked = replace(asked, after=_last(request, after))
            return await hearing.streamed(asked)
        events = await hearing.batch(asked, wait)
        following = {"after": asked.behind(events).after, "limit": limit}
        query = urlencode({**following, "types": types or []}, doseq=True)
        link = f'<{route.path}?{query}>; rel="next"'
        return Response(events, media_type=BATCH, headers={"link": link})

    return hear


def _last(request: Request[Any, Any, Any], after: int) -> int:
    """Where a stream that was broken off goes on."""
    last = request.headers.get("last-event-id")
    if not last:
        return after
    if not last.isascii() or not last.isdecimal() or len(last) > 19 or int(last) > HIGHEST:
        raise Malformed(
            f"{last[:100]!r} is no event's id. Send the id of the last event that you have, or "
            "leave it out.",
            field="Last-Event-ID",
        )
    return int(last)
