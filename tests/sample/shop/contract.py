"""A shop, for tests of the kernel: it sells, and tells of it one by one and folded."""

from typing import ClassVar, Protocol

from martech.kernel.messages import Event, Folded, Item, View


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


class Shop(Protocol):
    async def stock(self) -> Stock: ...
