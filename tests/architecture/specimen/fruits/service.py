"""What fruits does."""

from uuid import UUID

from martech.modules.fruits import domain
from martech.modules.fruits.contract import Fruit, Fruits
from martech.modules.fruits.tables import FRUITS
from sqlalchemy import select

from martech.kernel.db import Transaction
from martech.kernel.errors import NotFound


class FruitService(Fruits):
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    async def get(self, fruit_id: UUID) -> Fruit:
        found = await self.tx.execute(
            select(FRUITS).where(FRUITS.c.tenant == self.tx.tenant, FRUITS.c.id == fruit_id)
        )
        row = found.one_or_none()
        if row is None:
            raise NotFound(f"There is no fruit {fruit_id}.")
        return Fruit(id=row.id, name=row.name, ripe=domain.is_ripe(row.planted, self.tx.now))
