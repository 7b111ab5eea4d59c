"""Who must not be written to is not, whenever they said so."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from martech.kernel.columns import table
from martech.kernel.errors import Invalid, NotFound
from martech.modules.delivery.domain.links import opened
from martech.modules.delivery.service.engaging import Hit
from martech.modules.profiles.contract import Statement, Status
from tests.modules.delivery.stand import Stand

pytestmark = pytest.mark.anyio


async def opt_out(stand: Stand, name: str) -> None:
    """By the link in the mail."""
    async with stand.service() as service:
        (message,) = [
            message
            for message in (await service.messages()).data
            if message.address == f"{name}@example.com"
        ]
        token = opened("u", (await service.signer()).token("u", message.id))
        assert token is not None
        await service.engage([Hit(token, counts=True)])


async def next_reaches(stand: Stand, *names: str) -> list[str]:
    """Who of *names* gets the next campaign."""
    before = len(stand.sink.mails)
    async with stand.service() as service:
        known = (await service.messages()).data
    people = [m.profile_id for m in known if m.address.partition("@")[0] in names]
    send = await stand.open(occasion=str(uuid4()))
    await stand.add(send, people)
    await stand.work()
    return sorted(mail.to[0].partition("@")[0] for mail in stand.sink.mails[before:])


async def fate(stand: Stand, person: UUID) -> tuple[str, str | None]:
    """What becomes of *person*'s message of the next campaign, and why."""
    send = await stand.add(await stand.open(occasion=str(uuid4())), [person])
    await stand.work()
    (message,) = (await stand.messages(send)).values()
    return message.status, message.reason


async def reasons(stand: Stand, name: str) -> list[str]:
    """Why nothing is sent to the address of that name."""
    async with stand.service() as service:
        return [each.reason for each in await service.suppressed(f"{name}@example.com")]


async def test_who_said_no_after_being_added_gets_nothing(stand: Stand) -> None:
    send = await stand.to("ada", "bob")
    ada = (await stand.messages(send))["ada"]
    await stand.consent(ada.profile_id, "denied")
    await stand.work()
    assert stand.mailed() == ["bob"]
    messages = await stand.messages(send)
    assert (messages["ada"].status, messages["ada"].reason) == ("suppressed", "no consent")
    done = await stand.look(send)
    assert (done.status, done.counts.suppressed) == ("completed", 1)


async def test_who_said_nothing_may_be_written_to(stand: Stand) -> None:
    await stand.to("ada")
    await stand.work()
    assert stand.mailed() == ["ada"]


async def test_an_unsubscribed_address_gets_nothing_until_its_owner_allows_it_again(
    stand: Stand,
) -> None:
    send = await stand.to("ada", "bob")
    await stand.work()
    ada = (await stand.messages(send))["ada"]
    await stand.work(later=60)
    await opt_out(stand, "ada")
    assert await next_reaches(stand, "ada", "bob") == ["bob"]
    await stand.work(later=60)
    await stand.consent(ada.profile_id, "granted")
    assert await next_reaches(stand, "ada", "bob") == ["ada", "bob"]


@pytest.mark.parametrize("status", ["granted", "denied"])
async def test_a_consent_from_before_does_not_lift_what_was_said_since(
    stand: Stand, status: Status
) -> None:
    send = await stand.to("ada")
    await stand.work()
    ada = (await stand.messages(send))["ada"]
    await opt_out(stand, "ada")
    await stand.consent(ada.profile_id, status)  # at the same moment, not later
    assert await next_reaches(stand, "ada") == []


async def test_who_came_back_and_left_again_before_we_heard_of_it_is_left_alone(
    stand: Stand,
) -> None:
    send = await stand.to("ada")
    await stand.work()
    ada = (await stand.messages(send))["ada"]
    await opt_out(stand, "ada")
    await stand.work(later=60)
    back = stand.clock.now()
    async with stand.host.unit("profiles", stand.tenant) as profiles:
        await profiles.know([ada.profile_id])
        await profiles.record_consents(
            [
                Statement(
                    profile_id=ada.profile_id, channel="email", status="granted", source="", at=back
                )
            ]
        )
    await stand.work(later=60)
    await opt_out(stand, "ada")
    await stand.work(later=60)
    await stand.consent(ada.profile_id, "granted", at=back)
    assert await next_reaches(stand, "ada") == []
    assert await stand.consents(ada.profile_id) == {"email": "denied"}


