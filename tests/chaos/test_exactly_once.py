"""M4: the effect of an event happens exactly once, however often the bus is killed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from sqlalchemy import func, select

from martech.kernel.bus import Bus, Delivery
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases
from tests.chaos.children import carry
from tests.chaos.defects import MovesCursorAlone
from tests.chaos.history import GuaranteeBroken, History, insist
from tests.chaos.loads import TENANT, lines
from tests.chaos.processes import KILLED, Child
from tests.sample.ledger import tables

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]

PLACES = ("bus.before_handle", "bus.before_cursor", "unit.before_commit", "unit.after_commit")


@dataclass
class Trial:
    """A bus that is killed in the middle, at a place or at a moment, until nothing is left."""

    url: str
    delivery: type[Delivery]
    batch: int
    seed: random.Random
    places: Sequence[str] = PLACES
    history: History = field(default_factory=History)
    kills: int = 0
    progress: int = 0

    async def tell(self, events: int) -> None:
        """The shop sells, some here and some there, some many at once."""
        async with Host(databases.SAMPLE, Settings(database_url=self.url)) as host:
            first = 0
            while first < events:
                after = min(events, first + self.seed.randint(1, 4 * self.batch))
                async with host.unit("shop", TENANT) as shop:
                    await shop.sell(range(first, after), f"buyer {self.seed.randrange(9)}")
                self.history.attempt(*range(first, after))
                self.history.acknowledge(*range(first, after))
                first = after

    async def run(self, kills: int) -> None:
        async with Host(databases.SAMPLE, Settings(database_url=self.url)) as host:
            while self.kills < kills:
                await (self.die_at_a_place() if self.kills % 2 else self.die_at_a_moment(host))
                self.kills += 1
            before = len(await lines(host))
            bus = Bus(host, delivery=self.delivery)
            await bus.settle()
            heard = await lines(host)
            self.progress = len(heard) - before
            insist(
                faults=self.kills,
                wanted=kills,
                tried=len(heard),
                planned=len(self.history.attempted),
                progress=min(before, self.progress),  # some before the last kill, some after it
                outstanding=sum([await delivery.lag() for delivery in bus.deliveries]),
            )
        self.history.compare(number for _, number in heard).hold()

    async def die_at_a_place(self) -> None:
        plan = f"{self.seed.choice(self.places)}=kill@{self.seed.randint(1, 6)}"
        child = Child(carry, self.url, plan, self.batch, self.delivery)
        assert await child.ended() == KILLED, "the place was never reached: too little to do"

    async def die_at_a_moment(self, host: Host) -> None:
        """When so many more were handled, or all: on a fast machine as on a slow one."""
        child = Child(carry, self.url, "", self.batch, self.delivery)
        more = await handled(host) + self.seed.randint(1, 3 * self.batch)
        while await handled(host) < min(more, len(self.history.attempted)):
            pass
        await child.kill()


async def handled(host: Host) -> int:
    """As `len(lines(host))`, which reads them all."""
    async with host.databases["ledger"].across(write=False) as connection:
        counted = await connection.execute(select(func.count()).select_from(tables.lines))
        return int(counted.scalar_one())


async def test_an_effect_happens_once_however_often_the_bus_is_killed(
    sample_url: str, full: bool
) -> None:
    events, kills, batch = (50_000, 200, 50) if full else (1000, 6, 10)
    trial = Trial(sample_url, Delivery, batch, random.Random(4))
    await trial.tell(events)
    await trial.run(kills)


@pytest.mark.planted
async def test_a_cursor_moved_in_its_own_transaction_is_found_out(
    sample_url: str, full: bool
) -> None:
    events, kills, batch = (50_000, 200, 50) if full else (1000, 6, 10)
    places = ["bus.before_cursor"]
    trial = Trial(sample_url, MovesCursorAlone, batch, random.Random(4), places)
    await trial.tell(events)
    with pytest.raises(GuaranteeBroken, match=r"duplicated [1-9]"):
        await trial.run(kills)
