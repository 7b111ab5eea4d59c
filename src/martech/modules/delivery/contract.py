"""Delivery: messages to people, each at most once, and what became of them."""

from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from martech.kernel.messages import Event, Folded, Item, View, reads

Channel = Literal["email"]
Status = Literal["open", "paused", "completed", "cancelled"]
State = Literal[
    "pending",
    "deferred",
    "ambiguous",
    "delivered",
    "bounced",
    "failed",
    "suppressed",
    "cancelled",
]


Reason = Literal["unsubscribed", "bounced", "manual"]


class Counts(View, frozen=True, kw_only=True):
    """``audience`` is the sum of ``pending, deferred, ambiguous, delivered, bounced, failed,
    suppressed, unreachable, duplicate, cancelled``: everybody who was asked for stands in one of
    them."""

    audience: int = 0
    pending: int = 0
    """Waiting for its turn, or in somebody's hands at this moment; or refused for good in a row of
    which it is still to be seen whether the server takes any mail."""

    deferred: int = 0
    """The server said *later* (4xx, or did not answer): tried again with backoff."""

    ambiguous: int = 0
    """The connection broke after the message and before the server's word for it. A mail of
    marketing is not sent again for that: `POST /delivery/v1/reconciliations` settles it."""

    sent: int = 0
    """``delivered + bounced``: those for which the server gave its final word."""

    delivered: int = 0
    """Accepted by the server (250), and not returned since."""

    bounced: int = 0
    """Refused for good (5xx), by a server that took other mails of the send, or where fewer than 50
    in a row were refused."""

    failed: int = 0
    """Could not be made (a template that does not render), or deferred to the end."""

    suppressed: int = 0
    """Unsubscribed, bounced before, suppressed by hand, of denied consent (of anybody with the same
    address), or of another address by now, at the moment of the claim. Who never spoke of consent
    may be written to."""

    unreachable: int = 0
    """Nobody of that id, or without an address."""

    duplicate: int = 0
    """The address is somebody else's in the same audience, or another send with this source,
    occasion and step has its message, or one to an earlier address of that person: it was sent
    there, or that send was not cancelled."""

    cancelled: int = 0
    """Not sent, for the send was. Whom a later send of the same source, occasion and step takes
    over (they were cancelled, failed or suppressed here) is counted here all the same, as it was
    when this send ended; the message itself is that send's."""

    opened: int = 0
    """Messages opened at least once; likewise the next two."""

    clicked: int = 0
    unsubscribed: int = 0


class Send(View, frozen=True, kw_only=True):
    """One message to many people."""

    id: UUID
    source: str
    """Who sends, such as ``campaign:<id>``. With *occasion* and *step* it makes a message unique:
    nobody gets two of them."""

    occasion: str
    step: str
    channel: Channel
    name: str
    content_id: UUID
    content_version: int
    rate: float | None
    """The most messages a second; null for as fast as it goes."""

    status: Status
    sealed: bool
    """Whether the audience is complete."""

    counts: Counts
    problem: str | None
    """What keeps it from going on, or its mails from leaving, for a person to read; null when all
    is well. When the server refuses 50 mails in a row it is paused by that, and nobody of them is
    lost or suppressed: this says why, until it is resumed."""

    opened_at: datetime
    completed_at: datetime | None


class Sends(View, frozen=True, kw_only=True):
    data: list[Send]
    next: str | None
    """Give it as ``after`` to go on; null on the last page."""


class Message(View, frozen=True, kw_only=True):
    """One message to one address."""

    id: UUID
    """Always the same for the same send, step and address; its Message-ID begins with it."""

    send_id: UUID
    profile_id: UUID
    channel: Channel
    address: str
    status: State
    attempts: int
    """Times that the server was asked to take it."""

    due_at: datetime | None
    """When it may be tried; null when it is not to be tried."""

    claimed_at: datetime | None
    settled_at: datetime | None
    code: int | None
    """The server's last word, if it was a refusal."""

    reason: str | None
    opened_at: datetime | None
    """The first time; likewise the next two."""

    clicked_at: datetime | None
    unsubscribed_at: datetime | None


class Messages(View, frozen=True, kw_only=True):
    data: list[Message]
    next: str | None
    """Give it as ``after`` to go on; null on the last page. Where a status is asked for, a page may
    hold few, or none, and not be the last."""


class Suppression(View, frozen=True, kw_only=True):
    """An address that nothing is sent to. Who unsubscribed is back once they, and whoever else has
    that address, have granted consent since; the rest is lifted by hand."""

    address: str
    reason: Reason
    since: datetime
    source: str
    """Where that comes from: a message, the API, an import."""


class Suppressions(View, frozen=True, kw_only=True):
    data: list[Suppression]
    next: str | None


