"""Personalization: who belongs to which segment, at any moment."""

from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

import msgspec

from martech.kernel.messages import Folded, Item, View, reads


class Segment(View, frozen=True, kw_only=True):
    id: UUID
    name: str
    condition: msgspec.Raw
    """Who belongs to it, as JSON: see the API's documentation of `createSegment`."""

    version: int
    """1 for the first condition; every change adds one."""

    ready: bool
    """False while it is being computed from the past for the first time after a change."""

    progress: float
    """Which part of all people was looked at since the last change, from 0 to 1."""

    size: int
    """How many belong to it now."""

    created_at: datetime
    updated_at: datetime


class SegmentPage(View, frozen=True, kw_only=True):
    data: list[Segment]
    next: str | None
    """Give it as ``after`` to go on; null on the last page."""


class Members(View, frozen=True, kw_only=True):
    data: list[UUID]
    """Profile ids in ascending order; with *entered_after*, in the order of coming."""

    next: str | None
    """Give it as ``after`` to go on; null on the last page."""

    version: int = 0
    """Of the segment's condition: where it is not that of the page before, these were picked in
    another way. 0 where it is not said."""

    position: int = 0
    """Who comes to the segment later comes behind this, if only by a merge, which moves a
    membership to another id: with it as *entered_after* they are found. 0 where it is not said,
    less than before where everything was computed anew."""


class Membership(View, frozen=True, kw_only=True):
    segment_id: UUID
    name: str
    since: datetime


class Memberships(View, frozen=True, kw_only=True):
    data: list[Membership]
    next: None = None


class Preview(View, frozen=True, kw_only=True):
    """Who would belong to a segment."""

    size: int
    exact: bool
    """False where there are too many people to look at in a request: then *size* is what the
    share among those looked at makes of all."""

    looked_at: int
    sample: list[UUID]
    """Profile ids of some who would."""


class SegmentChange(Item, frozen=True, kw_only=True):
    """Somebody came into a segment or left it."""

    SUBJECT: ClassVar[str] = "profile_id"

    segment_id: UUID
    profile_id: UUID
    change: Literal["entered", "exited"]
    version: int
    """Of the segment's condition."""

    at: datetime


class SegmentChanged(Folded, frozen=True, kw_only=True):
    """Who belongs to segments is not as it was, in the order it happened."""

    items: list[SegmentChange]


class Personalization(Protocol):
    """What other modules may ask."""

    @reads
    async def segment(self, segment_id: UUID) -> Segment:
        """Raises `NotFound`."""
        ...

    @reads
    async def members(
        self,
        segment_id: UUID,
        *,
        after: str | None = None,
        limit: int = 1000,
        entered_after: int | None = None,
    ) -> Members:
        """Who belongs to it now, in pages; with *entered_after*, of those only who came behind
        that `position`. Raises `NotFound`, and `Unavailable` until ready."""
        ...
