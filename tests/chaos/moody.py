"""A ledger that fails on purpose, and remembers every time it was asked."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from martech.kernel.errors import Unavailable
from martech.kernel.module import Module
from tests.sample.ledger.module import module as ledger
from tests.sample.ledger.service import LedgerService
from tests.sample.shop.module import module as shop

RAISES, HANGS = -1, -2


class Mood:
    """What goes wrong, and what was asked: ``(numbers)`` for each call, in order."""

    def __init__(self) -> None:
        self.away = False
        self.calls: list[tuple[int, ...]] = []

    def alone(self, number: int) -> list[int]:
        """At which calls *number* was asked for by itself."""
        return [turn for turn, numbers in enumerate(self.calls) if numbers == (number,)]


def moody(mood: Mood) -> list[Module]:
    """The shop, and a ledger in that mood."""

    class MoodyLedger(LedgerService):
        async def write(self, what: Sequence[str], numbers: Sequence[int]) -> None:
            mood.calls.append(tuple(numbers))
            if mood.away:
                raise Unavailable("What the ledger needs is away.")
            await super().write(what, numbers)
            if RAISES in numbers:
                raise ValueError("it raises, always")
            if HANGS in numbers:
                await asyncio.Event().wait()

    return [shop, replace(ledger, service=MoodyLedger)]
