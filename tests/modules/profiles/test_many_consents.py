"""Any page may speak of channels without end; what is kept and told of it has one. On both
databases."""

import random
from collections.abc import Mapping

import pytest
from sqlalchemy import select

from martech.kernel.host import Host
from martech.modules.profiles.contract import ConsentChanged
from martech.modules.profiles.domain import Fact, holding
from martech.modules.profiles.domain.reading import MOST_CHANNELS
from martech.modules.profiles.tables import consents
from martech.modules.tracking.contract import TrackedEvent
from tests.modules.profiles.items import START, item, track
from tests.modules.profiles.test_recording import TENANT, person, told

pytestmark = pytest.mark.anyio


def said(number: int, preferences: Mapping[str, bool], **more: object) -> TrackedEvent:
    name = more.pop("user", "ada")
    context = {"consent": {"categoryPreferences": preferences}}
    event = "Segment Consent Preference Updated"
    return item(number, user=str(name), event=event, context=context, **more)  # type: ignore[arg-type]


def flood(first: int) -> dict[str, bool]:
    """About as many categories as one event of 32 KB can have."""
    return {f"c{number}": True for number in range(first, first + 3000)}


async def kept(host: Host) -> list[str]:
    async with host.databases["profiles"].transaction(TENANT, write=False) as tx:
        mine = select(consents.c.channel).where(consents.c.tenant == TENANT)
        return list((await tx.execute(mine)).scalars())


async def test_of_one_event_so_many_channels_are_heard_and_mail_is_one(host: Host) -> None:
    await track(host, TENANT, [said(1, {**flood(0), "email": False})])
    channels = await kept(host)
    assert len(channels) == len(set(channels)) == MOST_CHANNELS
    assert "email" in channels
    assert len(await told(host, ConsentChanged)) == MOST_CHANNELS


@pytest.mark.parametrize("together", [True, False])
async def test_one_name_speaks_of_so_many_and_of_mail_whenever(host: Host, together: bool) -> None:
    items = [said(number, flood(3000 * number), minute=number) for number in range(3)]
    items += [said(3, {"email": False, "sms": False, "c0": False}, minute=3)]
    items += [said(4, {"sms": True}, user="bob", minute=4)]
    await track(host, TENANT, *([items] if together else [[each] for each in items]))
    ada, bob = await person(host, "ada"), await person(host, "bob")
    async with host.unit("profiles", TENANT) as people:
        hers = {c.channel: c.status for c in (await people.consents(ada.id)).data}
        assert [c.channel for c in (await people.consents(bob.id)).data] == ["sms"]
        again = await people.record_consent(ada.id, "sms", "denied", source="call")
    assert len(hers) == MOST_CHANNELS + 1
    assert (hers["email"], hers["c0"], "sms" in hers) == ("denied", "denied", False)
    assert again.status == "denied", "who has a key is believed"


async def test_what_is_heard_again_is_not_told_again(host: Host) -> None:
    event = said(1, flood(0))
    for _ in range(3):
        await track(host, TENANT, [event])
    assert len(await told(host, ConsentChanged)) == MOST_CHANNELS


async def test_what_a_name_said_last_of_a_channel_is_all_that_is_read(host: Host) -> None:
    """Whatever was said in whatever order: what holds is what holds of all that was said."""
    dice = random.Random(7)
    for number in range(40):
        await track(host, TENANT, [item(number, user=f"{number}", anonymous=f"of {number}")])
        story = [fact(dice) for _ in range(dice.randrange(8))]
        id_ = (await person(host, f"{number}")).id
        async with host.unit("profiles", TENANT) as people:
            for one in story:
                await people.record_consent(
                    id_, one.channel, one.status, source=one.source, at=one.at
                )
            (found,) = (await people._facts([id_])).values() or [[]]
            held = (await people.consents(id_)).data
        wanted = holding(story)
        assert sorted(found) == sorted(wanted.values())
        assert [Fact(c.channel, c.status, c.at, c.source) for c in held] == [
            wanted[channel] for channel in sorted(wanted)
        ]


def fact(dice: random.Random) -> Fact:
    return Fact(
        channel=dice.choice(["email", "sms"]),
        status=dice.choice(["granted", "denied"]),
        at=START.replace(year=2025, hour=dice.randrange(3)),
        source=dice.choice("ab"),
    )
