"""What a lane is given to send."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from martech.modules.delivery.domain.writing import Person, Texts
from martech.modules.profiles.contract import Status

Forbidden = Literal["unsubscribed", "bounced", "manual", "no consent"]


class Claimed(msgspec.Struct, frozen=True, gc=False):
    id: UUID
    person: Person


class Claim(msgspec.Struct, frozen=True):
    """Messages that are the lane's alone until it settles them."""

    messages: list[Claimed]
    at: datetime
    """The date of the mails."""

    texts: Texts
    feedback: str
    again_at: datetime | None
    """When there is more to claim; None when there is nothing, or nobody may."""

    more: bool = False
    """Whether as much was due as was asked for, so that others may find work too."""


def forbidden(consent: Status | None, reason: Forbidden | None) -> Forbidden | None:
    """Why nothing may be sent: the address is suppressed for *reason*, or the person said no."""
    if reason is not None:
        return reason
    return "no consent" if consent == "denied" else None


def feedback(source: str, send_id: UUID, tenant: UUID) -> str:
    """By what providers count complaints: from the finest to the whole."""
    return f"{send_id}:{source.replace(':', '_')}:{tenant}:martech"
