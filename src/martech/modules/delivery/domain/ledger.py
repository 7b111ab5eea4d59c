"""The ledger: one row a message, and the numbers that people are shown.

    pending ──▶ claimed ──▶ delivered
      ▲  ▲        │ ├─────▶ bounced      refused for good
      │  └────────┘ ├─────▶ failed       cannot be made, or deferred to the end
      │  not tried  ├─────▶ deferred ──▶ claimed, when it is due
      │             └─────▶ ambiguous    nobody knows whether the server took it
      └───────────────────────┘ reconciled: it did not (or delivered: it did)

What is refused for good stays claimed, set aside, until the server accepts another mail of the send
or nothing else waits: only then is it bounced. If it is many in a row, the send is paused and all
of them are pending.

Whoever must not be written to goes from pending or deferred to suppressed, in the transaction that
would have claimed them. Whatever is not on its way when the send is cancelled is cancelled. What a
cancelled send did not send (cancelled, failed, suppressed) is pending again for a later send of the
same key, which takes the row over.
"""

from collections.abc import Mapping
from typing import Literal
from uuid import UUID, uuid5

import msgspec

from martech.modules.delivery.contract import Counts, State, Status

Kept = Literal["claimed"] | State
"""A message in somebody's hands is shown as pending."""

COUNTED: Mapping[Kept, State] = {
    "pending": "pending",
    "claimed": "pending",
    "deferred": "deferred",
    "ambiguous": "ambiguous",
    "delivered": "delivered",
    "bounced": "bounced",
    "failed": "failed",
    "suppressed": "suppressed",
    "cancelled": "cancelled",
}
"""By which number of the send a message is counted."""

OPEN = ("pending", "deferred", "ambiguous")
EXCLUDED = ("unreachable", "duplicate")
AUDIENCE = (*dict.fromkeys(COUNTED.values()), *EXCLUDED)
"""Everybody who was asked for stands in one of them."""

ENGAGED = ("opened", "clicked", "unsubscribed")
NUMBERS = ("audience", *AUDIENCE, *ENGAGED)
"""The numbers that a send's row keeps."""


class Key(msgspec.Struct, frozen=True):
    """What makes a message unique, beside its address: nobody gets two of them."""

    tenant: UUID
    source: str
    occasion: str
    step: str
    channel: str

    def message_id(self, address: str) -> UUID:
        """The same for the same key, whoever asks and however often: so is the Message-ID."""
        name = [self.source, self.occasion, self.step, self.channel, address]
        return uuid5(self.tenant, msgspec.json.encode(name).decode())


def counts(numbers: Mapping[str, int]) -> Counts:
    """As people are shown them."""
    shown = {name: int(numbers[name]) for name in NUMBERS}
    return Counts(**shown, sent=shown["delivered"] + shown["bounced"])


def status_after(status: Status, sealed: bool, numbers: Mapping[str, int]) -> Status:
    """A send is over when its audience is complete and nothing of it is open."""
    done = sealed and not any(numbers[name] for name in OPEN)
    return "completed" if status == "open" and done else status
