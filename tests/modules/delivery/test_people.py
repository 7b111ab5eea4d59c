"""Our own copy of people holds so many traits and no more, whatever is told; of what they allow,
what was said last."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from martech.modules.delivery.domain.people import (
    Consent,
    Left,
    Recipient,
    hear,
    taken_back,
)
from martech.modules.profiles.contract import (
    MOST_TRAITS,
    ConsentChanged,
    ProfileChange,
    ProfilesMerged,
)

ADA, BOB = UUID(int=1), UUID(int=2)
NOON, ONE = (datetime(2026, 12, 1, hour, tzinfo=UTC) for hour in (12, 13))


def told(traits: dict[str, object]) -> ProfileChange:
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in traits.items()}
    return ProfileChange(profile_id=ADA, traits=raw, identities=[])


def known(*changes: dict[str, object]) -> dict[str, object]:
    ada = Recipient(traits={})
    hear({ADA: ada}, [told(change) for change in changes])
    return {name: msgspec.json.decode(value) for name, value in ada.traits.items()}


def test_a_new_trait_beyond_so_many_is_passed_over_and_a_known_one_still_changes() -> None:
    full: dict[str, object] = {f"k{n}": n for n in range(MOST_TRAITS)}
    assert known(full, {"new": 1, "k7": "changed"}) == full | {"k7": "changed"}


def test_a_trait_that_is_gone_leaves_its_place_to_a_new_one() -> None:
    full: dict[str, object] = {f"k{n}": n for n in range(MOST_TRAITS)}
    after = known(full, {"k7": None, "new": 1, "newer": 2})
    assert after == {name: n for name, n in full.items() if name != "k7"} | {"new": 1}


def test_what_was_said_nobody_knows_when_gives_way_to_whatever_is_told_next() -> None:
    ada = Recipient(consent=Consent("denied", None), address="ada@example.com")
    said = ConsentChanged(profile_id=ADA, channel="email", status="granted", at=NOON)
    assert hear({ADA: ada}, [said]) == {"ada@example.com"}
    assert ada.consent == ("granted", NOON)


@pytest.mark.parametrize(
    ("kept", "gone", "holds"),
    [
        (Consent("granted", NOON), Consent("denied", ONE), "denied"),
        (Consent("granted", ONE), Consent("denied", NOON), "granted"),
        (Consent("granted", NOON), Consent("denied", NOON), "denied"),
        (Consent("denied", None), Consent("granted", ONE), "denied"),
        (Consent("granted", None), Consent("granted", ONE), "granted"),
        (None, Consent("denied", NOON), "denied"),
    ],
)
def test_of_two_who_are_one_the_later_word_holds_and_in_doubt_the_denial(
    kept: Consent | None, gone: Consent, holds: str
) -> None:
    people = {ADA: Recipient(consent=kept), BOB: Recipient(consent=gone)}
    hear(people, [ProfilesMerged(kept=ADA, merged=BOB)])
    assert people[ADA].consent is not None
    assert people[ADA].consent.status == holds


@pytest.mark.parametrize(
    ("said", "back"),
    [
        ([Consent("granted", ONE)], True),
        ([Consent("granted", ONE), Consent("granted", ONE)], True),
        ([Consent("granted", NOON)], False),
        ([Consent("granted", ONE), Consent("denied", ONE)], False),
        ([Consent("granted", ONE), Consent("granted", None)], False),
        ([Consent("granted", ONE), None], False),
        ([], False),
    ],
)
def test_what_was_said_is_taken_back_when_all_do_whom_it_concerns(
    said: list[Consent | None], *, back: bool
) -> None:
    assert taken_back(Left("ada@example.com", ADA, NOON), said) == back
