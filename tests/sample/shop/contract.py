"""A shop, for tests of the kernel: it sells, and tells of it one by one and folded."""

from typing import ClassVar, Protocol

from martech.kernel.messages import Event, Folded, Item, View, upcast


class Stock(View, frozen=True):
    left: int


class Sale(Item, frozen=True):
    SUBJECT: ClassVar[str] = "buyer"

    buyer: str
    number: int


class Sold(Folded, frozen=True):
    items: list[Sale]


class PriceChanged(Event, frozen=True):
    SUBJECT: ClassVar[str] = "article"

    article: str
    version: int


class SaleV2(Item, frozen=True):
    SUBJECT: ClassVar[str] = "customer"

    customer: str
    number: int


class SoldV2(Folded, frozen=True):
    items: list[SaleV2]


class PriceChangedV2(Event, frozen=True):
    SUBJECT: ClassVar[str] = "article"

    article: str
    change: int


class PriceChangedV3(Event, frozen=True):
    SUBJECT: ClassVar[str] = "article"

    article: str
    change: int
    why: str


@upcast(Sold, SoldV2)
def with_customer(sale: Sale) -> SaleV2:
    return SaleV2(customer=sale.buyer, number=sale.number)


@upcast(PriceChanged, PriceChangedV2)
def with_change(event: PriceChanged) -> PriceChangedV2:
    return PriceChangedV2(article=event.article, change=event.version)


@upcast(PriceChangedV2, PriceChangedV3)
def with_reason(event: PriceChangedV2) -> PriceChangedV3:
    """A price of nothing is nobody's: the test's poison."""
    if not event.article:
        raise ValueError("nothing has no price")
    return PriceChangedV3(article=event.article, change=event.change, why="told before")


class Shop(Protocol):
    async def stock(self) -> Stock: ...
