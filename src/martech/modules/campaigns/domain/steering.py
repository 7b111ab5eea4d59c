"""From what was ordered to what is to be asked next. Pure.

    new ── fix ──▶ fixed ── open ──▶ opened ── page … page ──▶ late ── page … page ──▶ read
    read ── seal ──▶ sealed

A launch goes through these stages, each written down as soon as it is done. Every step may be
taken twice: the content is fixed by the first who writes it, a send is opened under an id that
follows from the campaign's, delivery's ledger knows whom it was given. So whoever dies is
continued where they were, and two who do the same do it once.

Pages go by profile ids, and a merge moves a membership to a smaller one, perhaps behind the page
that is read: from a person who was not handed over yet to one who never would be. So whoever came
since the first page was asked for is read after the last one, in the order of coming, where
nobody comes behind (*late*).

Orders have numbers. While the last one is not yet carried out in delivery (``settled`` is behind
``ordered``) a step is owed, whatever else there is to do. Only an order to go on (``going`` is the
last one) resumes a send there: another rate does not, what delivery has paused stays so.
"""

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from martech.kernel.errors import Conflict
from martech.kernel.messages import Command
from martech.modules.campaigns.contract import Status
from martech.modules.campaigns.domain import send_of, states
from martech.modules.campaigns.domain.states import Order

Stage = Literal["new", "fixed", "opened", "late", "read", "sealed"]
Step = Literal["fix", "open", "page", "seal", "pause", "resume", "rate", "cancel"]

STEPS = 50
"""What one command does; then another goes on, so that none takes for ever."""

LATE = 1000
"""Whoever comes so many turns after the segment was read is not waited for: of one that grows
faster than it is read, a launch would never end."""

MOVING = (
    *("due", "status", "launch", "stage", "segment_version", "page", "began", "ended"),
    *("content_version", "ordered", "settled", "going"),
)
"""What of a `Standing` is not settled by its plan."""

READING: frozenset[Stage] = frozenset({"opened", "late"})

_ONWARD: dict[Stage, Step] = {
    "new": "fix",
    "fixed": "open",
    "opened": "page",
    "late": "page",
    "read": "seal",
}


class Start(Command, frozen=True, kw_only=True):
    """Launch a scheduled campaign, if it is still scheduled for this very time, and that is not
    long ago."""

    campaign_id: UUID
    at: datetime

    @property
    def key(self) -> str:
        return f"{self.campaign_id} {self.at.isoformat()}"


class Advance(Command, frozen=True, kw_only=True):
    """Bring delivery to where the orders want it. It reads them anew, so it is never too late and
    never twice."""

    campaign_id: UUID

    @property
    def key(self) -> str:
        return str(self.campaign_id)


class Standing(NamedTuple):
    """How far a campaign is, and where it is wanted."""

    campaign_id: UUID
    name: str
    segment_id: UUID
    content_id: UUID
    content_version: int | None
    rate: float | None
    due: datetime | None
    """When a launch that nobody but its schedule has ordered was to be; None once people are with
    delivery."""

    status: Status
    launch: int
    """How many launches failed before this one; each has a send of its own."""

    stage: Stage
    segment_version: int | None
    """Of the segment's condition, by which all its people are to be picked."""

    page: str | None
    """Where the next page of the segment, or of the latecomers, begins."""

    began: int | None
    """The segment's position when its first page was asked for; None before, and where it tells
    none."""

    ended: int | None
    """And when the last one was."""

    ordered: int
    settled: int
    going: int

    @property
    def send_id(self) -> UUID:
        return send_of(self.campaign_id, self.launch)

    @property
    def known(self) -> bool:
        """Whether delivery has, or may have, a send of this launch."""
        return self.stage != "new"


class Fixed(NamedTuple):
    """The versions of content and segment are settled, and how many are to be expected."""

    version: int
    expected: int
    segment_version: int | None = None


class Opened(NamedTuple):
    """Delivery has the send; *going* if it is not paused there, or slower, from an earlier time."""

    going: bool


class Handed(NamedTuple):
    """People are with delivery; *page* is where the next begin, None when those were all;
    *position* is the segment's, 0 where it tells none."""

    page: str | None
    position: int = 0


class Lost(NamedTuple):
    """Where the last page ended means nothing any more, as after an upgrade of whoever keeps the
    segment: the audience is read from its beginning. Whom delivery has is not given to it twice."""


class Sealed(NamedTuple):
    """Delivery knows that it has everybody."""


class Steered(NamedTuple):
    """Delivery pauses, goes on at its rate, or has given up, as it was ordered."""


class Stopped(NamedTuple):
    """Somebody cancelled the send in delivery."""


