"""Campaigns: one message to the people of a segment, from draft to done."""

from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from martech.kernel.messages import Event, View, reads

Status = Literal[
    "draft", "scheduled", "launching", "sending", "paused", "completed", "cancelled", "failed"
]


class Campaign(View, frozen=True, kw_only=True):
    id: UUID
    name: str
    segment_id: UUID
    content_id: UUID
    content_version: int | None
    """The version that was published when it was launched; null before."""

    rate: float | None
    """The most messages a second; null for as fast as it goes."""

    status: Status
    scheduled_at: datetime | None
    created_at: datetime
    launched_at: datetime | None
    completed_at: datetime | None
    problem: str | None
    """What keeps it from going on, made it fail or miss its time, for a person to read; null when
    all is well."""

    send_id: UUID
    """What it is called in delivery once it is launched; another after each launch that failed."""


class CampaignPage(View, frozen=True, kw_only=True):
    data: list[Campaign]
    """The newest first."""

    next: str | None
    """Give it as ``after`` to go on; null on the last page."""


class Counts(View, frozen=True, kw_only=True):
    """As delivery counts them, of the last launch and of whom earlier ones, which failed, reached.
    ``audience`` is the sum of ``pending, deferred, ambiguous, delivered, bounced, failed,
    suppressed, unreachable, duplicate, cancelled``."""

    audience: int = 0
    pending: int = 0
    deferred: int = 0
    """The mail server said *later*; they are tried again."""

    ambiguous: int = 0
    """Nobody knows whether the mail server took them: `POST /delivery/v1/reconciliations`."""

    sent: int = 0
    """``delivered + bounced``."""

    delivered: int = 0
    bounced: int = 0
    """Refused by the mail server for good."""

    failed: int = 0
    """Could not be made, or were deferred to the end."""

    suppressed: int = 0
    """Left out when their turn came: unsubscribed, bounced before, suppressed by hand, of denied
    consent (they, or somebody else with their address), or of another address by then."""

    unreachable: int = 0
    """Left out: they have no address."""

    duplicate: int = 0
    """Left out: their address is another's in the audience. Whom an earlier launch reached counts
    as that launch left them."""

    cancelled: int = 0
    opened: int = 0
    clicked: int = 0
    unsubscribed: int = 0


class Rates(View, frozen=True, kw_only=True):
    """Shares between 0 and 1; null while there is nothing to take a share of."""

    delivered: float | None
    """Of those sent; likewise ``bounced``."""

    bounced: float | None
    opened: float | None
    """Of those delivered; likewise the next two."""

    clicked: float | None
    unsubscribed: float | None


class CampaignStatus(View, frozen=True, kw_only=True):
    """How it stands, from one row."""

    id: UUID
    name: str
    status: Status
    problem: str | None
    remark: str | None = None
    """What explains the counts and is no problem: an empty segment, people who were left out."""

    scheduled_at: datetime | None
    launched_at: datetime | None
    completed_at: datetime | None
    expected: int | None
    """How many the segment had when it was launched; ``counts.audience`` grows towards it, and
    beyond if an earlier launch reached others."""

    sealed: bool
    """Whether the audience is complete."""

    counts: Counts
    rates: Rates
    progress: float
    """The share of the audience with which nothing remains to be done; 1 when it is completed."""

    updated_at: datetime
    """When delivery last told of it, or somebody changed it."""


class CampaignLaunched(Event, frozen=True, kw_only=True):
    """It has begun: its content is fixed and its audience is being read."""

    SUBJECT: ClassVar[str] = "campaign_id"

    campaign_id: UUID
    name: str
    segment_id: UUID
    content_id: UUID
    content_version: int
    at: datetime


class CampaignCompleted(Event, frozen=True, kw_only=True):
    """Nothing is open any more."""

    SUBJECT: ClassVar[str] = "campaign_id"

    campaign_id: UUID
    audience: int
    delivered: int
    at: datetime


class CampaignFailed(Event, frozen=True, kw_only=True):
    """It ended before its audience was complete, for a reason that somebody has to mend; then it
    may be launched again."""

    SUBJECT: ClassVar[str] = "campaign_id"

    campaign_id: UUID
    reason: str
    at: datetime


class Campaigns(Protocol):
    """What other modules may ask."""

    @reads
    async def campaign(self, campaign_id: UUID) -> Campaign:
        """Raises `NotFound`."""
        ...

    @reads
    async def status(self, campaign_id: UUID) -> CampaignStatus:
        """Raises `NotFound`."""
        ...
