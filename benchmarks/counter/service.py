"""What the counter does."""

from collections import Counter as Counted
from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from benchmarks.counter.contract import Counter
from benchmarks.counter.tables import counts, lags
from martech.kernel.db import Transaction


class CounterService(Counter):
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    async def add(self, seen: Mapping[str, int]) -> None:
        rows = [{"tenant": self.tx.tenant, "event": e, "seen": n} for e, n in seen.items()]
        await self.tx.upsert(counts, rows, keys=["tenant", "event"], add=["seen"])

    async def late(self, what: str, seconds: Sequence[float]) -> None:
        """Note how late something was heard of, in buckets of ten milliseconds."""
        buckets = Counted(int(late * 100) * 10 + 10 for late in seconds)
        fixed = {"tenant": self.tx.tenant, "what": what}
        rows = [{**fixed, "edge": e, "seen": n} for e, n in buckets.items()]
        await self.tx.upsert(lags, rows, keys=["tenant", "what", "edge"], add=["seen"])

    async def seen(self) -> int:
        total = select(func.sum(counts.c.seen)).where(counts.c.tenant == self.tx.tenant)
        return (await self.tx.execute(total)).scalar_one() or 0
