"""Planted defects of delivery: each does what the product must not."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from martech.modules.delivery.contract import State
from martech.modules.delivery.domain.claims import Claim, Forbidden
from martech.modules.delivery.domain.outcomes import Accepted, Ambiguous, NotTried
from martech.modules.delivery.domain.sends import Held
from martech.modules.delivery.domain.settling import Result, Settled
from martech.modules.delivery.service import DeliveryService

DONE = Accepted("taken for granted")


class ChecksOffWhatItReads(DeliveryService):
    """A batch counts as sent when it is read (E1)."""

    async def claim(self, held: Held, lane: int, most: int) -> Claim:
        claim = await super().claim(held, lane, most)
        await super().settle(held, lane, {}, otherwise=DONE, retry=timedelta())
        return claim


class SendsAgain(DeliveryService):
    """A connection that broke is taken for a failure, and the mail is sent again (E4)."""

    async def settle(
        self,
        held: Held,
        lane: int,
        results: Mapping[UUID, Result],
        *,
        otherwise: Result,
        retry: timedelta,
    ) -> None:
        again = NotTried("it broke")
        blind = {id_: again if isinstance(r, Ambiguous) else r for id_, r in results.items()}
        rest = again if isinstance(otherwise, Ambiguous) else otherwise
        await super().settle(held, lane, blind, otherwise=rest, retry=retry)


class LooksOnce(DeliveryService):
    """Who must not be written to is looked up when people are added, and never again (E5)."""

    async def _barred(
        self, due: Sequence[Any], people: Mapping[UUID, Any]
    ) -> dict[UUID, Forbidden]:
        return {}


class LooksAtMessagesOnly(DeliveryService):
    """Claims what is due, whatever became of its send meanwhile (E1)."""

    async def claim(self, held: Held, lane: int, most: int) -> Claim:
        status, held.status = held.status, "open"
        claim = await super().claim(held, lane, most)
        held.status = status
        return claim


class CountsNoRefusals(DeliveryService):
    """Who is refused is done with, however many were before them (E10)."""

    def _waiting_on(self, held: Held, row: Mapping[UUID, Settled]) -> dict[UUID, Settled]:
        return {}


class CountsWhenQueued(DeliveryService):
    """Whoever is added counts as delivered to, and what becomes of it changes nothing (E17)."""

    async def _add(self, held: Held, *more: Any) -> None:
        before = held.numbers["pending"]
        await super()._add(held, *more)
        held.move("delivered", held.numbers["pending"] - before)

    async def _conclude(self, held: Held, *more: Any, out_of: State) -> None:
        before = held.numbers["delivered"]
        await super()._conclude(held, *more, out_of=out_of)
        held.numbers["delivered"] = before
