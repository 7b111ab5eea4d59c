"""How many messages may go now. Pure.

A send with a rate keeps one moment: up to when its rate is used up. A claim moves it forward by
what it takes, so that all lanes together keep to the rate, and nobody sleeps with mails in hand.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

TICK = timedelta(seconds=0.1)
"""What may go at once after a pause: as much as belongs to this long, and one at least."""


class Pace(NamedTuple):
    most: int
    """Messages that may be claimed now."""

    used_until: datetime
    """Up to when the rate is used up, before any of them."""

    again_at: datetime | None
    """When the next one may go; None without a rate."""


def pace(rate: float, used_until: datetime | None, now: datetime, most: int) -> Pace:
    one = timedelta(seconds=1 / rate)
    burst = max(TICK, one)
    start = now - burst if used_until is None else max(used_until, now - burst)
    free = max(0, min(most, int((now - start) / one + 1e-9)))
    return Pace(free, start, start + one * (free + 1))


def used(pace: Pace, rate: float, taken: int) -> datetime:
    """The moment after *taken* of them were claimed."""
    return pace.used_until + taken * timedelta(seconds=1 / rate)
