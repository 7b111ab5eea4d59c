"""The rules of campaigns. Pure: values and the time in, values out."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from martech.kernel.errors import Invalid

PAGE: Final = 1000
"""People read and handed on at once."""

OCCASION: Final = "launch"
SLOWEST, FASTEST = 0.01, 10_000.0
"""Messages a second."""

FARTHEST: Final = timedelta(days=731)
"""How far ahead a campaign may be scheduled."""

LATEST: Final = timedelta(hours=1)
"""How long after its time a scheduled campaign starts by itself: a mail of Sunday evening is none
of Wednesday night."""

_SOURCE: Final = "campaign:"
_BREAKS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def source_of(campaign_id: UUID) -> str:
    """Who sends, in delivery's words."""
    return f"{_SOURCE}{campaign_id}"


def campaign_of(source: str) -> UUID | None:
    """The campaign of that source; None when somebody else sends."""
    if not source.startswith(_SOURCE):
        return None
    try:
        return UUID(source.removeprefix(_SOURCE))
    except ValueError:
        return None


def send_of(campaign_id: UUID, launch: int = 0) -> UUID:
    """The one send that a launch can have: however many begin it, they open the same. The sends of
    all *launch*es of a campaign share their source and occasion, and so the ledger's key."""
    return uuid5(campaign_id, f"{OCCASION} {launch}" if launch else OCCASION)


def launch_of(campaign_id: UUID, send_id: UUID, last: int) -> int | None:
    """Which launch that send is of, the *last* or one before it."""
    launches = range(last, -1, -1)
    return next((each for each in launches if send_of(campaign_id, each) == send_id), None)


def title(name: str) -> str:
    """A campaign's name, as lists show it and events tell it: in one line. Raises `Invalid`."""
    shown = name.strip()
    if not shown:
        raise Invalid("The name is blank. Send a word or two.", field="name")
    if _BREAKS.search(shown):
        raise Invalid("The name holds a line break or a control. Leave it out.", field="name")
    return shown


def moment(at: datetime, now: datetime) -> datetime:
    """When a campaign is to start, in UTC. Raises `Invalid` for what is over or beyond reason."""
    if at <= now:
        raise Invalid("This time is over. Send a later one, or launch it now.", field="at")
    if at - now > FARTHEST:
        most = FARTHEST.days
        raise Invalid(f"This is more than {most} days ahead. Send an earlier time.", field="at")
    return at.astimezone(UTC)


def missed(at: datetime, now: datetime) -> str | None:
    """What to tell people of a campaign that was to start at *at*; None while it is not too late
    for that."""
    if now - at <= LATEST:
        return None
    return (
        f"It was to start at {at:%Y-%m-%d %H:%M} UTC, and did not within an hour. Launch it now, "
        "or schedule it for another time."
    )
