"""How many fruits a basket takes."""

from uuid import UUID

from martech.kernel.errors import Conflict
from martech.kernel.messages import Command

ROOM = 12


class SendBasket(Command, frozen=True):
    basket_id: UUID


def put(fruits: list[UUID], fruit: UUID) -> list[UUID]:
    if len(fruits) == ROOM:
        raise Conflict(f"A basket takes {ROOM} fruits; send this one and begin another.")
    return [*fruits, fruit]
