from collections.abc import Sequence

from sqlalchemy import distinct, func, insert, select

from martech.kernel.db import Transaction
from tests.sample.ledger.contract import Books, Ledger
from tests.sample.ledger.tables import lines
from tests.sample.shop.contract import Shop


class LedgerService(Ledger):
    def __init__(self, tx: Transaction, shop: Shop) -> None:
        self.tx = tx
        self.shop = shop

    async def books(self) -> Books:
        query = select(func.count(), func.count(distinct(lines.c.number))).where(
            lines.c.tenant == self.tx.tenant
        )
        total, different = (await self.tx.execute(query)).one()
        return Books(lines=total, distinct=different)

    async def write(self, what: Sequence[str], numbers: Sequence[int]) -> None:
        rows = [
            {"tenant": self.tx.tenant, "what": w, "number": n}
            for w, n in zip(what, numbers, strict=True)
        ]
        await self.tx.execute(insert(lines), rows)

    async def read(self) -> list[tuple[str, int]]:
        """Everything written, in the order of writing."""
        mine = select(lines.c.what, lines.c.number).where(lines.c.tenant == self.tx.tenant)
        rows = await self.tx.execute(mine.order_by(lines.c.id))
        return [(row.what, row.number) for row in rows]

    async def stock_first(self) -> int:
        """Ask, then write: the right order."""
        left = (await self.shop.stock()).left
        await self.write(["stock"], [left])
        return left

    async def stock_last(self) -> int:
        """Write, then ask: refused by the kernel."""
        await self.write(["stock"], [0])
        return (await self.shop.stock()).left
