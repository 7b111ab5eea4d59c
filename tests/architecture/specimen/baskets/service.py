"""What baskets does."""

from uuid import UUID

import msgspec
from martech.modules.baskets import domain
from martech.modules.baskets.contract import Basket, Baskets, BasketSent
from martech.modules.baskets.tables import BASKETS
from martech.modules.fruits.contract import Fruits
from sqlalchemy import select, update

from martech.kernel.db import Transaction
from martech.kernel.errors import NotFound


class BasketService(Baskets):
    def __init__(self, tx: Transaction, fruits: Fruits) -> None:
        self.tx = tx
        self.fruits = fruits

    async def get(self, basket_id: UUID) -> Basket:
        found = await self.tx.execute(
            select(BASKETS).where(BASKETS.c.tenant == self.tx.tenant, BASKETS.c.id == basket_id)
        )
        row = found.one_or_none()
        if row is None:
            raise NotFound(f"There is no basket {basket_id}.")
        return Basket(id=row.id, fruits=msgspec.convert(row.fruits, list[UUID]))

    async def put(self, basket_id: UUID, fruit_id: UUID) -> Basket:
        fruit = await self.fruits.get(fruit_id)
        basket = await self.get(basket_id)
        filled = domain.put(basket.fruits, fruit.id)
        await self._change(basket_id, fruits=filled)
        self.tx.enqueue(domain.SendBasket(basket_id=basket_id))
        return Basket(id=basket_id, fruits=filled)

    async def follow_ripening(self, fruit_id: UUID) -> None:
        self.tx.audit("fruit.ripened", str(fruit_id))

    async def finish(self, basket_id: UUID) -> None:
        await self._change(basket_id, sent=True)
        self.tx.publish(BasketSent(basket_id=basket_id))

    async def _change(self, basket_id: UUID, **values: object) -> None:
        await self.tx.execute(
            update(BASKETS)
            .where(BASKETS.c.tenant == self.tx.tenant, BASKETS.c.id == basket_id)
            .values(**values)
        )
