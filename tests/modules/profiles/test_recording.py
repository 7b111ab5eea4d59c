"""What is tracked becomes people and activities: once, whole, and told of. On both databases."""

import asyncio
import random
from typing import TypeVar
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import select

from martech.kernel.bus import Bus
from martech.kernel.bus.replay import replay
from martech.kernel.columns import table
from martech.kernel.host import Host
from martech.kernel.messages import Event, wire_name
from martech.modules.profiles import domain
from martech.modules.profiles.contract import (
    ActivityRecorded,
    ConsentChanged,
    Counts,
    Identity,
    Profile,
    ProfileChanged,
    ProfilesMerged,
)
from martech.modules.profiles.tables import activities, consents, counts, identities, profiles
from martech.modules.tracking.contract import TrackedEvent
from tests.modules.profiles.items import START, item, track
from tests.queueing import queued

pytestmark = pytest.mark.anyio

E = TypeVar("E", bound=Event)
TENANT, OTHER = uuid4(), uuid4()


async def told(host: Host, kind: type[E], tenant: UUID = TENANT) -> list[E]:
    outbox = table(host.databases["profiles"].metadata, "outbox")
    async with host.databases["profiles"].across(write=False) as connection:
        rows = await connection.execute(
            select(outbox.c.data)
            .where(outbox.c.type == wire_name(kind), outbox.c.tenant == tenant)
            .order_by(outbox.c.position)
        )
        return [msgspec.json.decode(row.data, type=kind) for row in rows]


async def person(host: Host, name: str, tenant: UUID = TENANT) -> Profile:
    async with host.unit("profiles", tenant, write=False) as people:
        found: Profile = await people.find("user_id", name)
        return found


async def counted(host: Host, tenant: UUID = TENANT) -> Counts:
    async with host.unit("profiles", tenant, write=False) as people:
        numbers: Counts = await people.counts()
        return numbers


async def test_people_appear_with_their_names_and_traits(host: Host) -> None:
    await track(
        host,
        TENANT,
        [
            item(1, anonymous="phone", minute=1),
            item(2, "identify", "ada", "phone", traits={"email": "Ada@X.org", "plan": "pro"}),
            item(3, user="bob", minute=3),
        ],
    )
    ada = await person(host, "ada")
    assert ada.identities == [
        Identity("user_id", "ada"),
        Identity("email", "ada@x.org"),
        Identity("anonymous_id", "phone"),
    ]
    assert ada.traits == {"email": msgspec.Raw(b'"Ada@X.org"'), "plan": msgspec.Raw(b'"pro"')}
    assert ada.first_seen == item(0, minute=0).timestamp
    assert await counted(host) == Counts(people=2, identities=4, activities=3)


async def test_each_activity_is_told_with_its_person_and_the_name_it_came_by(
    host: Host,
) -> None:
    items = [
        item(1, anonymous="phone", properties={"a": 1}),
        item(2, user="ada", anonymous="phone", group_id="g", context={"ip": "::1"}),
    ]
    await track(host, TENANT, items)
    (folded,) = await told(host, ActivityRecorded)
    ada = await person(host, "ada")
    assert [a.profile_id for a in folded.items] == [ada.id, ada.id]
    assert [a.identity for a in folded.items] == [
        Identity("anonymous_id", "phone"),
        Identity("user_id", "ada"),
    ]
    assert [a.message_id for a in folded.items] == ["m001", "m002"]
    assert folded.items[0].properties == msgspec.Raw(b'{"a":1}')
    assert folded.items[1].context == msgspec.Raw(b'{"ip":"::1"}')
    assert folded.items[1].group_id == "g"


async def test_a_merge_is_told_before_what_follows_from_it(host: Host) -> None:
    await track(
        host,
        TENANT,
        [item(1, "identify", anonymous="phone", minute=1, traits={"city": "Ulm", "plan": "free"})],
        [item(2, "identify", user="ada", minute=2, traits={"plan": "pro"})],
    )
    phone, ada = [c.items[0].profile_id for c in await told(host, ProfileChanged)]
    await track(host, TENANT, [item(3, user="ada", anonymous="phone", minute=3)])
    assert await told(host, ProfilesMerged) == [ProfilesMerged(kept=phone, merged=ada)]
    *_, change = await told(host, ProfileChanged)
    assert (change.items[0].profile_id, change.items[0].identities) == (phone, [])
    assert change.items[0].traits == {"plan": msgspec.Raw(b'"pro"')}
    (kept,) = {(await person(host, "ada")).id}
    assert kept == phone
    assert await counted(host) == Counts(people=1, identities=2, activities=3)


