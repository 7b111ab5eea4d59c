"""What the shop tells, in the process of the test."""

from martech.kernel.host import Host
from martech.kernel.outbox import Origin, Publisher, Told, rows_of
from tests.chaos.loads import TENANT
from tests.sample.shop.contract import Sale, Sold


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


async def tell_bytes(shop: Host, data: bytes) -> None:
    """A sale as a broken producer might have written it."""
    database = shop.databases["shop"]
    (row,) = rows_of([Told(TENANT, Sold(items=[Sale("ada", 0)]), Origin())], shop.clock.now())
    async with database.across() as connection:
        spoilt = {**row, "data": data, "size": len(data)}
        await Publisher().append(connection, database.metadata, [spoilt])
