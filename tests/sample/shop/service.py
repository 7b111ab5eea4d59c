from collections.abc import Sequence

from sqlalchemy import func, select

from martech.kernel.db import Transaction
from tests.sample.shop.contract import PriceChanged, Sale, Shop, Sold, Stock
from tests.sample.shop.tables import prices, sales


class ShopService(Shop):
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    async def stock(self) -> Stock:
        mine = select(func.count()).select_from(sales).where(sales.c.tenant == self.tx.tenant)
        return Stock(left=1000 - (await self.tx.execute(mine)).scalar_one())

    async def change_price(self, article: str) -> int:
        """One higher than the last version, and told."""
        row = {"tenant": self.tx.tenant, "article": article, "version": 1}
        await self.tx.upsert(prices, [row], keys=["tenant", "article"], add=["version"])
        now = select(prices.c.version).where(
            prices.c.tenant == self.tx.tenant, prices.c.article == article
        )
        version = int((await self.tx.execute(now)).scalar_one())
        self.tx.publish(PriceChanged(article=article, version=version))
        return version

    async def sell(self, numbers: Sequence[int], buyer: str = "ada") -> list[int]:
        """Sell *numbers* to *buyer*; those sold before are left out. One folded event."""
        rows = [{"tenant": self.tx.tenant, "number": n, "buyer": buyer} for n in numbers]
        new = sorted(r.number for r in await self.tx.insert_new(sales, rows, returning=["number"]))
        if new:
            self.tx.publish(Sold(items=[Sale(buyer=buyer, number=n) for n in new]))
        return new

    async def sell_each(self, orders: Sequence[int]) -> list[int]:
        """The use case of a group commit: each order is a number; the result says if it was new."""
        new = set(await self.sell(orders))
        return [int(n in new) for n in orders]
