"""Profiles: who people are, by which names we know them, and what they did.

A profile id never changes its meaning: when two profiles turn out to be one person, one id is kept
and the other one answers for the kept one from then on.
"""

from datetime import datetime
from typing import ClassVar, Final, Literal, Protocol
from uuid import UUID

import msgspec

from martech.kernel.messages import Event, Folded, Item, View, reads

Kind = Literal["user_id", "email", "anonymous_id"]
Status = Literal["granted", "denied"]

EMPTY = msgspec.Raw(b"{}")

MOST_TRAITS: Final = 1000
"""Of one person; what is gone is told first, so whoever keeps a copy needs room for no more."""


class Identity(View, frozen=True):
    """One name of a person. E-mail addresses are trimmed and in lower case; the rest is as sent."""

    kind: Kind
    value: str


class Profile(View, frozen=True, kw_only=True):
    id: UUID
    identities: list[Identity]
    """User ids, then e-mail addresses, then anonymous ids; within a kind in order of arrival."""

    traits: dict[str, msgspec.Raw]
    first_seen: datetime
    """The time of the earliest thing that this person is known to have done."""

    merged: list[UUID]
    """Ids that were once profiles of their own; asked for one of them, this profile answers."""


class People(View, frozen=True, kw_only=True):
    data: list[Profile]
    next: str | None
    """Give it as ``after`` to go on; null on the last page. A page may hold fewer than were asked
    for, or none, and not be the last."""


class Entry(View, frozen=True, kw_only=True):
    """Something a person did, as their timeline shows it."""

    profile_id: UUID
    identity: Identity
    message_id: str
    type: str
    event: str | None
    timestamp: datetime
    received_at: datetime
    properties: msgspec.Raw
    traits: msgspec.Raw


class Entries(View, frozen=True, kw_only=True):
    data: list[Entry]
    next: str | None
    """Give it as ``after`` to go on; null on the last page. A page may hold fewer than were asked
    for, or none, and not be the last."""


class Counts(View, frozen=True, kw_only=True):
    """Exact as of the last thing heard from tracking. Whoever was merged counts once."""

    people: int
    identities: int
    activities: int


class Consent(View, frozen=True, kw_only=True):
    """What a person last said about one channel."""

    channel: str
    status: Status
    at: datetime
    source: str


class Consents(View, frozen=True, kw_only=True):
    data: list[Consent]
    next: None = None


class Statement(View, frozen=True, kw_only=True):
    """What somebody said about one channel, for another module to have recorded."""

    profile_id: UUID
    channel: str
    status: Status
    source: str
    at: datetime


class Activity(Item, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Something a person did, as it was tracked.

    A later `ProfilesMerged` moves it to another profile; ``identity``, what it came by, stays.
    The raw fields hold one checked JSON object each, passed on as the bytes they came in.
    """

    SUBJECT: ClassVar[str] = "profile_id"

    profile_id: UUID
    identity: Identity
    message_id: str
    type: Literal["identify", "track", "page", "screen", "group", "alias"]
    event: str | None = None
    timestamp: datetime
    received_at: datetime
    group_id: str | None = None
    properties: msgspec.Raw = EMPTY
    traits: msgspec.Raw = EMPTY
    context: msgspec.Raw = EMPTY


class ActivityRecorded(Folded, frozen=True, kw_only=True):
    """What people did, each with its profile and the name it came by, in the order recorded."""

    items: list[Activity]


class ProfileChange(Item, frozen=True, kw_only=True):
    SUBJECT: ClassVar[str] = "profile_id"

    profile_id: UUID
    traits: dict[str, msgspec.Raw]
    """Only those with a new value; null means that the trait is gone."""

    identities: list[Identity]
    """Names that nobody had before. Those of a merged profile are told by `ProfilesMerged`."""


class ProfileChanged(Folded, frozen=True, kw_only=True):
    """Something about these profiles is not as it was. A new profile is told of like this too."""

    items: list[ProfileChange]


class ProfilesMerged(Event, frozen=True, kw_only=True):
    """Two profiles turned out to be one person: what was *merged*'s is *kept*'s from here on.

    Told before the `ProfileChanged` and `ConsentChanged` that say what *kept* gained by it.
    """

    SUBJECT: ClassVar[str] = "kept"

    kept: UUID
    merged: UUID


class ConsentChanged(Event, frozen=True, kw_only=True):
    """What holds for a person on a channel is not what held before, or was said anew."""

    SUBJECT: ClassVar[str] = "profile_id"

    profile_id: UUID
    channel: str
    status: Status
    at: datetime


class Profiles(Protocol):
    """What other modules may ask."""

    @reads
    async def get(self, profile_id: UUID) -> Profile:
        """The profile, or the one it was merged into. Raises `NotFound`."""
        ...

    @reads
    async def find(self, kind: Kind, value: str) -> Profile | None:
        """Whose name that is."""
        ...

    @reads
    async def members(self, *, after: str | None = None, limit: int = 100) -> People:
        """Everybody, by when we received what made them known. Who is recorded late, by a retry for
        example, may stand before a place that was passed: to keep a copy, hear what is told, too.
        """
        ...

    @reads
    async def consents(self, profile_id: UUID) -> Consents:
        """What holds, by channel. A channel that nobody spoke of is absent. Raises `NotFound`."""
        ...

    async def record_consent(
        self,
        profile_id: UUID,
        channel: str,
        status: Status,
        *,
        source: str,
        at: datetime | None = None,
    ) -> Consent:
        """Add a fact and answer with what holds now: another one, if *at* is older than that. What
        is ahead of our clock, by 5 minutes at most, was said just now."""
        ...

    async def record_consents(self, said: list[Statement]) -> int:
        """Add up to 500 facts, in the order given; those about people whom nobody knows are passed
        over. What is ahead of our clock was said just now. Answers with how many were added."""
        ...
