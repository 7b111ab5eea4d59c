"""Consents that neighbours have heard, and those said on the spot. On both databases."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.errors import Invalid
from martech.kernel.host import Host
from martech.modules.profiles.contract import ConsentChanged, Profile, Statement, Status
from tests.modules.profiles.conftest import Counter
from tests.modules.profiles.items import START, item, track
from tests.modules.profiles.test_recording import TENANT, person, told
from tests.serving import TENANTS

pytestmark = pytest.mark.anyio


async def test_many_consents_are_recorded_in_order_and_nobodys_are_passed_over(
    host: Host,
) -> None:
    await track(host, TENANT, [item(1, user="ada"), item(2, user="bob", anonymous="phone")])
    ada, bob = await person(host, "ada"), await person(host, "bob")

    def said(who: UUID, status: Status, hour: int) -> Statement:
        at = START.replace(hour=hour, year=2025)
        return Statement(profile_id=who, channel="email", status=status, source="mail", at=at)

    statements = [
        said(ada.id, "granted", 9),
        said(uuid4(), "denied", 9),
        said(bob.id, "denied", 9),
        said(ada.id, "denied", 10),
    ]
    async with host.unit("profiles", TENANT) as people:
        assert await people.record_consents(statements) == 3
    changes = [(c.profile_id, c.status) for c in await told(host, ConsentChanged)]
    assert changes == [(ada.id, "granted"), (bob.id, "denied"), (ada.id, "denied")]
    async with host.unit("profiles", TENANT) as people:
        with pytest.raises(Invalid):
            await people.record_consents([said(ada.id, "granted", 9)] * 501)


@pytest.mark.parametrize("ahead", [1, 4, 6, 60 * 24])
async def test_a_neighbour_whose_clock_is_ahead_is_believed_as_of_now(
    host: Host, ahead: int
) -> None:
    await track(host, TENANT, [item(1, user="ada"), item(2, user="bob")])
    ada, bob = await person(host, "ada"), await person(host, "bob")
    ours = host.clock.now()
    theirs = TestClock(ours + timedelta(minutes=ahead))

    def denied(who: Profile, at: datetime) -> Statement:
        return Statement(profile_id=who.id, channel="email", status="denied", source="mail", at=at)

    async with host.unit("profiles", TENANT) as people:
        said = [denied(ada, theirs.now()), denied(bob, ours - timedelta(hours=1))]
        assert await people.record_consents(said) == 2
        held = [(await people.consents(who.id)).data for who in (ada, bob)]
        assert [each.at for (each,) in held] == [people.tx.now, ours - timedelta(hours=1)]
        now = people.tx.now
    async with host.unit("profiles", TENANT) as people:
        again = await people.record_consent(ada.id, "email", "granted", source="form")
    assert (again.status, again.at > now) == ("granted", True)


@pytest.mark.parametrize("source", ["port", "api"])
async def test_who_consents_with_a_clock_ahead_can_unsubscribe_at_once(
    counter: Counter, source: str
) -> None:
    """What was said four minutes from now would else outdo all that is said until then."""
    host, acme = counter.host, TENANTS["acme"]
    await track(host, acme, [item(1, user="ada")])
    ada = await counter.person("ada")
    ahead = host.clock.now() + timedelta(minutes=4)
    if source == "port":
        async with host.unit("profiles", acme) as people:
            said = await people.record_consent(ada, "email", "granted", source="form", at=ahead)
            assert said.at == people.tx.now
    else:
        granted = {"status": "granted", "at": ahead.isoformat()}
        answer = await counter.call("PUT", f"/people/{ada}/consents/email", granted)
        assert answer.json()["status"] == "granted"
    async with host.unit("profiles", acme) as people:
        held = await people.record_consent(ada, "email", "denied", source="mail")
    assert held.status == "denied"
