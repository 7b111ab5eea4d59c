"""The tracking API as Segment's and RudderStack's clients speak it, and our own beside it.

The clients decide what this file looks like: the key comes as Basic or in the body, gzip is seen
by its bytes, no header says what the body is, and only 200 is success.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response.base import ASGIResponse
from litestar.types.internal_types import PathParameterDefinition as Step
from msgspec import Raw

from martech.kernel.errors import Forbidden, Malformed, TooMany, Unauthorized
from martech.kernel.http.bodies import inflate
from martech.kernel.http.requests import JsonRequest
from martech.kernel.messages import Request, View
from martech.modules.tracking.contract import Counts, Kind, Rejections, Retention
from martech.modules.tracking.domain import cloudevents
from martech.modules.tracking.domain.bodies import BATCH_BYTES, open_batch, open_single
from martech.modules.tracking.domain.items import Rejection
from martech.modules.tracking.service import Intake, TrackingService

PUBLIC = {"public": True}
"""To the guard; `tenant_of` takes the key from where these clients put it."""

READ = {"scope": "tracking:read"}
MANAGE = {"scope": "tracking:manage"}
GZIP = b"\x1f\x8b"

Service = NamedDependency[TrackingService]
Door = NamedDependency[Intake]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows on a page.")]


def last_step(handler: HTTPRouteHandler, method: str, path: list[str | Step]) -> str:
    """``track`` for /v1/track, and ``t`` for its short form: an operation has one path."""
    return str(path[-1])


class Received(View, frozen=True):
    """Durable. Which items were rejected, and why, stands at /tracking/v1/rejections."""

    success: bool = True


class Message(View, frozen=True, kw_only=True, rename="camel"):
    """One event, as the Segment spec has it; for readers, since `judge` reads it leniently.

    A user id or an anonymous id is needed; whatever else is absent may be null.
    """

    type: Kind | None = None
    """Needed in a batch; otherwise the path says it."""

    message_id: str | None = None
    """Sent again, it is a duplicate, and counted as one."""

    user_id: str | None = None
    anonymous_id: str | None = None
    previous_id: str | None = None
    group_id: str | None = None
    event: str | None = None
    name: str | None = None
    timestamp: datetime | None = None
    """When it happened; seconds or milliseconds since 1970 are read as well. Absent, it happens
    now; what cannot be read is refused."""

    sent_at: datetime | None = None
    traits: dict[str, Raw] | None = None
    properties: dict[str, Raw] | None = None
    context: dict[str, Raw] | None = None
    write_key: str | None = None
    """For clients that send no Authorization."""


class Batch(View, frozen=True, kw_only=True, rename="camel"):
    """At most 500 KB and 2,500 events; each at most 32 KB, and judged on its own. The context is
    each event's that has none: at most 32 KB, and 4 MB for all of them."""

    batch: list[Message]
    sent_at: datetime | None = None
    context: dict[str, Raw] | None = None
    write_key: str | None = None


def accepts(path: str, short: str, body: type[View] = Message) -> post:
    answers = {200: ResponseSpec(Received, generate_examples=False)}
    return post(
        [path, short],
        operation_id=last_step,
        opt={**PUBLIC, "body": body, "needs": "write key", "raises": [TooMany]},
        status_code=200,
        responses=answers,
    )


class TrackingController(Controller):
    """Segment's HTTP API; the short paths are those of its browser client."""

    path = "/v1"
    request_max_body_size = BATCH_BYTES

    @accepts("/batch", "/b", Batch)
    async def batch(self, request: JsonRequest, intake: Door) -> ASGIResponse:
        parcel = open_batch(plain(await request.body()))
        tenant = tenant_of(request, parcel.write_key)
        await intake.receive(tenant, parcel)
        return RECEIVED

    @accepts("/identify", "/i")
    async def identify(self, request: JsonRequest, intake: Door) -> ASGIResponse:
        return await take(request, intake, "identify")

    @accepts("/track", "/t")
    async def track(self, request: JsonRequest, intake: Door) -> ASGIResponse:
        return await take(request, intake, "track")

    @accepts("/page", "/p")
    async def page(self, request: JsonRequest, intake: Door) -> ASGIResponse:
        return await take(request, intake, "page")

    @accepts("/screen", "/s")
    async def screen(self, request: JsonRequest, intake: Door) -> ASGIResponse:
        return await take(request, intake, "screen")

    @accepts("/group", "/g")
    async def group(self, request: JsonRequest, intake: Door) -> ASGIResponse:
        return await take(request, intake, "group")

    @accepts("/alias", "/a")
    async def alias(self, request: JsonRequest, intake: Door) -> ASGIResponse:
        return await take(request, intake, "alias")


RECEIVED = ASGIResponse(body=msgspec.json.encode(Received()))
"""Made once: it is the same for everybody, five thousand times a second."""


