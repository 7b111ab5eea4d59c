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
    """What keeps it from going on, for a person to read; null when all is well."""


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
    """It ended before anything was sent, for a reason that trying again does not cure."""

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
