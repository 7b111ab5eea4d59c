"""Sends: what other modules opened, to be looked at, paused, resumed and cancelled."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response.base import ASGIResponse
from msgspec import UNSET, Meta, UnsetType

from martech.kernel.clock import reachable
from martech.kernel.errors import Conflict, Invalid
from martech.kernel.http.watching import Watch
from martech.kernel.messages import Request, View
from martech.modules.delivery.contract import Send, Sends
from martech.modules.delivery.domain.claims import Draft
from martech.modules.delivery.service import DeliveryService
from martech.modules.delivery.service.writing import Proofs, Writer

Service = NamedDependency[DeliveryService]
Look = NamedDependency[Watch[DeliveryService]]
Scribe = NamedDependency[Writer]
Proving = NamedDependency[Proofs]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows on a page.")]

READ = {"scope": "delivery:read"}
WRITE = {"scope": "delivery:write"}
MAIL = {200: ResponseSpec(bytes, media_type="message/rfc822", generate_examples=False)}


class ChangeSend(Request, frozen=True, kw_only=True):
    rate: Annotated[float, Meta(gt=0)] | UnsetType | None = UNSET
    """The most messages a second; null for as fast as it goes."""


class Drafted(View, frozen=True, kw_only=True):
    """What was looked up, in a unit that is over, before it is filled in."""

    draft: Draft


class SendController(Controller):
    path = "/sends"

    @get(operation_id="listSends", opt=READ)
    async def page(
        self, service: Service, after: FromQuery[str | None] = None, limit: Limit = 100
    ) -> Sends:
        """The newest first."""
        return await service.sends(after=after, limit=limit)

    @get("/{send_id:uuid}", operation_id="getSend", opt=READ)
    async def send(self, send_id: FromPath[UUID], service: Service) -> Send:
        return await service.send(send_id)

    @patch("/{send_id:uuid}", operation_id="changeSend", opt=WRITE)
    async def change(
        self, send_id: FromPath[UUID], data: JSONBody[ChangeSend], service: Service
    ) -> Send:
        """A new rate holds from the next claim on; one that is over keeps its own (409)."""
        if data.rate is UNSET:
            return await service.send(send_id)
        return await service.change_rate(send_id, data.rate)

    @post("/{send_id:uuid}/pause", operation_id="pauseSend", opt=WRITE, status_code=200)
    async def pause(self, send_id: FromPath[UUID], service: Service) -> Send:
        """Nothing is claimed from this answer on; what is on its way arrives."""
        return await service.pause_send(send_id)

    @post("/{send_id:uuid}/resume", operation_id="resumeSend", opt=WRITE, status_code=200)
    async def resume(self, send_id: FromPath[UUID], service: Service) -> Send:
        return await service.resume_send(send_id)

    @post("/{send_id:uuid}/cancel", operation_id="cancelSend", opt=WRITE, status_code=200)
    async def cancel(self, send_id: FromPath[UUID], service: Service) -> Send:
        """For good: whatever is not on its way will not be sent."""
        return await service.cancel_send(send_id)

    @get(
        "/{send_id:uuid}/preview",
        operation_id="previewMail",
        opt={**READ, "raises": [Conflict]},
        responses=MAIL,
    )
    async def preview(
        self,
        send_id: FromPath[UUID],
        profile_id: FromQuery[UUID],
        service: Service,
        watch: Look,
        writer: Scribe,
        proofs: Proving,
        at: FromQuery[datetime | None] = None,
    ) -> ASGIResponse:
        """The bytes that this person would be sent, dated *at* (now, if left out). Only the tokens
        in its links are others (and, where mails are signed, the signature over them): who follows
        a link of a preview is told so, and unsubscribes nobody. 409 where the template does not
        render for this person."""
        if at is not None and at.tzinfo is None:
            raise Invalid("Say the time zone too: 2026-12-01T09:00:00Z.", field="at")
        date = None if at is None else reachable(at, "at")

        async def look(delivery: DeliveryService) -> Drafted:
            return Drafted(draft=await delivery.draft(send_id, profile_id))

        draft = (await watch.first(look)).draft
        mail = await proofs.proof(service.tx.tenant, draft, writer, date or draft.at)
        return ASGIResponse(body=mail, media_type="message/rfc822")