async def test_activities_of_one_batch_are_told_as_the_persons_they_ended_up_with(
    host: Host,
) -> None:
    await track(
        host,
        TENANT,
        [
            item(1, anonymous="phone", minute=1),
            item(2, user="ada", minute=2),
            item(3, user="ada", anonymous="phone", minute=3),
        ],
    )
    (folded,) = await told(host, ActivityRecorded)
    (merged,) = await told(host, ProfilesMerged)
    assert {activity.profile_id for activity in folded.items} == {merged.kept}
    assert (await person(host, "ada")).merged == [merged.merged]


async def test_a_shared_mailbox_is_remembered(host: Host) -> None:
    home = {"email": "home@x.org"}
    await track(
        host,
        TENANT,
        [item(1, "identify", "ada", traits=home), item(2, "identify", "bob", traits=home)],
        [item(3, "identify", anonymous="phone", traits=home)],
    )
    assert await counted(host) == Counts(people=3, identities=4, activities=3)


async def test_nothing_is_told_of_a_profile_that_did_not_change(host: Host) -> None:
    same = {"plan": "pro", "email": "ada@x.org"}
    await track(host, TENANT, [item(1, "identify", "ada", traits=same)])
    assert len(await told(host, ProfileChanged)) == 1
    await track(
        host, TENANT, [item(2, "identify", "ada", minute=1, traits=same), item(3, user="ada")]
    )
    await track(host, TENANT, [item(4, "identify", "ada", minute=0.5, traits={"plan": "late"})])
    assert len(await told(host, ProfileChanged)) == 1
    assert (await person(host, "ada")).traits["plan"] == msgspec.Raw(b'"pro"')


async def test_of_what_was_said_of_one_moment_the_last_to_come_in_holds(host: Host) -> None:
    first = item(2, "identify", "ada", received=1, traits={"plan": "first"})
    second = item(1, "identify", "ada", received=2, traits={"plan": "second"})
    await track(host, TENANT, [first, second])
    assert (await person(host, "ada")).traits["plan"] == msgspec.Raw(b'"second"')


async def test_a_trait_set_to_null_is_gone_and_told_so(host: Host) -> None:
    await track(host, TENANT, [item(1, "identify", "ada", traits={"plan": "pro", "city": "Ulm"})])
    await track(host, TENANT, [item(2, "identify", "ada", minute=1, traits={"plan": None})])
    assert (await person(host, "ada")).traits == {"city": msgspec.Raw(b'"Ulm"')}
    assert (await told(host, ProfileChanged))[-1].items[0].traits == {"plan": domain.NULL}


async def test_a_late_event_makes_the_person_older(host: Host) -> None:
    await track(host, TENANT, [item(1, user="ada", minute=5)], [item(2, user="ada", minute=-9e5)])
    assert (await person(host, "ada")).first_seen == item(0, minute=-9e5).timestamp


async def test_segments_consent_event_is_a_fact_of_that_person(host: Host) -> None:
    def consent(number: int, yes: bool, **more: object) -> TrackedEvent:
        context = {"consent": {"categoryPreferences": {"Advertising": yes}}}
        event = "Segment Consent Preference Updated"
        return item(number, event=event, context=context, **more)  # type: ignore[arg-type]

    await track(
        host,
        TENANT,
        [
            consent(1, True, anonymous="phone", minute=1),
            consent(2, True, anonymous="phone", minute=2),
        ],
        [consent(3, False, user="ada", minute=0)],
        [item(4, user="ada", anonymous="phone")],
    )
    changes = [(c.channel, c.status, c.at) for c in await told(host, ConsentChanged)]
    assert changes == [
        ("advertising", "granted", item(0, minute=2).timestamp),
        ("advertising", "denied", item(0, minute=0).timestamp),
        ("advertising", "granted", item(0, minute=2).timestamp),  # what the merge brought
    ]


async def test_what_is_told_of_consent_beside_a_merge_is_what_holds(host: Host) -> None:
    context = {"consent": {"categoryPreferences": {"sms": True}}}
    yes = item(
        2,
        anonymous="phone",
        event="Segment Consent Preference Updated",
        minute=-9e4,
        context=context,
    )
    await track(host, TENANT, [item(1, user="ada", minute=-9e5), yes])
    kept = (await person(host, "ada")).id
    async with host.unit("profiles", TENANT, write=False) as people:
        gone = (await people.find("anonymous_id", "phone")).id

    async def deny() -> None:
        async with host.unit("profiles", TENANT) as people:
            await people.record_consent(gone, "sms", "denied", source="test")

    async with host.unit("profiles", TENANT) as people:
        await people.record([item(3, user="ada", anonymous="phone", minute=-1)])
        denying = asyncio.create_task(deny())
        await queued(denying, host.databases["profiles"])
    await denying

    last = (await told(host, ConsentChanged))[-1]
    assert (last.profile_id, last.status) == (kept, "denied")


