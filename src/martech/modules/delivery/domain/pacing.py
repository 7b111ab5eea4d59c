"""How many messages may go now. Pure.

A send with a rate keeps one moment: up to when its rate is used up. A claim moves it forward by
what it takes, so that all lanes together keep to the rate, and nobody sleeps with mails in hand.
Whoever takes less than a worthwhile number is told to come again: a claim costs the same for one
message as for twenty.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

TICK = timedelta(seconds=0.2)
"""What may go at once after a pause: as much as belongs to this long, and one at least."""

WORTHWHILE = TICK / 2
"""What a claim waits for: as much as belongs to this long, and one at least. Half of what may go at
once, so that a claim that comes late loses nothing of the rate."""

SKEW = timedelta(seconds=5)
"""By so much the clocks of two hosts may differ: what a rate is used up beyond that, in the time to
come, was written before a clock was set back, and is not waited for."""


class Pace(NamedTuple):
    most: int
    """Messages that may be claimed now."""

    used_until: datetime
    """Up to when the rate is used up, before any of them."""

    again_at: datetime | None
    """When it is worth claiming again; None without a rate."""


def pace(rate: float, used_until: datetime | None, now: datetime, most: int) -> Pace:
    one = timedelta(seconds=1 / rate)
    burst = max(TICK, one)
    start = now - burst if used_until is None else max(used_until, now - burst)
    if start > now + SKEW:
        start = now
    free = int((now - start) / one + 1e-9)
    worthwhile = min(most, max(1, int(WORTHWHILE / one)))
    going = min(most, free) if free >= worthwhile else 0
    return Pace(going, start, start + one * (going + worthwhile))


def used(pace: Pace, rate: float, taken: int) -> datetime:
    """The moment after *taken* of them were claimed."""
    return pace.used_until + taken * timedelta(seconds=1 / rate)
