"""A message id is remembered for as long as a client may send it again, and then forgotten."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import msgspec
import pytest
from msgspec import Raw

from martech.kernel.clock import TestClock
from martech.kernel.errors import Invalid
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.settings import Settings
from martech.modules.tracking.contract import Counts
from martech.modules.tracking.domain import memory
from martech.modules.tracking.domain.bodies import Parcel
from martech.modules.tracking.module import module as tracking
from martech.modules.tracking.service import Intake
from tests.modules.tracking.items import item

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


class Sender:
    def __init__(self, host: Host, clock: TestClock) -> None:
        self.host, self.clock, self.tenant = host, clock, uuid4()
        self.jobs = Jobs(host)
        intake = host.resources["tracking"][Intake]
        assert isinstance(intake, Intake)
        self.intake = intake

    async def send(self, *items: dict[str, object], tenant: UUID | None = None) -> None:
        parcel = Parcel([Raw(msgspec.json.encode(told)) for told in items])
        await self.intake.receive(tenant or self.tenant, parcel)

    async def pass_days(self, days: int) -> None:
        self.clock.move(days * DAY)
        await self.jobs.settle()

    async def counts(self) -> Counts:
        async with self.host.unit("tracking", self.tenant, write=False) as service:
            counts: Counts = await service.counts()
            return counts


@pytest.fixture
async def sender(tracking_url: str) -> AsyncIterator[Sender]:
    clock = TestClock(datetime(2026, 11, 21, 12, tzinfo=UTC))
    settings = Settings(database_url=tracking_url)
    async with Host([tracking], settings, clock=clock) as host:
        yield Sender(host, clock)


async def test_a_repetition_is_known_within_the_retention_and_not_after_it(sender: Sender) -> None:
    many = [item(messageId=f"m{n}") for n in range(200)]  # in every slice
    await sender.send(*many)
    await sender.pass_days(memory.RETENTION)
    await sender.send(*many)
    assert (await sender.counts()).duplicate == 200
    await sender.pass_days(2)
    await sender.send(*many)
    assert (await sender.counts()).accepted == 400
    await sender.pass_days(memory.RETENTION + 2)
    await sender.send(*many)
    assert (await sender.counts()).accepted == 600, "forgetting goes on"


async def test_rejections_are_forgotten_too_and_counts_never(sender: Sender) -> None:
    await sender.send(item(event=None))
    await sender.pass_days(memory.RETENTION + 2)
    async with sender.host.unit("tracking", sender.tenant, write=False) as service:
        assert (await service.rejections()).data == []
    assert (await sender.counts()).rejected == 1


async def test_a_tenant_chooses_how_long(sender: Sender) -> None:
    async with sender.host.unit("tracking", sender.tenant) as service:
        assert (await service.retention()).days == memory.RETENTION
        await service.retain(7)
        assert (await service.retention()).days == 7
    await sender.send(item(messageId="a"))
    await sender.pass_days(9)
    await sender.send(item(messageId="a"))
    assert (await sender.counts()).accepted == 2


@pytest.mark.parametrize("days", [-1, 0, memory.SHORTEST - 1, memory.LONGEST + 1, 10**9])
async def test_shorter_than_a_client_retries_is_refused(sender: Sender, days: int) -> None:
    async with sender.host.unit("tracking", sender.tenant) as service:
        with pytest.raises(Invalid):
            await service.retain(days)


async def test_what_one_tenant_forgets_another_keeps(sender: Sender) -> None:
    other = uuid4()
    await sender.send(item(messageId="a"), tenant=other)
    await sender.send(item(messageId="a"))
    async with sender.host.unit("tracking", sender.tenant) as service:
        await service.retain(7)
    await sender.pass_days(9)
    await sender.send(item(messageId="a"), tenant=other)
    await sender.send(item(messageId="a"))
    assert (await sender.counts()).accepted == 2
    sender.tenant = other
    counts = await sender.counts()
    assert (counts.accepted, counts.duplicate) == (1, 1)


def test_the_slices_cover_every_digest_once() -> None:
    edges = [memory.Forget(slice=n).digests() for n in range(memory.SLICES)]
    assert edges[0][0] <= bytes(16)
    assert edges[-1][1] > b"\xff" * 16
    assert all(end == start for (_, end), (start, _) in pairwise(edges))
