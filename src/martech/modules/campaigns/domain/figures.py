"""What the counts say. Pure."""

from collections.abc import Collection

import msgspec

from martech.modules.campaigns.contract import Counts, Rates, Status

REACHED = ("delivered", "bounced", "ambiguous")
DONE = (*REACHED, "sent", "opened", "clicked", "unsubscribed")

LEFT_OUT = (
    ("unreachable", "without an address"),
    (
        "suppressed",
        "unsubscribed, bounced before, suppressed by hand, of denied consent or moved since",
    ),
    ("duplicate", "whose address is another's in the audience or who were sent this mail before"),
)


def altogether(counts: Counts, earlier: Collection[Counts]) -> Counts:
    """What all launches came to, the last with its *counts* and those that failed before it. Whom
    one of these reached counts there, and is none of the last one's duplicates."""
    if not earlier:
        return counts
    reached = sum(getattr(one, name) for one in earlier for name in REACHED)
    again = min(reached, counts.duplicate)
    return msgspec.structs.replace(
        counts,
        audience=counts.audience + reached - again,
        duplicate=counts.duplicate - again,
        **{name: sum(getattr(one, name) for one in (counts, *earlier)) for name in DONE},
    )


def rates(counts: Counts) -> Rates:
    return Rates(
        delivered=_share(counts.delivered, counts.sent),
        bounced=_share(counts.bounced, counts.sent),
        opened=_share(counts.opened, counts.delivered),
        clicked=_share(counts.clicked, counts.delivered),
        unsubscribed=_share(counts.unsubscribed, counts.delivered),
    )


def progress(counts: Counts, expected: int | None, status: Status, *, sealed: bool) -> float:
    """The share of the audience with which nothing remains to be done. Until the audience is
    complete it is measured by what is *expected*, so that it does not reach the end and go back."""
    if status == "completed":
        return 1.0
    whole = counts.audience if sealed else max(counts.audience, expected or 0)
    remain = counts.pending + counts.deferred + counts.ambiguous
    return _share(counts.audience - remain, whole) or 0.0


def remark(counts: Counts, status: Status) -> str | None:
    """What the counts do not say by themselves; None when nobody was left out."""
    if status == "completed" and not counts.audience:
        return "The segment had nobody in it when the campaign was launched: nothing was sent."
    left = [f"{number:,} {why}" for name, why in LEFT_OUT if (number := getattr(counts, name))]
    return f"Left out: {', '.join(left)}." if left else None


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