async def take(request: JsonRequest, intake: Intake, kind: Kind) -> ASGIResponse:
    """One event a request: if it is rejected, its sender hears so at once."""
    parcel = open_single(plain(await request.body()))
    tenant = tenant_of(request, parcel.write_key)
    (verdict,) = await intake.receive(tenant, parcel, kind)
    if isinstance(verdict, Rejection):
        raise Malformed(verdict.reason, field=verdict.field)
    return RECEIVED


def plain(body: bytes) -> bytes:
    """Some clients gzip and say so, some gzip and do not, and some say so and do not."""
    return inflate(body, BATCH_BYTES) if body.startswith(GZIP) else body


def tenant_of(request: JsonRequest, write_key: object) -> UUID:
    principal = request.sender(write_key)
    if principal.kind != "write" and not principal.may("tracking:write"):
        raise Forbidden("The key may not track. Use a write key, or one with tracking:write.")
    return principal.tenant


class CloudEventToTrack(View, frozen=True, kw_only=True):
    """Something a person did, as CloudEvents 1.0 has it.

    One of ``userid``, ``anonymousid`` and ``subject`` says who. A ``type`` that is one of our kinds
    (``identify``, ``page``, …) means that kind; any other is the name of what was done.
    """

    specversion: Literal["1.0"]
    id: str
    """With ``source`` it is unlike any other's: sent again, the event is a duplicate."""

    source: str
    type: str
    time: datetime | None = None
    subject: str | None = None
    """The user id, where neither ``userid`` nor ``anonymousid`` is sent."""

    datacontenttype: str = "application/json"
    data: dict[str, Raw] | None = None
    userid: str | None = None
    anonymousid: str | None = None
    previousid: str | None = None
    """Of an alias."""

    groupid: str | None = None
    """Of a group."""


class CloudEventController(Controller):
    """The HTTP protocol binding of CloudEvents: structured, batch and binary."""

    path = "/v1/cloudevents"
    request_max_body_size = BATCH_BYTES

    @post(
        operation_id="trackCloudEvents",
        opt={
            **PUBLIC,
            "body": {
                cloudevents.STRUCTURED: CloudEventToTrack,
                cloudevents.BATCH: list[CloudEventToTrack],
                "application/json": dict[str, Raw],
            },
            "needs": "write key",
            "raises": [TooMany],
        },
        status_code=200,
        responses={200: ResponseSpec(Received, generate_examples=False)},
    )
    async def receive(self, request: JsonRequest, intake: Door) -> ASGIResponse:
        """Take one CloudEvent, structured or binary (`ce-` headers, the data as body), or a batch.

        One that is refused is answered with 400; of a batch the others are taken, and which were
        not, and why, stands at `/tracking/v1/rejections`.
        """
        tenant = tenant_of(request, None)
        sent = cloudevents.opened(request.headers.multi_items(), plain(await request.body()))
        verdicts = await intake.receive_events(tenant, sent.events)
        if sent.single and isinstance(verdicts[0], Rejection):
            raise Malformed(verdicts[0].reason, field=verdicts[0].field)
        return RECEIVED


class Destination(View, frozen=True, rename="camel"):
    api_key: str
    api_host: str
    protocol: str


class BrowserSettings(View, frozen=True, rename="camel"):
    """What Segment's browser client asks for before it sends anything."""

    integrations: dict[str, Destination]
    plan: dict[str, dict[str, dict[str, bool]]]
    metrics: dict[str, int]


class BrowserController(Controller):
    path = "/v1/projects"

    @get(
        "/{key:str}/settings",
        opt={**PUBLIC, "raises": [Unauthorized, Forbidden]},
        operation_id="browserSettings",
    )
    async def settings(self, request: JsonRequest, key: FromPath[str]) -> BrowserSettings:
        """*key* is a write key: it stands in the page's source anyway."""
        tenant_of(request, key)
        base = request.base_url
        here = Destination(api_key=key, api_host=f"{base.netloc}/v1", protocol=base.scheme)
        return BrowserSettings(
            integrations={"Segment.io": here},
            plan={"track": {"__default": {"enabled": True}}},
            metrics={"sampleRate": 0},
        )


class CountsController(Controller):
    path = "/counts"

    @get(operation_id="trackingCounts", opt=READ)
    async def counts(self, service: Service) -> Counts:
        return await service.counts()


class RejectionController(Controller):
    path = "/rejections"

    @get(operation_id="listRejections", opt=READ)
    async def page(
        self,
        service: Service,
        message_id: FromQuery[str | None] = None,
        after: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Rejections:
        return await service.rejections(message_id=message_id, after=after, limit=limit)


class Retain(Request, frozen=True, kw_only=True):
    days: int


class RetentionController(Controller):
    path = "/retention"

    @get(operation_id="getRetention", opt=READ)
    async def retention(self, service: Service) -> Retention:
        return await service.retention()

    @put(operation_id="changeRetention", opt=MANAGE)
    async def change(self, service: Service, data: JSONBody[Retain]) -> Retention:
        return await service.retain(data.days)
