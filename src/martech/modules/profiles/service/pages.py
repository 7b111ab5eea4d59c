"""Where a page ends, however many rows there are and however much is in them."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

LOOKED_THROUGH = 5_000
"""Rows among which one page looks for those it shows: so long, on SQLite, everybody else waits."""

BYTES = 4 * 1024 * 1024
"""What the rows of a page weigh together, but for a single one that weighs more."""


def fitting(weights: Sequence[int]) -> int:
    """How many rows make a page that has room for so many."""
    return max(bisect_right(list(accumulate(weights)), BYTES), min(1, len(weights)))