async def test_a_consent_is_told_when_something_else_holds_than_before_or_it_is_said_anew(
    host: Host,
) -> None:
    await track(host, TENANT, [item(1, user="ada")])
    ada = await person(host, "ada")
    hours = [(9, "granted"), (10, "granted"), (8, "denied"), (11, "denied")]
    for hour, status in hours:
        at = START.replace(hour=hour, year=2025)
        async with host.unit("profiles", TENANT) as people:
            held = await people.record_consent(ada.id, "email", status, source="call", at=at)
    assert (held.status, held.at.hour) == ("denied", 11)
    changes = [(c.profile_id, c.status, c.at.hour) for c in await told(host, ConsentChanged)]
    assert changes == [(ada.id, "granted", 9), (ada.id, "granted", 10), (ada.id, "denied", 11)]


async def test_tenants_share_no_names(host: Host) -> None:
    items = [item(1, "identify", "ada", "phone", traits={"email": "ada@x.org"})]
    await track(host, TENANT, items)
    await track(host, OTHER, items)
    one, other = await person(host, "ada"), await person(host, "ada", OTHER)
    assert one.id != other.id
    assert await counted(host) == await counted(host, OTHER)


async def test_an_item_that_names_nobody_is_set_aside_and_its_neighbours_are_not(
    host: Host,
) -> None:
    await track(host, TENANT, [item(1, user="ada"), item(2), item(3, user="bob")])
    assert (await counted(host)).activities == 2


async def kept(host: Host, tenant: UUID) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the tables, without the numbers of rows."""
    async with host.databases["profiles"].across(write=False) as connection:
        names = {
            row.id: (row.kind, row.value)
            for row in await connection.execute(
                select(identities).where(identities.c.tenant == tenant)
            )
        }
        found: dict[str, list[tuple[object, ...]]] = {}
        for rows in (profiles, identities, activities, consents, counts):
            shown = [c for c in rows.c if c.name not in {"id", "recorded_at"} or rows is profiles]
            everything = await connection.execute(select(*shown).where(rows.c.tenant == tenant))
            found[rows.name] = sorted(
                [
                    tuple(
                        names[v] if c.name == "identity" else v
                        for c, v in zip(shown, row, strict=True)
                    )
                    for row in everything
                ],
                key=repr,
            )
        return found


def stream(seed: int, length: int) -> list[TrackedEvent]:
    """Few users on few devices, aliased and identified, late and in order: many merges."""
    dice = random.Random(seed)
    items = []
    for number in range(length):
        kind = dice.choice(["track", "track", "track", "identify", "alias"])
        user = dice.choice([None, *"uvwxy"]) if kind != "alias" else dice.choice("uvwxy")
        device = dice.choice("abcdefgh") if user is None else dice.choice([None, *"abcdefgh"])
        traits = {
            "plan": dice.choice(["free", "pro", None]),
            **({"email": f"{dice.choice('pq')}@x.org"} if dice.random() < 0.5 else {}),
        }
        items.append(
            item(
                number,
                kind,
                user,
                device,
                minute=dice.randrange(50),
                traits=traits if kind == "identify" else None,
                previous_id=dice.choice("uvwxyabcdefgh") if kind == "alias" else None,
            )
        )
    return items


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_kept_does_not_depend_on_the_batches(host: Host, seed: int) -> None:
    items = stream(seed, 60)
    dice, batches = random.Random(seed), list[list[TrackedEvent]]()
    rest = list(items)
    while rest:
        size = dice.choice([1, 2, 7, 20])
        batches.append(rest[:size])
        rest = rest[size:]
    async with host.databases["profiles"].transaction(TENANT) as tx:
        await host.service("profiles", tx).record(items)
    together = await kept(host, TENANT)
    async with host.databases["profiles"].across() as connection:
        for rows in (profiles, identities, activities, consents, counts):
            await connection.execute(rows.delete())
    for batch in batches:
        async with host.databases["profiles"].transaction(TENANT) as tx:
            await host.service("profiles", tx).record(batch)
    assert await kept(host, TENANT) == together
    numbers = together["counts"][0][1:4]
    unmerged = [row for row in together["profiles"] if row[-1] is None]
    assert numbers == (len(unmerged), len(together["identities"]), len(items))
    positions = sorted(row[1] for row in together["activities"])
    assert positions == list(range(1, len(items) + 1))


async def test_built_anew_from_what_was_tracked_it_is_the_same_to_the_last_id(
    host: Host,
) -> None:
    items = stream(7, 80)
    await track(host, TENANT, items[:30], items[30:])
    before = await kept(host, TENANT)
    async with host.databases["profiles"].across() as connection:
        for rows in (profiles, identities, activities, consents, counts):
            await connection.execute(rows.delete())
    await replay(host, "profiles.record_what_was_tracked", 0, in_place=True)
    await Bus(host).settle()
    assert await kept(host, TENANT) == before