class Failed(NamedTuple):
    """It cannot be done, and trying again would not help."""

    reason: str


Outcome = Fixed | Opened | Handed | Lost | Sealed | Steered | Stopped | Failed


def next_step(now: Standing) -> Step | None:
    """What to ask of the neighbours now; None when nothing is to be done."""
    owed = now.settled < now.ordered
    match now.status:
        case "launching" | "sending":
            if owed and now.stage not in ("new", "fixed"):
                return "resume" if now.settled < now.going else "rate"
            return _ONWARD.get(now.stage)
        case "paused" if owed and now.known:
            return "pause"
        case "cancelled" | "failed" if owed and now.known:
            return "cancel"
        case _:
            return None


def obey(now: Standing, order: Order) -> Standing:
    """Where it is wanted after *order*. Raises `Conflict`.

    What is so already is ordered again all the same: delivery may have been stopped there."""
    status = states.obey(order, now.status, sealed=now.stage == "sealed")
    then = _afresh(now) if now.status == "failed" else now
    ordered = now.ordered + 1
    if order in ("launch", "resume"):
        then = then._replace(going=ordered, due=None)
    return then._replace(status=status, ordered=ordered)


def _afresh(now: Standing) -> Standing:
    """As it was planned. Raises `Conflict` until delivery has stopped what it had of the launch
    that failed: whom it did not reach is for the next one."""
    if now.known and now.settled < now.ordered:
        raise Conflict(
            "Delivery is still being told to stop what the failed launch gave it. Try again in a "
            "moment."
        )
    planned = now._replace(stage="new", segment_version=None, content_version=None)
    return _unread(planned)._replace(launch=now.launch + 1, settled=now.ordered)


def _unread(now: Standing) -> Standing:
    return now._replace(page=None, began=None, ended=None)


def _read_on(now: Standing, page: str | None, position: int) -> Standing:
    """One page further; from the last one to those who came meanwhile, and from them to the end."""
    if now.stage == "late":
        over = page is None or position > (now.ended or 0) + LATE
        return now._replace(stage="read" if over else "late", page=page)
    began = now.began if now.page else position or None
    if page:
        return now._replace(page=page, began=began)
    there = now._replace(page=None, began=began, ended=position)
    return there._replace(stage="read" if began is None else "late")


def give_up(now: Standing) -> Standing:
    """Where it is when the time of its launch has long gone by: somebody has to want it still.
    What delivery may have a send of ends as what fails does."""
    if now.known:
        status = states.learn("failed", now.status)
        return now._replace(status=status, ordered=now.ordered + 1, due=None)
    status = states.learn("missed", now.status)
    return now._replace(status=status, settled=now.ordered, due=None)


def after(now: Standing, before: Standing, outcome: Outcome) -> Standing:
    """Where it is when a step from *before* had that *outcome*, and *now* is what is on record.
    Orders that were given meanwhile hold, and what another did first is not undone."""
    settled, then = max(now.settled, before.ordered), now
    reading = now.stage in READING and (now.stage, now.page) == (before.stage, before.page)
    if now.launch != before.launch:
        return now  # it is about a launch that failed meanwhile
    match outcome:
        case Fixed(version, _, segment) if now.stage == "new" and now.status in states.UNDER_WAY:
            then = now._replace(stage="fixed", content_version=version, segment_version=segment)
        case Opened(going) if now.stage == "fixed":
            then = now._replace(stage="opened", settled=settled if going else now.settled)
        case Handed(page, position) if reading:
            then = _read_on(now, page, position)._replace(due=None)
        case Lost() if reading:
            then = _unread(now)._replace(stage="opened")
        case Sealed() if now.stage == "read" or reading:
            then = now._replace(stage="sealed", status=states.learn("sealed", now.status))
        case Steered():
            then = now._replace(settled=settled)
        case Stopped():
            then = now._replace(settled=settled, status=states.learn("cancelled", now.status))
        case Failed() if (status := states.learn("failed", now.status)) != now.status:
            # whatever is with delivery already is to be cancelled there
            then = now._replace(status=status, ordered=now.ordered + 1)
    return then


def hear(now: Standing, send: Literal["open", "paused", "completed", "cancelled"]) -> Standing:
    """Where it is when delivery tells that its send is *send*.

    If delivery goes on with what was stopped here (somebody resumed it there, or a job of ours
    slept through the next order), it is told again. That it stands still there is said to whoever
    looks and not overruled: delivery has its reasons.
    """
    if send in ("completed", "cancelled"):
        return now._replace(status=states.learn(send, now.status))
    stopped = now.status in ("cancelled", "failed") or (now.status == "paused" and send == "open")
    if stopped and now.settled == now.ordered:
        return now._replace(ordered=now.ordered + 1)
    return now
