"""Fruits: what grows, and when it is ripe."""

from typing import Protocol
from uuid import UUID

from martech.kernel.messages import Event, View


class Fruit(View, frozen=True):
    id: UUID
    name: str
    ripe: bool


class FruitRipened(Event, frozen=True):
    SUBJECT = "fruit_id"

    fruit_id: UUID


class Fruits(Protocol):
    async def get(self, fruit_id: UUID) -> Fruit: ...
