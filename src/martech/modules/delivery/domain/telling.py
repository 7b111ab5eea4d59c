"""What people did with their mails, as behaviour: Segment's e-mail spec. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from martech.modules.delivery.contract import MessageFact
from martech.modules.profiles.contract import Identity
from martech.modules.tracking.contract import Occurrence

MACHINE = "machine"

Kind = Literal["delivered", "bounced", "opened", "clicked", "unsubscribed"]

EVENTS: Mapping[Kind, str] = {
    "delivered": "Email Delivered",
    "bounced": "Email Bounced",
    "opened": "Email Opened",
    "clicked": "Email Link Clicked",
    "unsubscribed": "Unsubscribed",
}


class Engagement(NamedTuple):
    kind: Kind
    fact: MessageFact
    detail: str | None = None
    """The URL of a click, the reason of a bounce, `MACHINE` for an opening by a program."""


class Noted(NamedTuple):
    """An engagement that tracking is to be told, and what is known of its send."""

    id: UUID
    kind: Kind
    message_id: UUID
    profile_id: UUID
    at: datetime
    detail: str | None
    source: str
    occasion: str
    step: str
    name: str
    content_id: UUID
    content_version: int


def occurrence(noted: Noted, identity: Identity) -> Occurrence:
    """As tracking takes it. Its message id is the fact's, so that telling twice tells once."""
    properties: dict[str, object] = {
        "email_id": str(noted.message_id),
        "campaign_id": noted.source.partition(":")[2] or noted.source,
        "campaign_name": noted.name,
        "source": noted.source,
        "occasion": noted.occasion,
        "step": noted.step,
        "content_id": str(noted.content_id),
        "content_version": noted.content_version,
    }
    if noted.kind == "clicked":
        properties["link_url"] = noted.detail
    elif noted.kind == "opened":
        properties["machine_open"] = noted.detail == MACHINE
    elif noted.detail is not None:
        properties["reason"] = noted.detail
    return Occurrence(
        message_id=f"delivery-{noted.id}",
        user_id=identity.value if identity.kind == "user_id" else None,
        anonymous_id=identity.value if identity.kind == "anonymous_id" else None,
        event=EVENTS[noted.kind],
        timestamp=noted.at,
        properties=properties,
    )
