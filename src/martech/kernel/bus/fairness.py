"""Whoever fails holds up nobody else for long.

a batch    the first that fail are found one by one, by halves; then patience with their tenant
           is over: the rest of its facts is set aside at once, and the others' go on
due again  a portion of a tenant's, then one of the next tenant's, until the step's time is up;
           what was never tried goes together, by halves where that fails
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row

ENOUGH = 8  # facts of a tenant that failed one by one
LONG = 8  # batches for which patience with it is over then
MOST = 32  # facts of a batch, whoever's, that failed one by one

Key = tuple[UUID, str]


class Patience:
    """With whom it is over. Each batch that comes wins a little of it back; a fact that hangs, and
    so takes the others' time, loses all of it."""

    def __init__(self) -> None:
        self._failed = Counter[UUID]()
        self._alone = 0

    def next_batch(self) -> None:
        self._alone = 0
        if self._failed:
            self._failed -= Counter(self._failed.keys())

    def has_failed(self, tenant: UUID, error: Exception) -> None:
        """A fact of *tenant*, handled by itself, came to *error*."""
        self._alone += 1
        failed = self._failed[tenant] + (ENOUGH if isinstance(error, TimeoutError) else 1)
        self._failed[tenant] = failed if failed < ENOUGH else ENOUGH + LONG

    def ends_with(self, tenants: Iterable[UUID]) -> None:
        for tenant in tenants:
            self._failed[tenant] = max(self._failed[tenant], ENOUGH)

    @property
    def over(self) -> frozenset[UUID]:
        """Of whom nothing is tried in this batch any more."""
        return frozenset(tenant for tenant, failed in self._failed.items() if failed >= ENOUGH)

    @property
    def is_exhausted(self) -> bool:
        """Whether in this batch nobody's facts are looked for one by one any more."""
        return self._alone >= MOST


class Turns:
    """Whose turn it is among the rows that are due again."""

    def __init__(self, most: int) -> None:
        """*most* rows are tried together."""
        self._most = most
        self._sizes: dict[UUID, int] = {}
        self._last = UUID(int=0)
        self._waiting = defaultdict[UUID, deque[Row[Any]]](deque)
        self._failed = set[Key]()

    def begin(self, rows: Sequence[Row[Any]]) -> None:
        """A step, in which *rows* are due, each tenant's in the order of the source."""
        self._failed.clear()
        self._waiting.clear()
        for row in rows:
            self._waiting[row.tenant].append(row)

    def next(self) -> Sequence[Row[Any]]:
        """What is to be tried together now; nothing when all had their turns."""
        while self._waiting:
            self._last = min(self._waiting, key=lambda tenant: (tenant <= self._last, tenant))
            portion = self._portion(self._last)
            if portion:
                return portion
            del self._waiting[self._last]
        return ()

    def done(self, portion: Sequence[Row[Any]]) -> None:
        tenant = portion[0].tenant
        self._sizes[tenant] = min(self._most, 2 * self._size(tenant))

    def failed(self, portion: Sequence[Row[Any]]) -> None:
        """Tried together they are tried again by halves, before anything else of their tenant's;
        what failed alone is waited for by what stands behind it."""
        first = portion[0]
        if len(portion) == 1:
            self._failed.add((first.tenant, first.subject))
            return
        self._sizes[first.tenant] = len(portion) // 2
        self._waiting[first.tenant].extendleft(reversed(portion))

    def _portion(self, tenant: UUID) -> list[Row[Any]]:
        waiting, portion = self._waiting[tenant], list[Row[Any]]()
        while waiting and len(portion) < self._size(tenant):
            row = waiting[0]
            if not row.subject or (tenant, row.subject) not in self._failed:
                if portion and not _go_together(portion[0], row):
                    break
                portion.append(row)
            waiting.popleft()
        return portion

    def _size(self, tenant: UUID) -> int:
        return self._sizes.get(tenant, self._most)


def _go_together(one: Row[Any], other: Row[Any]) -> bool:
    """Whether neither was tried before, and what holds for the one holds for the other."""
    untried = one.attempts == other.attempts == 0
    alike = (one.replaying, one.heard_before) == (other.replaying, other.heard_before)
    return untried and alike
