"""The rules of who is who, held against all orders, times and batches that hypothesis can find."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.modules.profiles import domain
from martech.modules.profiles.domain import Fact, Key, Known, Traits
from martech.modules.tracking.contract import TrackedEvent
from tests.modules.profiles.items import START, item

TENANT = UUID(int=7)


@dataclass
class Record:
    """What is kept of people: the tables, as dictionaries."""

    owners: dict[Key, UUID] = field(default_factory=dict)
    shared: set[Key] = field(default_factory=set)
    people: dict[UUID, tuple[datetime, bool]] = field(default_factory=dict)
    merged: dict[UUID, UUID] = field(default_factory=dict)
    traits: dict[UUID, Traits] = field(default_factory=dict)
    came: list[tuple[str, Key]] = field(default_factory=list)

    def take(self, items: Sequence[TrackedEvent]) -> domain.Plan:
        reading = domain.read(items)
        known = {
            key: Known(self.owners[key], *self.people[self.owners[key]], key in self.shared)
            for key in reading.keys & self.owners.keys()
        }
        plan = domain.resolve(TENANT, known, items, reading.said)
        for number, traits in domain.traits_after(self.traits, plan, items, reading.said).items():
            self.traits[number] = traits
        for number, person in plan.people.items():
            self.people[number] = person.first_seen, person.identified
        self.owners |= {key: link.person.id for key, link in plan.links.items()}
        self.shared |= set(plan.shared)
        for kept, gone in plan.merges:
            self.merged = {k: kept.id if v == gone.id else v for k, v in self.merged.items()}
            self.merged[gone.id] = kept.id
        self.owners = {k: self.merged.get(v, v) for k, v in self.owners.items()}
        self.came += [(i.message_id, key) for i, (key, _) in zip(items, plan.came, strict=True)]
        return plan

    def whole(self) -> list[object]:
        return [vars(self)[name] for name in sorted(vars(self))]


def record(*batches: Sequence[TrackedEvent]) -> Record:
    kept = Record()
    for batch in batches:
        kept.take(batch)
    return kept


def parts(kept: Record) -> set[frozenset[Key]]:
    """The partition of all identities into people."""
    people: dict[UUID, set[Key]] = defaultdict(set)
    for key, number in kept.owners.items():
        people[number].add(key)
    return {frozenset(keys) for keys in people.values()}


users, anonymous = st.sampled_from("uvw"), st.sampled_from("abcd")
emails = st.sampled_from(["e@x.org", " E@X.org", "f@x.org", "nobody", 7])
traits = st.dictionaries(st.sampled_from(["plan", "city"]), st.none() | st.integers(0, 2))


# made once: a strategy is checked anew wherever it is made
kinds = {
    True: st.sampled_from(["track", "identify", "alias"]),
    False: st.sampled_from(["track", "identify"]),
}
"""By whether there are aliases."""

a_user_or_none, a_device_or_none, an_email_or_none = (
    st.none() | one for one in (users, anonymous, emails)
)
anybody, minutes, lengths = users | anonymous, st.integers(0, 5), st.integers(1, 14)


def tracked(draw: st.DrawFn, number: int, aliases: bool) -> TrackedEvent:
    """Any item: of users and devices shared among people, late or in order."""
    kind = draw(kinds[aliases])
    user, device = draw(a_user_or_none), draw(a_device_or_none)
    if user is None and (device is None or kind == "alias"):
        user = draw(users)
    said: dict[str, object] = {}
    if kind == "identify":
        said |= draw(traits)
        if (email := draw(an_email_or_none)) is not None:
            said["email"] = email
    previous = draw(anybody) if kind == "alias" else None
    minute = draw(minutes)
    return item(
        number, kind, user, device, minute=minute, received=9, traits=said, previous_id=previous
    )


@st.composite
def streams(draw: st.DrawFn, aliases: bool = True) -> list[TrackedEvent]:
    return [tracked(draw, number, aliases) for number in range(draw(lengths))]


@given(streams(), st.data())
def test_how_the_stream_is_cut_makes_no_difference_to_anything_kept(
    stream: list[TrackedEvent], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)))))
    batches = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    one_by_one = record(*([each] for each in stream))
    assert record(*batches).whole() == one_by_one.whole()
    assert record(stream).whole() == one_by_one.whole()


@given(streams(aliases=False))
def test_two_user_ids_are_never_one_person_unless_an_alias_says_so(
    stream: list[TrackedEvent],
) -> None:
    for part in parts(record(stream)):
        assert sum(kind == "user_id" for kind, _ in part) <= 1


@given(streams(aliases=False), st.data())
def test_hearing_it_again_changes_nobodys_names(
    stream: list[TrackedEvent], data: st.DataObject
) -> None:
    again = data.draw(st.permutations(stream))
    assert parts(record(stream, again)) == parts(record(stream))


@given(streams())
def test_every_item_is_somebodys_who_goes_by_its_strongest_name(
    stream: list[TrackedEvent],
) -> None:
    kept = record(stream)
    for tracked_item, (message_id, key) in zip(stream, kept.came, strict=True):
        name = tracked_item.user_id or tracked_item.anonymous_id
        assert (message_id, key[1]) == (tracked_item.message_id, name)
        assert kept.owners[key] not in kept.merged


@given(streams())
def test_merged_ids_lead_to_the_kept_one_in_one_step(stream: list[TrackedEvent]) -> None:
    kept = record(stream)
    assert set(kept.owners.values()).isdisjoint(kept.merged)
    assert set(kept.merged.values()).isdisjoint(kept.merged)
    assert set(kept.owners.values()) | set(kept.merged) == set(kept.people)


@given(streams())
def test_of_two_the_one_first_seen_earlier_is_kept(stream: list[TrackedEvent]) -> None:
    kept, seen = Record(), dict[UUID, datetime]()
    for each in stream:
        for one, gone in kept.take([each]).merges:
            assert (seen[one.id], one.id) < (seen[gone.id], gone.id)
        seen = {number: first for number, (first, _) in kept.people.items()}


@given(streams())
def test_first_seen_is_the_earliest_of_all_that_is_theirs(stream: list[TrackedEvent]) -> None:
    kept, times = record(stream), defaultdict[UUID, set[datetime]](set)
    for each, (_, key) in zip(stream, kept.came, strict=True):
        times[kept.owners[key]].add(each.timestamp)
    for number, theirs in times.items():
        assert kept.people[number][0] <= min(theirs)


@given(streams())
def test_per_trait_the_last_word_by_event_time_holds(stream: list[TrackedEvent]) -> None:
    kept = record(stream)
    last: dict[UUID, dict[str, tuple[datetime, str, bytes]]] = defaultdict(dict)
    for each, (_, key) in zip(stream, kept.came, strict=True):
        mine = last[kept.owners[key]]
        if each.type == "identify":
            for name, value in msgspec.json.decode(
                each.traits, type=dict[str, msgspec.Raw]
            ).items():
                word = (each.timestamp, each.message_id, bytes(value))
                mine[name] = max(mine.get(name, word), word)
    for number, words in last.items():
        values = {name: value for name, (_, _, value) in words.items() if value != b"null"}
        shown = domain.shown(kept.traits.get(number, {}))
        assert {name: bytes(value) for name, value in shown.items()} == values


@given(streams(), st.data())
def test_who_follows_what_is_told_knows_names_and_traits(
    stream: list[TrackedEvent], data: st.DataObject
) -> None:
    kept, names, values = Record(), dict[Key, UUID](), defaultdict[UUID, dict[str, bytes]](dict)
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        batch, stream = stream[:size], stream[size:]
        before = {number: dict(traits) for number, traits in kept.traits.items()}
        plan = kept.take(batch)
        for one, gone in plan.merges:
            names = {k: one.root().id if v == gone.id else v for k, v in names.items()}
            values.pop(gone.id, None)
        after = {number: kept.traits.get(number, {}) for number in plan.people}
        for change in domain.changes(plan, before, after):
            assert change.traits or change.identities
            names |= {(i.kind, i.value): change.profile_id for i in change.identities}
            for name, value in change.traits.items():
                values[change.profile_id][name] = bytes(value)
                if value == domain.NULL:
                    del values[change.profile_id][name]
    assert names == kept.owners
    for number in set(kept.owners.values()):
        shown = domain.shown(kept.traits.get(number, {}))
        assert {name: bytes(value) for name, value in shown.items()} == values[number]


writes = st.builds(
    lambda minute, by, value, late: domain.Written(
        item(0, minute=minute).timestamp, by, msgspec.Raw(str(value).encode()), late=late
    ),
    st.integers(0, 2),
    st.sampled_from("ab"),
    st.integers(0, 2),
    st.integers(0, 2),
)
written = st.dictionaries(st.sampled_from("xyz"), writes)


@given(written, written, written)
def test_traits_join_in_any_order_and_any_number_of_times(
    one: Traits, two: Traits, three: Traits
) -> None:
    joined = domain.joined
    assert joined(one, two) == joined(two, one)
    assert joined(joined(one, two), three) == joined(one, joined(two, three))
    assert joined(one, one) == one


facts = st.builds(
    Fact,
    st.sampled_from(["email", "sms"]),
    st.sampled_from(["granted", "denied"]),
    st.integers(0, 3).map(lambda minute: item(0, minute=minute).timestamp),
    st.sampled_from(["a", "b"]),
)


@given(st.lists(facts), st.data())
def test_the_consent_that_holds_does_not_depend_on_the_order_of_hearing(
    heard: list[Fact], data: st.DataObject
) -> None:
    holding = domain.holding(heard)
    assert domain.holding(data.draw(st.permutations(heard))) == holding
    for fact in heard:
        last = holding[fact.channel]
        assert (fact.at, fact.status == "denied") <= (last.at, last.status == "denied")


def test_a_shared_device_stays_with_its_first_user() -> None:
    kept = record(
        [item(1, user="ada", anonymous="tablet"), item(2, user="bob", anonymous="tablet")],
        [item(3, anonymous="tablet")],
    )
    assert parts(kept) == {
        frozenset({("user_id", "ada"), ("anonymous_id", "tablet")}),
        frozenset({("user_id", "bob")}),
    }
    assert [key[1] for _, key in kept.came] == ["ada", "bob", "tablet"]


def test_an_address_that_two_users_claim_links_nobody_any_more() -> None:
    kept = record(
        [
            item(1, "identify", "ada", traits={"email": "home@x.org"}),
            item(2, "identify", "bob", traits={"email": " Home@X.org "}),
            item(3, "identify", anonymous="phone", traits={"email": "home@x.org"}),
        ]
    )
    assert frozenset({("anonymous_id", "phone")}) in parts(kept)
    assert frozenset({("user_id", "ada"), ("email", "home@x.org")}) in parts(kept)


def test_a_guest_with_an_address_becomes_the_user_who_signs_up_with_it() -> None:
    kept = record(
        [
            item(1, "identify", anonymous="phone", traits={"email": "ada@x.org"}),
            item(2, "identify", "ada", "laptop", traits={"email": "ada@x.org"}),
        ]
    )
    assert len(parts(kept)) == 1


def test_an_alias_brings_two_user_ids_together() -> None:
    kept = record(
        [item(1, user="old", minute=5), item(2, user="new")],
        [item(3, "alias", "new", previous_id="old")],
    )
    assert parts(kept) == {frozenset({("user_id", "old"), ("user_id", "new")})}
    assert kept.owners["user_id", "new"] == domain.profile_id(TENANT, item(2, user="new"))


def test_an_alias_takes_an_unknown_id_for_a_device() -> None:
    kept = record([item(1, "alias", "ada", previous_id="phone")], [item(2, anonymous="phone")])
    assert parts(kept) == {frozenset({("user_id", "ada"), ("anonymous_id", "phone")})}


def test_a_clock_that_is_ahead_does_not_have_the_last_word() -> None:
    kept = record(
        [
            item(1, "identify", "ada", minute=9e6, received=1, traits={"plan": "ahead"}),
            item(2, "identify", "ada", minute=2, received=2, traits={"plan": "pro"}),
        ]
    )
    (traits,) = kept.traits.values()
    assert domain.shown(traits) == {"plan": msgspec.Raw(b'"pro"')}
    assert traits["plan"].at == item(0, minute=2).timestamp


def test_the_same_item_always_gives_the_same_profile_id() -> None:
    number = domain.profile_id(TENANT, item(1, user="ada"))
    assert number == domain.profile_id(TENANT, item(1, user="ada"))
    assert number != domain.profile_id(UUID(int=8), item(1, user="ada"))
    assert (number.version, number.variant) == (8, "specified in RFC 4122")
    assert number < domain.profile_id(TENANT, item(2, user="ada"))
    assert START.timestamp() < number.int >> 80


def test_consents_of_segments_event_are_named_by_their_categories() -> None:
    context = msgspec.Raw(
        b'{"consent":{"categoryPreferences":{"Advertising":true,"E mail":false," ":true}},"ip":"x"}'
    )
    assert domain.preferences(context) == {"advertising": "granted", "e_mail": "denied"}
    assert domain.preferences(msgspec.Raw(b"{}")) == {}


def test_of_two_categories_that_mean_one_channel_the_denial_holds() -> None:
    for both in (b'"e mail":false,"E Mail":true', b'"E Mail":true,"e mail":false'):
        context = msgspec.Raw(b'{"consent":{"categoryPreferences":{%s}}}' % both)
        assert domain.preferences(context) == {"e_mail": "denied"}


@pytest.mark.parametrize(
    "context",
    [b'{"consent":1}', b'{"consent":null}', b'{"consent":{"categoryPreferences":["Advertising"]}}'],
)
def test_a_consent_that_nobody_can_read_says_nothing(context: bytes) -> None:
    assert domain.preferences(msgspec.Raw(context)) == {}


def test_of_a_consent_that_can_be_read_in_part_that_part_holds() -> None:
    context = msgspec.Raw(b'{"consent":{"categoryPreferences":{"sms":"no","push":true}}}')
    assert domain.preferences(context) == {"push": "granted"}
