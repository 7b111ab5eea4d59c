"""What a lane is given to send."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from martech.modules.delivery.contract import Reason
from martech.modules.delivery.domain.people import UNWANTED
from martech.modules.delivery.domain.writing import Person, Texts

Forbidden = Reason | Literal["no consent", "address changed"]


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


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is shown and not sent: what a lane would be given to write it."""

    message: Claimed
    texts: Texts
    feedback: str
    at: datetime


def forbidden(
    address: str,
    today: str | None,
    *,
    suppressed: Mapping[str, Reason],
    denied: Collection[str],
    left: bool,
) -> Forbidden | None:
    """Why nothing may be sent to *address*: it is suppressed, the person has *left* by a mail to
    whichever address, somebody whose it is said no, or the person has another one *today*, or
    none."""
    if address in suppressed:
        return suppressed[address]
    if left:
        return UNWANTED
    if address in denied:
        return "no consent"
    return None if address == today else "address changed"


def feedback(source: str, send_id: UUID, tenant: UUID) -> str:
    """By what providers count complaints: from the finest to the whole."""
    return f"{send_id}:{source.replace(':', '_')}:{tenant}:martech"
