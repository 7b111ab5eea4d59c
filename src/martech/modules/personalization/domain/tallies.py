"""One person's number for one measure, kept up event by event.

For ever: the sum of all contributions. Within a window: ``total`` is the sum of those later than
``since``, which lies at or before the window's begin. What has fallen out of the window since is
still in it, and that is no lie as long as nothing depends on it: until ``until`` the total and the
true number are on the same side of every bound that a segment has. So a timer is needed only where
time alone could change an answer, and one person costs one timer, not one for each event.

    since        now-within                     now
      ├─ fallen out ─┼──── counts ───────────────┤
      └──────────── total ───────────────────────┘

Only ever-growing numbers can be trusted like this. Where a contribution is negative, or a bound
was crossed, and something has fallen out meanwhile, the tally must be `settled` with the past in
hand before it is judged.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import msgspec


class Contribution(NamedTuple):
    at: int
    """Microseconds since 1970."""

    amount: int


class Tally(msgspec.Struct, array_like=True, gc=False):
    total: int = 0
    since: int | None = None
    negatives: int = 0
    """How many contributions in *total* are below zero; only told within a window."""

    until: int | None = None
    """Until then, time alone changes no answer; None for ever."""

    first: int | None = None
    """Within a window: nothing in *total* is older. As long as it counts, the total is true."""


class Ahead(NamedTuple):
    """What will fall out of a window, in order of time."""

    rows: Sequence[Contribution]
    end: int | None
    """All there is up to then is among *rows*; None when they are all."""


def passed(steps: Sequence[int], total: int) -> int:
    """How many of the sorted *steps* are reached."""
    return bisect_right(steps, total)


def add(tally: Tally, at: int, amount: int) -> None:
    """Add what was contributed at *at*, if it counts."""
    if tally.since is None:
        tally.total += amount
    elif at > tally.since:
        tally.total += amount
        if amount < 0:
            tally.negatives += 1
        if tally.first is None or at < tally.first:
            tally.first = at


def is_true(tally: Tally, within: int, now: int) -> bool:
    """Whether nothing in the total has fallen out of the window."""
    return tally.first is None or tally.first > now - within


def trust(tally: Tally, within: int, steps: Sequence[int]) -> None:
    """A total that is true stays so until its first contribution falls out."""
    shrinks = tally.negatives or passed(steps, tally.total)
    tally.until = tally.first + within if shrinks and tally.first is not None else None


def drop(tally: Tally, fallen: Sequence[Contribution]) -> None:
    """Take out what fell out of the window."""
    for _, amount in fallen:
        tally.total -= amount
        tally.negatives -= amount < 0


def settled(tally: Tally, since: int, within: int, ahead: Ahead, steps: Sequence[int]) -> Tally:
    """*tally*, from which all up to *since* was dropped, and until when it can be trusted."""
    until = _until(tally, within, ahead, steps)
    first = ahead.rows[0].at if ahead.rows else since
    return Tally(tally.total, since, tally.negatives, until, first)


def _until(tally: Tally, within: int, ahead: Ahead, steps: Sequence[int]) -> int | None:
    before = passed(steps, tally.total)
    if before == 0 and not tally.negatives:
        return None  # it can only become less
    total = tally.total
    for at, amount in ahead.rows:
        if ahead.end is not None and at > ahead.end:
            break
        total -= amount
        if passed(steps, total) != before:
            return at + within
    return None if ahead.end is None else ahead.end + within
