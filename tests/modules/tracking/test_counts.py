"""The counts are exact: in the same transaction as the effect, whoever sends at the same time."""

import asyncio
import random
from collections import Counter

import httpx
import msgspec
import pytest
from msgspec import Raw

from martech.kernel.errors import TooMany
from martech.modules.tracking.contract import EventsTracked, TrackedEvent
from martech.modules.tracking.domain.bodies import Parcel
from martech.modules.tracking.service import WAITING, Intake
from tests.modules.tracking.calling import Tracked
from tests.modules.tracking.items import item

pytestmark = pytest.mark.anyio


async def test_many_writers_with_overlapping_message_ids_are_counted_exactly(
    tracked: Tracked,
) -> None:
    dice = random.Random(7)
    sent: list[dict[str, object]] = []

    async def send() -> None:
        for _ in range(5):
            items = [
                item(messageId=f"m{dice.randrange(300)}", event=dice.choice(["x", "x", "x", None]))
                for _ in range(dice.randrange(1, 20))
            ]
            sent.extend(items)
            await tracked.batch(*items)

    await asyncio.gather(*(send() for _ in range(16)))
    good = [told["messageId"] for told in sent if told["event"]]
    distinct, bad = len(set(good)), len(sent) - len(good)
    assert await tracked.totals() == (len(sent), distinct, len(good) - distinct, bad)
    told = Counter(event.message_id for event in await tracked.told())
    assert set(told) == set(good)
    assert set(told.values()) == {1}


async def test_what_waits_together_is_committed_together(tracked: Tracked) -> None:
    await asyncio.gather(*(tracked.post("track", item(messageId=f"m{n}")) for n in range(64)))
    assert await tracked.totals() == (64, 64, 0, 0)
    assert len(await tracked.commits()) < 32


async def test_the_counts_survive_what_fails(tracked: Tracked) -> None:
    """A request that is refused as a whole is no received item."""
    answers: list[httpx.Response] = [
        await tracked.post("batch", b"{"),
        await tracked.post("batch", {"batch": [item()]}),
        await tracked.post("track", item(event=None)),
    ]
    assert [answer.status_code for answer in answers] == [400, 200, 400]
    assert await tracked.totals() == (2, 1, 0, 1)


async def test_a_fold_is_read_back_as_it_was_told(tracked: Tracked) -> None:
    await tracked.batch(item(messageId="é", properties={"n": 1.5, "x": ["ü", None]}, userId=7))
    (told,) = await tracked.commits()
    again = msgspec.json.decode(msgspec.json.encode(told), type=EventsTracked)
    (event,) = again.items
    assert isinstance(event, TrackedEvent)
    assert (event.message_id, event.user_id, event.person_key) == ("é", "7", "user:7")
    assert msgspec.json.decode(event.properties) == {"n": 1.5, "x": ["ü", None]}


async def test_when_too_much_waits_the_rest_is_told_to_come_back(tracked: Tracked) -> None:
    intake = tracked.served.host.resources["tracking"][Intake]
    assert isinstance(intake, Intake)
    parcel = Parcel([Raw(msgspec.json.encode(item()))])
    room = WAITING - WAITING // 4  # the last quarter is for tenants that have few there
    many = [intake.receive(tracked.tenant, parcel) for _ in range(room + 100)]
    outcomes = await asyncio.gather(*many, return_exceptions=True)
    turned_away = [outcome for outcome in outcomes if isinstance(outcome, TooMany)]
    assert len(turned_away) == 100
    assert all(refusal.retry_after for refusal in turned_away)
    assert await tracked.totals() == (room, room, 0, 0)
