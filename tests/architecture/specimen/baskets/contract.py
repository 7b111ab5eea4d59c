"""Baskets: which fruits go where."""

from typing import Protocol
from uuid import UUID

from martech.kernel.messages import Event, View


class Basket(View, frozen=True):
    id: UUID
    fruits: list[UUID]


class BasketSent(Event, frozen=True):
    SUBJECT = "basket_id"

    basket_id: UUID


class Baskets(Protocol):
    async def get(self, basket_id: UUID) -> Basket: ...
