"""The timeline of somebody with hundreds of names is what a short one is: every page of it."""

import random
from collections.abc import Sequence

import pytest

from martech.modules.profiles.service.remembering import BRANCHES
from martech.modules.tracking.contract import TrackedEvent
from tests.modules.profiles.conftest import Counter
from tests.modules.profiles.items import item

pytestmark = pytest.mark.anyio

NAMES = 200


def deeds(seed: int) -> list[TrackedEvent]:
    """Ada on many devices and a stranger, several things at the same moment; of some devices
    nothing is known but that they are hers, and most of what was done was done on a few."""
    dice = random.Random(seed)
    done = [item(n, user="ada", anonymous=f"d{n}", minute=n % 40) for n in range(NAMES - 1)]
    for number in range(NAMES, NAMES + 400):
        device = dice.choice([dice.randrange(5), dice.randrange(100)])
        who = dice.choice([f"d{device}", f"d{device}", f"d{device}", "stranger"])
        event = dice.choice(["Seen", "Bought"])
        done.append(item(number, anonymous=who, minute=dice.randrange(60), event=event))
    return done


def naive(done: Sequence[TrackedEvent], event: str | None) -> list[tuple[str, str]]:
    """By which name and what, the newest first: each has the place in which it was recorded."""
    hers = [
        (each.timestamp, place, each.user_id or each.anonymous_id or "", each.message_id)
        for place, each in enumerate(done)
        if each.anonymous_id != "stranger" and event in (None, each.event)
    ]
    return [(name, message) for _, _, name, message in sorted(hers, reverse=True)]


@pytest.mark.parametrize("limit", [1, 7, 60, 199, 1000])
async def test_the_pages_of_hundreds_of_names_leave_nothing_out(
    counter: Counter, limit: int
) -> None:
    done = deeds(limit)
    await counter.track(done[:NAMES], done[NAMES:])
    path = f"/people/{await counter.person('ada')}/timeline"
    for event in (None, "Bought", "Never"):
        asked = {"limit": limit} | ({"event": event} if event else {})
        wanted, after = naive(done, event), dict[str, object]()
        if limit == 1:  # a page for each would take long
            wanted = wanted[:30]
        shown: list[tuple[str, str]] = []
        while True:
            page = await counter.get(path, **asked, **after)
            rows: list[dict[str, dict[str, str]]] = page["data"]  # type: ignore[assignment]
            shown += [(row["identity"]["value"], str(row["message_id"])) for row in rows]
            after = {"after": page["next"]}
            if page["next"] is None or (limit == 1 and len(shown) >= len(wanted)):
                break
            assert len(rows) >= min(limit, BRANCHES) or event is not None
        assert shown == wanted, event
