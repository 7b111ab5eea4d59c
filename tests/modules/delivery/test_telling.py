"""What happens to mails is told: to the modules that listen, and to tracking as behaviour."""

from collections import Counter

import msgspec
import pytest

from martech.modules.delivery.domain.links import opened
from martech.modules.delivery.domain.telling import occurrence
from martech.modules.delivery.jobs import news
from martech.modules.delivery.service.engaging import Hit
from martech.modules.profiles.contract import Identity
from martech.modules.tracking.contract import EventsTracked, TrackedEvent, Tracking
from tests.modules.delivery.stand import Stand, standing
from tests.sinks.smtp import sink

pytestmark = pytest.mark.anyio


async def tracked(stand: Stand) -> list[TrackedEvent]:
    feed = stand.host.feed("tracking")
    told = await feed.read(after=0, types=["tracking.events_tracked.v1"], items=1000)
    return [
        each
        for record in told
        for each in msgspec.json.decode(record.data, type=EventsTracked).items
    ]


async def told(stand: Stand, kind: str) -> int:
    """Items of that kind that delivery has told."""
    records = await stand.host.feed("delivery").read(
        after=0, types=[f"delivery.{kind}.v1"], items=1000
    )
    return sum(record.items for record in records)


async def engage(stand: Stand, *kinds: str) -> None:
    """By everybody, each of *kinds*."""
    async with stand.service() as service:
        signer, messages = await service.signer(), (await service.messages()).data
        hits = []
        for message in messages:
            for kind in kinds:
                token = opened("u", signer.token("u", message.id)) if kind == "u" else None
                token = opened("o", signer.token("o", message.id)) if kind == "o" else token
                assert token is not None
                hits.append(Hit(token, counts=True))
        await service.engage(hits)


async def test_delivered_and_bounced_are_behaviour_named_by_the_persons_own_id(
    delivery_url: str,
) -> None:
    async with sink("rcpt:550:bob@*") as server, standing(delivery_url, server) as stand:
        send = await stand.to("ada", "bob")
        await stand.work()
        await stand.work(later=2)
        events = {event.event: event for event in await tracked(stand)}
        assert set(events) == {"Email Delivered", "Email Bounced"}
        delivered = events["Email Delivered"]
        properties = msgspec.json.decode(delivered.properties)
        message = (await stand.messages(send))["ada"]
        assert (delivered.user_id, delivered.timestamp) == ("ada", message.settled_at)
        assert properties["email_id"] == str(message.id)
        assert (properties["campaign_id"], properties["campaign_name"]) == ("1", "Winter")
        assert await told(stand, "message_sent") == 1
        assert await told(stand, "message_bounced") == 1


async def test_what_is_told_twice_is_tracked_once(stand: Stand) -> None:
    await stand.to("ada")
    await stand.work()
    async with stand.service() as service:
        ((fact, identity),) = await service.noted(10)
    assert identity == Identity("user_id", "ada")
    tracking = stand.host.port(Tracking, stand.tenant)
    await tracking.track([occurrence(fact, identity)])  # and the process died before it noted that
    await stand.work(later=2)
    assert Counter(event.event for event in await tracked(stand)) == {"Email Delivered": 1}
    async with stand.host.unit("tracking", stand.tenant, write=False) as tracking:
        tally = await tracking.tally()
    assert (tally.received, tally.accepted, tally.duplicate) == (2, 1, 1)


async def test_a_backlog_is_told_by_as_many_commands_as_it_takes(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "PAGE", 1)
    monkeypatch.setattr(news, "PAGES", 2)
    await stand.to(*"abcde")
    await stand.work()
    await stand.work(later=2)
    assert Counter(event.event for event in await tracked(stand)) == {"Email Delivered": 5}


async def test_who_is_nobody_to_profiles_holds_up_no_other_unsubscription(
    stand: Stand,
) -> None:
    known = await stand.known("ada", "bob")
    await stand.publish()
    unknown = await stand.people("nobody")
    await stand.add(await stand.open(), [known[0], *unknown, known[1]])
    await stand.work()
    await engage(stand, "u")
    await stand.work(later=2)
    assert [await stand.consents(id_) for id_ in known] == [{"email": "denied"}] * 2
    assert await stand.consents(unknown[0]) == {}
    assert Counter(event.event for event in await tracked(stand))["Unsubscribed"] == 3


async def test_an_unsubscription_is_consent_that_profiles_keeps(stand: Stand) -> None:
    (person,) = await stand.known("ada")
    await stand.publish()
    send = await stand.add(await stand.open(), [person])
    await stand.work()
    await engage(stand, "o", "o", "u", "u")
    await stand.work(later=2)
    assert await stand.consents(person) == {"email": "denied"}
    counts = (await stand.look(send)).counts
    assert (counts.opened, counts.unsubscribed) == (1, 1)
    events = Counter(event.event for event in await tracked(stand))
    assert events["Email Opened"] == 2
    assert events["Unsubscribed"] == 1
    assert await told(stand, "message_opened") == 2
    assert await told(stand, "unsubscribed") == 1
