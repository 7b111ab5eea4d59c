"""A ledger that acts on what it writes down: inside, and out in the world."""

from collections.abc import Sequence
from dataclasses import replace

from martech.kernel.grouping import Groups
from martech.kernel.messages import Command, Event
from martech.kernel.module import Projection, Unit, job
from tests.sample.ledger.handlers import write_sales_down
from tests.sample.ledger.module import module as ledger
from tests.sample.ledger.service import LedgerService
from tests.sample.ledger.tables import lines
from tests.sample.shop.module import module as shop


class Expire(Command, frozen=True):
    """Inside: a projection that is built anew needs its expiries."""

    number: int


class Remind(Command, frozen=True):
    """Outside: whoever gets a reminder gets it once, whatever is built anew."""

    number: int


class Outside:
    """The world, which remembers everything."""

    def __init__(self, groups: Groups) -> None:
        self.reminded: list[int] = []


class RemindingLedger(LedgerService):
    async def write(self, what: Sequence[str], numbers: Sequence[int]) -> None:
        await super().write(what, numbers)
        for number in numbers:
            self.tx.enqueue(Expire(number=number))
            self.tx.enqueue(Remind(number=number))


class Written(Event, frozen=True):
    """For whoever else wants to know; once, too."""

    number: int


class TellingLedger(RemindingLedger):
    async def write(self, what: Sequence[str], numbers: Sequence[int]) -> None:
        await super().write(what, numbers)
        for number in numbers:
            self.tx.publish(Written(number=number))


@job(Expire, inward=True)
async def expire(command: Expire, ledger: RemindingLedger) -> None:
    """It is enough that it comes to this."""


@job(Remind)
async def remind(command: Remind, unit: Unit[RemindingLedger], outside: Outside) -> None:
    outside.reminded.append(command.number)


REMINDING = [
    shop,
    replace(ledger, service=RemindingLedger, jobs=[expire, remind], resources=[Outside]),
]

REBUILDING = [
    shop,
    replace(
        REMINDING[1],
        subscriptions=[write_sales_down],
        projections=[Projection(of=write_sales_down, tables=[lines])],
    ),
]
"""The lines follow from the sales alone, so they can be made anew."""

TELLING = [shop, replace(REMINDING[1], service=TellingLedger)]