class Reconciled(View, frozen=True, kw_only=True):
    """What became of messages of which nobody knew."""

    delivered: int
    pending: int
    """Not in the server's log, of a time that it covers; so they will be sent."""

    cancelled: int
    """Likewise, but their send was cancelled."""

    ambiguous: int
    """Still: they are not of the time that the log covers, or there were `more`."""

    more: bool = False
    """There were more than are settled at once: give the same again (and another
    Idempotency-Key)."""


class ServerStatus(View, frozen=True, kw_only=True):
    """The mail server, as the last attempts for this tenant found it."""

    server: str
    reachable: bool | None
    """Null until somebody tried."""

    error: str | None
    since: datetime | None
    problem: str | None = None
    """What a person should see to: no mail leaves, or none that leads back here. Null when all is
    well."""


class MessageFact(Item, frozen=True, kw_only=True):
    """What every fact about a message says."""

    SUBJECT: ClassVar[str] = "profile_id"

    message_id: UUID
    send_id: UUID
    source: str
    occasion: str
    step: str
    channel: Channel
    profile_id: UUID
    at: datetime


class SentMessage(MessageFact, frozen=True, kw_only=True):
    content_id: UUID
    content_version: int


class Bounce(MessageFact, frozen=True, kw_only=True):
    code: int
    """The server's reply, such as 550."""

    reason: str


class Open(MessageFact, frozen=True, kw_only=True):
    machine: bool = False
    """Loaded by a program that loads every picture, whether or not anybody looks (Apple's Mail
    Privacy Protection), as far as it shows itself. It is counted like any other."""


class Click(MessageFact, frozen=True, kw_only=True):
    url: str


class OptOut(MessageFact, frozen=True, kw_only=True): ...


class MessageSent(Folded, frozen=True, kw_only=True):
    """The server accepted them; *at* is when, or when they were handed over, if a reconciliation
    found out."""

    items: list[SentMessage]


class MessageBounced(Folded, frozen=True, kw_only=True):
    """The server refused them for good (*at* that time, though it may be told later)."""

    items: list[Bounce]


class MessageOpened(Folded, frozen=True, kw_only=True):
    """Their pictures were loaded; every time it happens, so count messages, not items."""

    items: list[Open]


class LinkClicked(Folded, frozen=True, kw_only=True):
    """Links in them were followed; every time. Mail gateways that look at links before people do
    come as browsers, and cannot be told apart."""

    items: list[Click]


class Unsubscribed(Folded, frozen=True, kw_only=True):
    """Their recipients want no more; once a message."""

    items: list[OptOut]


class SendProgressed(Event, frozen=True, kw_only=True):
    """How a send stands now, told whole. The latest is all one needs to know."""

    SUBJECT: ClassVar[str] = "send_id"

    send_id: UUID
    source: str
    occasion: str
    status: Status
    sealed: bool
    counts: Counts
    problem: str | None
    at: datetime


class Delivery(Protocol):
    """What other modules may ask, in jobs. Asking again does nothing new."""

    async def open_send(
        self,
        send_id: UUID,
        *,
        source: str,
        occasion: str,
        step: str = "",
        channel: Channel = "email",
        name: str,
        content_id: UUID,
        content_version: int,
        rate: float | None = None,
    ) -> Send:
        """Begin a send under an id of the caller's; *rate* is the most messages a second. Raises
        `Unavailable` until that version of the content was heard of, and `Conflict` when the id
        stands for another send."""
        ...

    async def add_recipients(self, send_id: UUID, profile_ids: list[UUID]) -> Send:
        """Add up to 1,000 people; those who are in it already stay as they are. Sending begins at
        once. Raises `NotFound`, and `Conflict` when the send is sealed or over.

        Whom an earlier send of the same source, occasion and step, now cancelled, did not write to
        (they were cancelled, failed or suppressed there) is written to by this one. It is
        `Unavailable` while that is being cancelled, and while messages of it are ambiguous: they
        are to be reconciled first.

        Of people who are news to us we may hear in a moment: within ten minutes of the opening
        they are `Unavailable`, afterwards unreachable."""
        ...

    async def seal_send(self, send_id: UUID) -> Send:
        """The audience is complete; the send completes when nothing is open any more."""
        ...

    async def pause_send(self, send_id: UUID) -> Send:
        """Nothing is claimed from the moment this has committed."""
        ...

    async def resume_send(self, send_id: UUID) -> Send:
        """Go on where it was paused."""
        ...

    async def change_rate(self, send_id: UUID, rate: float | None) -> Send:
        """From the next claim on. Raises `Conflict` when the send is over."""
        ...

    async def cancel_send(self, send_id: UUID) -> Send:
        """For good: whatever is not on its way will not be sent. Nothing is claimed from the moment
        this has committed; the numbers of a large send follow within moments."""
        ...

    @reads
    async def send(self, send_id: UUID) -> Send:
        """Raises `NotFound`."""
        ...
