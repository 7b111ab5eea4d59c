"""The ledger, and what becomes of messages of which nobody knows."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from martech.kernel.clock import reachable
from martech.kernel.messages import Request
from martech.modules.delivery.contract import Message, Messages, Reconciled, ServerStatus, State
from martech.modules.delivery.domain.logs import message_ids
from martech.modules.delivery.service import DeliveryService
from martech.modules.delivery.service.writing import Writer

Service = NamedDependency[DeliveryService]
Scribe = NamedDependency[Writer]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows on a page.")]

READ = {"scope": "delivery:read"}
WRITE = {"scope": "delivery:write"}

MOST = 50_000
"""Lines of a mail server's log in one reconciliation."""

LARGEST_BODY = 100 * MOST
"""Bytes: so long may each of them be, or all that matters of it (37, without the server's name)."""

Moment = Annotated[datetime, Meta(tz=True)]


class MessageController(Controller):
    path = "/messages"

    @get(operation_id="listMessages", opt=READ)
    async def page(
        self,
        service: Service,
        send_id: FromQuery[UUID | None] = None,
        status: FromQuery[State | None] = None,
        profile_id: FromQuery[UUID | None] = None,
        after: FromQuery[str | None] = None,
        limit: Limit = 100,
    ) -> Messages:
        """In no particular order, but always in the same."""
        return await service.messages(
            send_id=send_id, status=status, profile_id=profile_id, after=after, limit=limit
        )

    @get("/{message_id:uuid}", operation_id="getMessage", opt=READ)
    async def message(self, message_id: FromPath[UUID], service: Service) -> Message:
        return await service.message(message_id)


class Reconcile(Request, frozen=True, kw_only=True):
    accepted: Annotated[list[str], Meta(max_length=MOST)]
    """The Message-IDs that the mail server's log says it accepted, with or without ``<>``, and with
    or without what follows the ``@``. With *since* and *until* all of them, also those that we know
    were delivered: an ambiguous message that is missing here is sent again, and a log with no
    message of a send that was delivered in part is refused."""

    since: Moment | None = None
    """From when on the log has everything: not before its first line, and not before what was
    rotated away. What was handed over earlier stays ambiguous if the log lacks it. Goes with
    *until*."""

    until: Moment | None = None
    """Up to when the log was read. What became ambiguous later stays so. Goes with *since*.

    Leave both out where the log is longer than one request: what this part of it has was
    delivered, and nothing is sent again. Repeat each part until ``more`` is false before the next
    one goes, and give both with the last part: what is ambiguous then counts as missing in all of
    them. A repetition under the same Idempotency-Key does nothing but answer what the first one
    did: send each under a key of its own."""

    force: bool = False
    """Take the log's word though it has nothing that we know the server accepted: it is the right
    server's; *accepted*, and the parts before it, are all that it has between *since* and *until*;
    and whatever they lack is to be sent again. Without these two it changes nothing."""


class ReconciliationController(Controller):
    path = "/reconciliations"

    @post(
        operation_id="reconcile",
        opt=WRITE,
        status_code=200,
        request_max_body_size=LARGEST_BODY,
    )
    async def reconcile(self, data: JSONBody[Reconcile], service: Service) -> Reconciled:
        """Settle what is ambiguous by what the mail server's log says: nobody else can know. A log
        that cannot be that server's is refused (409), and nothing is changed."""
        return await service.reconcile(
            message_ids(data.accepted),
            since=data.since and reachable(data.since, "since"),
            until=data.until and reachable(data.until, "until"),
            force=data.force,
        )


class StatusController(Controller):
    path = "/status"

    @get(operation_id="getDeliveryStatus", opt=READ)
    async def status(self, service: Service, writer: Scribe) -> ServerStatus:
        """The mail server, as the last attempts for this tenant found it."""
        return await service.server(writer.server, writer.warning)
