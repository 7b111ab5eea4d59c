from datetime import datetime

from sqlalchemy import insert, select

from martech.kernel.db import Transaction
from martech.kernel.messages import Command
from tests.sample.kitchen.contract import Kitchen
from tests.sample.kitchen.tables import log


class KitchenService(Kitchen):
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    async def order(
        self, *commands: Command, at: datetime | None = None, key: str | None = None
    ) -> None:
        for command in commands:
            self.tx.enqueue(command, at=at, key=key)

    async def write(self, line: str) -> None:
        await self.tx.execute(insert(log), [{"tenant": self.tx.tenant, "line": line}])

    async def log(self) -> list[str]:
        mine = select(log.c.line).where(log.c.tenant == self.tx.tenant).order_by(log.c.id)
        return list((await self.tx.execute(mine)).scalars())
