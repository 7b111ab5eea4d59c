"""A send in the hands of whoever changes it, and what keeps it from going on. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from martech.modules.delivery.contract import Channel, Send, SendProgressed, Status
from martech.modules.delivery.domain.ledger import Key, counts, status_after
from martech.modules.delivery.domain.outcomes import anonymous

Kind = Literal["server", "content", "printed", "refused"]
"""*printed* keeps nothing from going on, and is said even when it is over: no mail has left, or
none that leads back to us. *refused* stays until somebody resumes it."""

RATES = (0.001, 100_000.0)


@dataclass
class Problem:
    kind: Kind
    text: str
    since: datetime

    @property
    def shown(self) -> str:
        return f"{self.text} (Since {self.since:%Y-%m-%d %H:%M:%S} UTC.)"


@dataclass
class Held:
    """A send whose row nobody else changes until the commit; what is changed here is written once,
    at the end."""

    key: Key
    id: UUID
    channel: Channel
    name: str
    content_id: UUID
    content_version: int
    rate: float | None
    used_until: datetime | None
    status: Status
    sealed: bool
    problem: Problem | None
    opened_at: datetime
    completed_at: datetime | None
    numbers: dict[str, int]
    loaded: tuple[object, ...] | None = None
    """Its `state` as it was found; None for a new one."""

    def state(self) -> tuple[object, ...]:
        """All that may change; the use of its rate comes first."""
        problem = self.problem and (self.problem.kind, self.problem.text)
        shown = (self.rate, self.status, self.sealed, problem, *self.numbers.values())
        return (self.used_until, *shown)

    def move(self, number: str, by: int = 1, *, out_of: str | None = None) -> None:
        self.numbers[number] += by
        if out_of is not None:
            self.numbers[out_of] -= by

    def obstruct(self, kind: Kind, text: str, now: datetime) -> None:
        """Something keeps it from going on; if it is the same as before, since then."""
        if self.problem is None or self.problem.kind not in (kind, "refused"):
            self.problem = Problem(kind, text, now)

    def stop(self, text: str, now: datetime) -> None:
        """It is paused until somebody has seen to what *text* says."""
        if self.status == "open":
            self.status = "paused"
        if not self.stopped:
            self.problem = Problem("refused", text, now)

    @property
    def stopped(self) -> bool:
        return self.problem is not None and self.problem.kind == "refused"

    def clear(self, kind: Kind) -> None:
        if self.problem is not None and self.problem.kind == kind:
            self.problem = None

    def conclude(self, now: datetime) -> None:
        """It may be over by what was changed."""
        self.status = status_after(self.status, self.sealed, self.numbers)
        if self.status in ("completed", "cancelled") and self.completed_at is None:
            self.completed_at = now
            if self.problem is not None and self.problem.kind != "printed":
                self.problem = None

    def view(self) -> Send:
        return Send(
            id=self.id,
            source=self.key.source,
            occasion=self.key.occasion,
            step=self.key.step,
            channel=self.channel,
            name=self.name,
            content_id=self.content_id,
            content_version=self.content_version,
            rate=self.rate,
            status=self.status,
            sealed=self.sealed,
            counts=counts(self.numbers),
            problem=shown(self.problem, self.numbers),
            opened_at=self.opened_at,
            completed_at=self.completed_at,
        )

    def progressed(self, now: datetime) -> SendProgressed:
        return SendProgressed(
            send_id=self.id,
            source=self.key.source,
            occasion=self.key.occasion,
            status=self.status,
            sealed=self.sealed,
            counts=counts(self.numbers),
            problem=shown(self.problem, self.numbers),
            at=now,
        )


def shown(problem: Problem | None, numbers: Mapping[str, int]) -> str | None:
    """What keeps a send from going on, for a person to read."""
    if problem is not None:
        return problem.shown
    ambiguous = numbers["ambiguous"]
    if not ambiguous or numbers["pending"] or numbers["deferred"]:
        return None
    return (
        f"Of {ambiguous:,} messages nobody knows whether the mail server took them. Look into its "
        "log, and give POST /delivery/v1/reconciliations the Message-IDs that it accepted, with "
        "the time (since, until) of which it has everything."
    )


def withdrawn(version: int) -> str:
    """Of a send that was begun. Its campaign can only be cancelled, and another one knows nothing
    of whom this one reached."""
    return (
        f"Version {version} of the content was withdrawn, and nothing more of it leaves, whatever "
        "is published later. So cancel this send; who is left gets a later version by another one. "
        "Leave out there who has this one already: of them there is an event Email Delivered, with "
        "this campaign_id."
    )


def unreachable(server: str, error: str | None) -> str:
    return (
        f"{server} does not take mails: {(error or 'no answer')[:300].rstrip('.')}. Nothing is "
        "lost; sending goes on by itself when it answers."
    )


def refused(number: int, code: int | None, reason: str | None) -> str:
    said = anonymous(f"{code} {reason}")[:300].rstrip(".")
    return (
        f"The mail server refused {number:,} mails in a row, the last with: {said}. So the send "
        "was paused: these mails wait with the others, and nobody was suppressed for it. See to it "
        "that the server takes mail from us (MARTECH_DELIVERY_SMTP_URL, MARTECH_DELIVERY_SENDER), "
        "and resume; or cancel, if it is the addresses."
    )
