from collections.abc import Sequence

from martech.kernel.module import on
from tests.sample.ledger.service import LedgerService
from tests.sample.shop.contract import PriceChanged, Sale, Sold


@on(Sold)
async def write_sales_down(sales: Sequence[Sale], ledger: LedgerService) -> None:
    await ledger.write([sale.buyer for sale in sales], [sale.number for sale in sales])


@on(PriceChanged)
async def write_price_down(event: PriceChanged, ledger: LedgerService) -> None:
    await ledger.write([event.article], [event.version])