async def test_nobody_else_lifts_what_a_person_said(stand: Stand) -> None:
    """Neither before it is heard that they said no, nor after they have moved."""
    send = await stand.to("ada")
    await stand.work()
    ada = (await stand.messages(send))["ada"]
    await opt_out(stand, "ada")
    (mallory,) = await stand.people("mallory")
    await stand.change(mallory, email="ada@example.com")
    await stand.work(later=60)
    await stand.consent(mallory, "granted")
    assert await reasons(stand, "ada") == ["unsubscribed"]
    await stand.change(ada.profile_id, email="ada.new@example.com")
    await stand.work(later=60)
    await stand.consent(mallory, "granted")
    assert await reasons(stand, "ada") == ["unsubscribed"]
    assert await fate(stand, mallory) == ("suppressed", "unsubscribed")
    assert stand.mailed() == ["ada"], "nothing since"


async def test_who_leaves_by_an_old_mail_gets_nothing_at_the_new_address_either(
    stand: Stand,
) -> None:
    """From that moment on: profiles may be away, and its word late."""
    send = await stand.to("ada")
    await stand.work()
    ada = (await stand.messages(send))["ada"].profile_id
    await stand.change(ada, email="new@example.com")
    waiting = await stand.add(await stand.open(occasion="2"), [ada])
    await opt_out(stand, "ada")
    await stand.work()
    left = (await stand.messages(waiting))["new"]
    assert (left.status, left.reason) == ("suppressed", "unsubscribed")
    (mallory,) = await stand.people("mallory")
    await stand.change(mallory, email="ada@example.com")
    await stand.work(later=60)
    await stand.consent(ada, "granted")
    assert await reasons(stand, "ada") == ["unsubscribed"], "mallory has that address now"
    assert await fate(stand, ada) == ("delivered", None)


async def test_who_left_before_a_merge_has_left(stand: Stand) -> None:
    send = await stand.to("ada")
    await stand.work()
    ada = (await stand.messages(send))["ada"].profile_id
    (augusta,) = await stand.people("augusta")
    await stand.consent(augusta, "granted")
    await stand.work(later=60)
    await opt_out(stand, "ada")
    await stand.merge(augusta, ada)
    assert await fate(stand, augusta) == ("suppressed", "unsubscribed")


async def test_what_was_said_by_a_mail_to_a_stranger_is_taken_back_by_nobody_alone(
    stand: Stand,
) -> None:
    """Whose mailbox it is nobody knows: two people have that address."""
    await stand.publish()
    mallory, ada = await stand.people("mallory", "ada")
    await stand.change(mallory, email="ada@example.com")
    await stand.add(await stand.open(), [mallory, ada])
    await stand.work()
    await opt_out(stand, "ada")
    for each, still in ((mallory, ["unsubscribed"]), (ada, [])):
        await stand.work(later=60)
        await stand.consent(each, "granted")
        assert await reasons(stand, "ada") == still


async def test_whoever_a_person_was_merged_into_may_allow_it_again(stand: Stand) -> None:
    send = await stand.to("ada")
    await stand.work()
    ada = (await stand.messages(send))["ada"]
    await opt_out(stand, "ada")
    (augusta,) = await stand.people("augusta")
    await stand.merge(augusta, ada.profile_id)
    await stand.change(augusta, email="ada@example.com")
    await stand.work(later=60)
    await stand.consent(augusta, "granted")
    assert await reasons(stand, "ada") == []
    assert await fate(stand, augusta) == ("delivered", None)


async def test_whose_mailbox_somebody_said_no_for_gets_nothing_by_another_name(
    stand: Stand,
) -> None:
    await stand.publish()
    ada, guest = await stand.people("ada", "guest")
    await stand.change(guest, email="ada@example.com")
    await stand.consent(guest, "granted")
    await stand.consent(ada, "denied")
    assert await fate(stand, guest) == ("suppressed", "no consent")
    await stand.work(later=60)
    await stand.consent(ada, "granted")
    assert await fate(stand, guest) == ("delivered", None)


