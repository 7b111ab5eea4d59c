"""What other modules saw is tracked like everything else."""

from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import pytest

from martech.kernel.errors import Invalid
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from martech.modules.tracking.contract import EventsTracked, Occurrence, Tally, Tracking
from martech.modules.tracking.module import module as tracking

pytestmark = pytest.mark.anyio

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def occurrence(message_id: str, **more: object) -> Occurrence:
    said = {"user_id": "ada", "event": "Email Opened", "timestamp": AT, **more}
    return Occurrence(message_id=message_id, **said)  # type: ignore[arg-type]


async def test_an_occurrence_is_told_like_an_event_that_came_over_http(tracking_url: str) -> None:
    async with Host([tracking], Settings(database_url=tracking_url)) as host:
        port = host.port(Tracking, tenant := uuid4())
        tally = await port.track([occurrence("1", properties={"email_id": "x"})])
        assert tally == Tally(received=1, accepted=1, duplicate=0, rejected=0)
        (record,) = await host.feed("tracking").read(after=0, types=["tracking.events_tracked.v1"])
        (event,) = msgspec.json.decode(record.data, type=EventsTracked).items
    assert record.tenant == tenant
    assert (event.user_id, event.event, event.timestamp) == ("ada", "Email Opened", AT)
    assert msgspec.json.decode(event.properties) == {"email_id": "x"}


async def test_the_same_told_again_is_a_duplicate_and_nobodys_is_rejected(
    tracking_url: str,
) -> None:
    async with Host([tracking], Settings(database_url=tracking_url)) as host:
        port = host.port(Tracking, uuid4())
        await port.track([occurrence("1")])
        tally = await port.track([occurrence("1"), occurrence("2"), occurrence("3", user_id=None)])
        assert tally == Tally(received=3, accepted=1, duplicate=1, rejected=1)
        counts = await port.counts()
        assert (counts.received, counts.accepted, counts.duplicate, counts.rejected) == (4, 2, 1, 1)
        assert await port.track([]) == Tally()


async def test_no_more_than_one_fold_is_taken_at_once(tracking_url: str) -> None:
    async with Host([tracking], Settings(database_url=tracking_url)) as host:
        with pytest.raises(Invalid):
            await host.port(Tracking, uuid4()).track([occurrence(str(n)) for n in range(501)])
