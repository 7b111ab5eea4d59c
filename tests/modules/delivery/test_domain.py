"""The rules of delivery, by property."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.modules.delivery.contract import Counts
from martech.modules.delivery.domain import ledger, people
from martech.modules.delivery.domain.logs import message_ids
from martech.modules.delivery.domain.outcomes import Accepted, Ambiguous, NotTried, Refused
from martech.modules.delivery.domain.pacing import SKEW, TICK, pace, used
from martech.modules.delivery.domain.people import Recipient
from martech.modules.delivery.domain.settling import ATTEMPTS, LONGEST, Unmade, settle
from martech.modules.delivery.tables import sends
from martech.modules.profiles.contract import (
    ConsentChanged,
    Identity,
    ProfileChange,
    ProfilesMerged,
)

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
RETRY = timedelta(minutes=5)

results = st.one_of(
    st.builds(Accepted, reply=st.text(max_size=5)),
    st.builds(
        Refused,
        code=st.integers(400, 599),
        text=st.text(max_size=5),
        stage=st.sampled_from(["MAIL", "RCPT", "DATA", "END"]),
    ),
    st.builds(Ambiguous, error=st.text(max_size=5)),
    st.builds(NotTried, reason=st.text(max_size=5)),
    st.builds(Unmade, reason=st.text(max_size=5)),
)


@given(results, st.integers(0, ATTEMPTS), st.uuids(), st.booleans())
def test_every_result_leaves_the_lanes_hands_and_only_what_waits_is_due(
    result: object, attempts: int, id_: UUID, cancelled: bool
) -> None:
    settled = settle(
        result,  # type: ignore[arg-type]
        id_=id_,
        attempts=attempts,
        now=NOW,
        retry=RETRY,
        cancelled=cancelled,
    )
    assert settled.state != "claimed"
    assert (settled.due_at is not None) == (settled.state in ("pending", "deferred"))
    assert settled.attempts - attempts == (
        0 if isinstance(result, NotTried | Unmade) or settled.state == "cancelled" else 1
    )
    assert not (cancelled and settled.due_at)
    assert settled.suppresses(proven=True) <= (settled.state == "bounced")
    if settled.due_at is not None:
        assert NOW <= settled.due_at <= NOW + LONGEST * 1.25


@given(st.integers(0, ATTEMPTS), st.uuids())
def test_ambiguity_is_never_turned_into_success_failure_or_another_attempt(
    attempts: int, id_: UUID
) -> None:
    settled = settle(
        Ambiguous("it broke"), id_=id_, attempts=attempts, now=NOW, retry=RETRY, cancelled=False
    )
    assert (settled.state, settled.due_at) == ("ambiguous", None)


@given(
    st.floats(0.01, 5000),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 200), st.integers(0, 200)), max_size=40),
)
def test_no_window_has_more_than_the_rate_allows(
    rate: float, claims: list[tuple[float, int, int]]
) -> None:
    now, until, sent = NOW, None, []
    for wait, most, wanted in claims:
        now += timedelta(seconds=wait)
        allowed = pace(rate, until, now, most)
        taken = min(allowed.most, wanted)
        until = used(allowed, rate, taken)
        sent.append((now, taken))
        assert allowed.again_at is not None
    burst = max(TICK.total_seconds(), 1 / rate)
    for start in range(len(sent)):
        total = 0
        for at, taken in sent[start:]:
            total += taken
            assert (
                total <= rate * ((at - sent[start][0]).total_seconds() + burst) + 1e-3 * total + 1
            )


def test_a_rate_is_reached() -> None:
    now, until, sent = NOW, None, 0
    for _ in range(1000):
        allowed = pace(200.0, until, now, 100)
        until = used(allowed, 200.0, allowed.most)
        sent += allowed.most
        now += timedelta(seconds=0.01)
    assert 1980 <= sent <= 2041


def test_what_is_claimed_of_a_rate_is_worth_a_claim() -> None:
    now, until, claims = NOW, None, []
    for _ in range(1000):
        allowed = pace(200.0, until, now, 100)
        until = used(allowed, 200.0, allowed.most)
        claims += [allowed.most] if allowed.most else []
        now += timedelta(seconds=0.005)
    assert claims == [40] + [20] * 49


def test_who_may_not_take_a_worthwhile_number_takes_what_they_may() -> None:
    allowed = pace(200.0, NOW, NOW + timedelta(seconds=0.02), 3)
    assert (allowed.most, allowed.again_at) == (3, NOW + timedelta(seconds=0.03))


def test_whoever_comes_when_told_to_may_go() -> None:
    until = NOW
    for rate in (0.5, 3.0, 7.0, 199.0, 5000.0):
        allowed = pace(rate, until, NOW, 200)
        assert allowed.most == 0
        assert allowed.again_at is not None
        assert pace(rate, until, allowed.again_at, 200).most > 0


@pytest.mark.parametrize("rate", [0.5, 3.0, 200.0])
def test_a_clock_that_is_set_back_holds_up_no_rate(rate: float) -> None:
    set_back = pace(rate, NOW + timedelta(hours=1), NOW, 200)
    assert (set_back.most, used(set_back, rate, 0)) == (0, NOW)
    assert set_back.again_at is not None
    assert set_back.again_at <= NOW + max(TICK, timedelta(seconds=1 / rate))
    assert pace(rate, NOW, set_back.again_at, 200).most > 0


def test_a_host_whose_clock_is_a_little_behind_gives_nobody_a_rate_twice() -> None:
    ahead = NOW + SKEW
    behind = pace(200.0, ahead, NOW, 200)
    assert behind.most == 0
    assert used(behind, 200.0, 0) == ahead


@given(st.dictionaries(st.sampled_from(ledger.NUMBERS), st.integers(0, 9)))
def test_a_send_is_over_only_when_nothing_is_open(some: dict[str, int]) -> None:
    numbers = dict.fromkeys(ledger.NUMBERS, 0) | some
    rest = sum(numbers[name] for name in ("pending", "deferred", "ambiguous"))
    assert (ledger.status_after("open", True, numbers) == "completed") == (rest == 0)
    assert ledger.status_after("open", False, numbers) == "open"
    assert ledger.status_after("paused", True, numbers) == "paused"


def test_the_row_has_the_numbers_that_are_shown() -> None:
    assert set(ledger.NUMBERS) < {column.name for column in sends.columns}
    assert {*ledger.NUMBERS, "sent"} == set(Counts.__struct_fields__)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_two_messages_have_one_id_only_if_they_are_one(one: str, other: str, third: str) -> None:
    tenant = uuid4()
    ids = {
        ledger.Key(tenant, *words, "email").message_id("ada@example.com")
        for words in ([one, other, third], [other, one, third], [one + other, "", third])
    }
    assert len(ids) == len({(one, other), (other, one), (one + other, "")})


identities = st.builds(
    Identity, st.sampled_from(["user_id", "anonymous_id", "email"]), st.sampled_from("abc")
)
IDS = [UUID(int=number) for number in range(4)]
traits = st.dictionaries(
    st.sampled_from(["email", "name", "age"]),
    st.sampled_from([b'"ada@example.com"', b'"Bob@Example.com"', b"null", b"7", b'"nowhere"']).map(
        msgspec.Raw
    ),
)
heard = st.lists(
    st.one_of(
        st.builds(
            ProfileChange,
            profile_id=st.sampled_from(IDS),
            traits=traits,
            identities=st.lists(identities, max_size=2),
        ),
        st.builds(
            ConsentChanged,
            profile_id=st.sampled_from(IDS),
            channel=st.sampled_from(["email", "sms"]),
            status=st.sampled_from(["granted", "denied"]),
            at=st.just(NOW),
        ),
    ),
    max_size=12,
)


@given(heard)
def test_an_address_is_what_the_trait_says_at_last(told: list[object]) -> None:
    known = {id_: Recipient(traits={}) for id_ in IDS}
    people.hear(known, told)  # type: ignore[arg-type]
    for person in known.values():
        trait = person.traits.get("email", msgspec.Raw(b"null"))
        found = people.mail_address(trait)
        assert person.address == (found.text if found else None)
        assert person.address in (None, "ada@example.com", "bob@example.com")
        assert person.identity is None or person.identity.kind != "email"


def test_people_do_not_share_what_is_known_of_them() -> None:
    known = {id_: Recipient() for id_ in IDS}
    change = ProfileChange(profile_id=IDS[0], traits={"a": msgspec.Raw(b"1")}, identities=[])
    people.hear(known, [change])
    assert known[IDS[1]].traits == {}


def test_whoever_was_merged_before_follows_when_it_is_merged_again() -> None:
    known = {id_: Recipient(identity=Identity("anonymous_id", id_.hex)) for id_ in IDS[:3]}
    merges = [
        ProfilesMerged(kept=IDS[1], merged=IDS[0]),
        ProfilesMerged(kept=IDS[2], merged=IDS[1]),
    ]
    people.hear(known, merges)
    assert [known[id_].merged_into for id_ in IDS[:3]] == [IDS[2], IDS[2], None]
    assert known[IDS[2]].identity == Identity("anonymous_id", IDS[2].hex)


@given(st.lists(st.uuids(), max_size=5), st.lists(st.text(max_size=60), max_size=5))
def test_our_messages_are_found_in_a_log_among_whatever_else_stands_there(
    ours: list[UUID], others: list[str]
) -> None:
    foreign = [line for line in others if not message_ids([line])]
    logged = [f"<{id_}@shop.example>" for id_ in ours] + foreign
    assert message_ids(logged) == set(ours)