async def test_what_was_said_earlier_and_is_heard_later_does_not_hold(stand: Stand) -> None:
    await stand.publish()
    (ada,) = await stand.people("ada")
    before = stand.clock.now()
    await stand.work(later=60)
    await stand.consent(ada, "denied")
    await stand.consent(ada, "granted", at=before)
    assert await fate(stand, ada) == ("suppressed", "no consent")


async def test_who_said_no_is_heard_from_the_moment_of_a_merge(stand: Stand) -> None:
    await stand.publish()
    kept, gone = await stand.people("kept", "gone")
    await stand.consent(kept, "granted")
    await stand.work(later=60)
    await stand.consent(gone, "denied")
    await stand.merge(kept, gone)
    assert await fate(stand, kept) == ("suppressed", "no consent")


@pytest.mark.parametrize("today", ["new@example.com", None, "nowhere"])
async def test_nothing_goes_to_an_address_that_is_not_the_persons_any_more(
    stand: Stand, today: str | None
) -> None:
    send = await stand.to("ada", "bob")
    ada = (await stand.messages(send))["ada"]
    await stand.change(ada.profile_id, email=today)
    await stand.work()
    assert stand.mailed() == ["bob"]
    messages = await stand.messages(send)
    assert (messages["ada"].status, messages["ada"].reason) == ("suppressed", "address changed")
    assert (await stand.look(send)).status == "completed"


async def test_the_audit_names_no_address(stand: Stand) -> None:
    """It outlives the person, and erasure cannot rewrite it."""
    async with stand.service() as service:
        await service.suppress("Ada@Example.com", source="a letter")
        await service.suppress("bob@example.com", source="a letter")
        await service.lift_suppression("ada@example.com")
    kept = table(stand.host.modules["delivery"].tables, "audit")
    async with stand.host.databases["delivery"].across(write=False) as connection:
        rows = (await connection.execute(select(kept).order_by(kept.c.number))).all()
    assert "example" not in repr(rows)
    added, other, lifted = (row.subject for row in rows)
    assert added == lifted != other


async def test_what_is_suppressed_by_hand_is_answered_whatever_else_forbids_it(
    stand: Stand,
) -> None:
    await stand.to("ada")
    await stand.work()
    await opt_out(stand, "ada")
    stand.clock.move(timedelta(hours=1))
    now = stand.clock.now()
    async with stand.service() as service:
        added = await service.suppress("ada@example.com", source="a letter")
    assert (added.reason, added.source, added.since) == ("manual", "a letter", now)
    stand.clock.move(timedelta(hours=1))
    async with stand.service() as service:
        assert await service.suppress("ada@example.com", source="a call") == added
        reasons = [each.reason for each in await service.suppressed("ada@example.com")]
    assert reasons == ["unsubscribed", "manual"]


async def test_what_was_suppressed_by_hand_is_lifted_by_hand(stand: Stand) -> None:
    send = await stand.to("ada")
    await stand.work()
    ada = (await stand.messages(send))["ada"]
    async with stand.service() as service:
        await service.suppress("Ada@Example.com", source="a letter")
    await stand.work(later=60)
    await stand.consent(ada.profile_id, "granted")
    assert await next_reaches(stand, "ada") == []
    async with stand.service() as service:
        await service.lift_suppression("ADA@example.com")
    assert await next_reaches(stand, "ada") == ["ada"]


async def test_a_merged_person_is_asked_by_what_they_say_today(stand: Stand) -> None:
    await stand.publish()
    kept, gone = await stand.people("kept", "gone")
    send = await stand.add(await stand.open(), [gone])
    await stand.merge(kept, gone)
    await stand.consent(kept, "denied")
    await stand.work()
    assert stand.mailed() == []
    assert (await stand.look(send)).counts.suppressed == 1


async def test_what_is_no_address_cannot_be_suppressed_and_what_is_not_cannot_be_lifted(
    stand: Stand,
) -> None:
    with pytest.raises(Invalid):
        async with stand.service() as service:
            await service.suppress("nobody", source="api")
    with pytest.raises(NotFound):
        async with stand.service() as service:
            await service.lift_suppression("ada@example.com")
