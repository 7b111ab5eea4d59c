"""Our own copy of people holds so many traits and no more, whatever is told."""

from uuid import UUID

import msgspec

from martech.modules.delivery.domain.people import MOST_TRAITS, Recipient, hear
from martech.modules.profiles.contract import ProfileChange

ADA = UUID(int=1)


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
