"""What the shop tells, in the process of the test."""

from sqlalchemy import update

from martech.kernel.columns import table
from martech.kernel.host import Host
from tests.chaos.loads import TENANT


async def sell(shop: Host, first: int, after: int, buyer: str = "ada") -> None:
    """One event for each."""
    for number in range(first, after):
        await sell_folded(shop, number, number + 1, buyer)


async def sell_folded(shop: Host, first: int, after: int, buyer: str = "ada") -> None:
    """One event for all."""
    async with shop.unit("shop", TENANT) as service:
        await service.sell(range(first, after), buyer)


async def change_price(shop: Host, article: str, times: int) -> None:
    for _ in range(times):
        async with shop.unit("shop", TENANT) as service:
            await service.change_price(article)


async def spoil(shop: Host, position: int, data: bytes) -> None:
    """Have *data* stand in the outbox at *position*, whatever it is."""
    database = shop.databases["shop"]
    outbox = table(database.metadata, "outbox")
    async with database.across() as connection:
        change = update(outbox).where(outbox.c.position == position).values(data=data)
        await connection.execute(change)
