"""What somebody who runs a campaign does, by the REST API: a segment, a template, a campaign.

Everything has a name and is looked for by it first, so that doing it again changes nothing.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from demo import mailserver
from demo.bars import Done
from demo.dataset import Least
from demo.failure import Failure
from demo.rest import Rest

SEGMENT = "Good customers"
CAMPAIGN = "December mailing (a replay of 2017)"
SEGMENTS = "/personalization/v1/segments"
CAMPAIGNS = "/campaigns/v1/campaigns"
LOOK_SECONDS = 0.1
PATIENCE = 120
SINCE = "1970-01-01T00:00:00Z"
SETTLED = ("completed", "cancelled", "failed")


class Segment(msgspec.Struct):
    id: str
    name: str
    ready: bool
    progress: float
    """The share of people who were looked at; 1 when it is ready."""
    size: int


class Campaign(msgspec.Struct):
    id: str
    name: str
    status: str


class Counts(msgspec.Struct):
    """As of delivery; what is not read is left out."""

    audience: int
    pending: int
    deferred: int
    ambiguous: int
    sent: int
    delivered: int
    bounced: int
    failed: int
    suppressed: int
    unreachable: int
    opened: int
    clicked: int
    unsubscribed: int


class Status(msgspec.Struct):
    status: str
    problem: str | None
    expected: int | None
    counts: Counts


class Anything(msgspec.Struct):
    """An answer of which nothing is needed."""


def condition(least: Least) -> dict[str, object]:
    """Who has an address, ordered so often, and spent so much."""
    return {
        "all": [
            {"trait": "email", "is": "exists"},
            {"event": "Order Completed", "at_least": least.orders},
            {"event": "Order Completed", "sum": "revenue", "at_least": least.dollars},
        ]
    }


def segment(rest: Rest, least: Least, progress: Done) -> Segment:
    """The segment, when it is ready; *progress* hears how many hundredths are computed."""
    found = rest.named(SEGMENTS, Segment, SEGMENT) or rest.post(
        SEGMENTS, {"name": SEGMENT, "condition": condition(least)}, Segment, key="segment"
    )
    deadline = time.monotonic() + PATIENCE
    while not found.ready:
        progress(int(100 * found.progress), 100)
        if time.monotonic() > deadline:
            raise Failure(f"The segment “{SEGMENT}” is not ready after {PATIENCE} s.")
        time.sleep(LOOK_SECONDS)
        found = rest.get(f"{SEGMENTS}/{found.id}", Segment)
    progress(100, 100)
    return found


class Marketer:
    """One campaign, from its template to its end."""

    def __init__(
        self, rest: Rest, server: mailserver.MailServer, check: Callable[[], None]
    ) -> None:
        """*check* raises when the platform is gone."""
        self._rest = rest
        self._server = server
        self._check = check

    def launch(self, segment: Segment, content_id: str) -> Campaign:
        """On its way, if it is not already."""
        plan = {"name": CAMPAIGN, "segment_id": segment.id, "content_id": content_id}
        found = self._rest.named(CAMPAIGNS, Campaign, CAMPAIGN)
        found = found or self._rest.post(CAMPAIGNS, plan, Campaign, key="campaign")
        if found.status == "draft":
            path = f"{CAMPAIGNS}/{found.id}/launch"
            found = self._rest.post(path, {}, Campaign, key="launch")
        return found

    def follow(self, campaign: Campaign, progress: Done) -> Status:
        """Until it is over; *progress* hears how many are done, of how many.

        A mail server that dies is started again. Mails of which nobody knows whether it took them
        are looked up in its log.
        """
        path = f"{CAMPAIGNS}/{campaign.id}/status"
        while True:
            self._check()
            self._server.keep_alive()
            status = self._rest.get(path, Status)
            counts = status.counts
            open_ = counts.pending + counts.deferred + counts.ambiguous
            progress(counts.audience - open_, max(counts.audience, status.expected or 0))
            if status.status in SETTLED:
                break
            if counts.ambiguous:
                self._reconcile()
            time.sleep(LOOK_SECONDS)
        if status.status != "completed":
            raise Failure(f"The campaign is {status.status}: {status.problem}")
        return status

    def _reconcile(self) -> None:
        """What an operator does: gives the platform the mail server's word.

        The connections of these mails are gone, with the platform or with the mail server that had
        them; so its log says no more about them than it does now.
        """
        until = datetime.now(UTC)  # and since ever: the log is of this demo alone, and never cut
        accepted = [mailserver.message_id(mail) for mail in mailserver.accepted(self._server.log)]
        self._rest.post(
            "/delivery/v1/reconciliations",
            {"accepted": accepted, "since": SINCE, "until": until.isoformat()},
            Anything,
        )
