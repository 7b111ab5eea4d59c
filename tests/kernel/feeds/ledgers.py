"""Ledgers as the cases need them: functions, so that another process can make them too."""

from collections.abc import Sequence
from dataclasses import replace

from martech.kernel.module import Module, on
from tests.sample.ledger.handlers import write_sales_down
from tests.sample.ledger.module import module as ledger
from tests.sample.ledger.service import LedgerService
from tests.sample.shop.contract import Sale, Sold
from tests.sample.shop.module import module as shop

REFUSED = 13


def plain() -> Sequence[Module]:
    return [shop, ledger]


@on(Sold)
async def write_sales_again(sales: Sequence[Sale], ledger: LedgerService) -> None:
    await ledger.write([f"again {sale.buyer}" for sale in sales], [sale.number for sale in sales])


def twofold() -> Sequence[Module]:
    """Two subscriptions hear of the same sales."""
    both = [write_sales_down, write_sales_again]
    return [shop, replace(ledger, subscriptions=both)]


class Superstitious(LedgerService):
    async def write(self, what: Sequence[str], numbers: Sequence[int]) -> None:
        if REFUSED in numbers:
            raise ValueError("not that number")
        await super().write(what, numbers)


def superstitious() -> Sequence[Module]:
    """A ledger that refuses one number, always."""
    return [shop, replace(ledger, service=Superstitious)]
