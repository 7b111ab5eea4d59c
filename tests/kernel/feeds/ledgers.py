"""Ledgers as the cases need them: functions, so that another process can make them too."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from martech.kernel.errors import Unavailable
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
    return [shop, replace(ledger, subscriptions=[write_sales_down, write_sales_again])]


class Divided(LedgerService):
    async def write(self, what: Sequence[str], numbers: Sequence[int]) -> None:
        if any(each.startswith("again") for each in what):
            raise Unavailable("What the second subscription needs is away.")
        await super().write(what, numbers)


def divided() -> Sequence[Module]:
    """Of two subscriptions the second can do nothing."""
    return [shop, replace(twofold()[1], service=Divided)]


class Superstitious(LedgerService):
    async def write(self, what: Sequence[str], numbers: Sequence[int]) -> None:
        if REFUSED in numbers:
            raise ValueError("not that number")
        await super().write(what, numbers)


def superstitious() -> Sequence[Module]:
    """A ledger that refuses one number, always."""
    return [shop, replace(ledger, service=Superstitious)]


class Hesitant(LedgerService):
    refused: ClassVar = False

    async def write(self, what: Sequence[str], numbers: Sequence[int]) -> None:
        if numbers == [REFUSED] and not Hesitant.refused:
            Hesitant.refused = True
        elif REFUSED not in numbers or len(numbers) == 1:
            await super().write(what, numbers)
            return
        raise ValueError("not now")


def hesitant() -> Sequence[Module]:
    """A ledger that takes one number only alone, and in each process at the second attempt."""
    return [shop, replace(ledger, service=Hesitant)]
