"""The same story is told whole and split, and ends in the same world (HOUSE §9.3).

`make test` tells it as a monolith, all apart, and with one module alone outside, which the commit
chooses. `make chaos` tells it in every topology, over every feed, on both databases.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

import pytest

from martech.app import installed
from tests import databases
from tests.chaos.choosing import outside, whole_on
from tests.chaos.nodes import Topology, all_apart, monolith, nodes, one_outside
from tests.chaos.tale import BUYERS, LATE, Answers, tell
from tests.chaos.worlds import World, difference, world
from tests.sinks.smtp import sink

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

Told = tuple[World, Answers]
Tell = Callable[[str, str, Topology], Awaitable[Told]]


@pytest.fixture
def told(tmp_path: Path, record_property: Callable[[str, object], None]) -> Tell:
    """Tells the story in a topology, and says how long that took."""

    async def telling(kind: str, name: str, topology: Topology) -> Told:
        async with sink() as server:
            async with nodes(topology, kind, tmp_path / kind / name, server) as platform:
                began = monotonic()
                answers = await tell(platform, server)
                record_property("said", f"{name}, {kind}: {monotonic() - began:.1f} s")
            kept = {module: platform.of[module].database for module in installed()}
            return await world(kept), answers

    return telling


async def test_split_it_ends_as_whole(told: Tell, full: bool) -> None:
    for kind in databases.KINDS if full else [whole_on()]:
        whole, said = await told(kind, "monolith", monolith())
        assert said["the first"]["counts"]["delivered"] == BUYERS
        assert said["the second"]["counts"]["delivered"] == BUYERS + LATE - 1  # one wants no more
        alone = installed() if full else [outside()]
        splits = {f"{module} outside": one_outside(module) for module in alone}
        for name, topology in {**splits, "all apart": all_apart()}.items():
            left, answers = await told(kind, name, topology)
            assert not (differs := difference(whole, left)), "\n".join([name, *differs])
            assert figures(answers) == figures(said), name


async def test_an_event_that_is_lost_or_twice_or_of_somebody_else_makes_another_world(
    told: Tell,
) -> None:
    whole, _ = await told(whole_on(), "monolith", monolith())
    event = next(row for row in whole if row[0] == "profiles.activity_recorded.v1")
    rest = [row for row in whole if row is not event]
    another = next(
        row[1]["profile_id"]
        for row in rest
        if row[0] == event[0] and row[1]["profile_id"] != event[1]["profile_id"]
    )
    foreign = event[0], {**event[1], "profile_id": another}
    assert difference(whole, list(reversed(whole))) == []
    assert difference(whole, rest)
    assert difference(whole, [*whole, event])
    assert difference(whole, [*rest, foreign])


def figures(answers: Answers) -> object:
    """The numbers in what the API says: no ids and no times."""
    match answers:
        case dict():
            return {key: figures(value) for key, value in answers.items()}
        case list():
            return [figures(value) for value in answers]
        case int() | float():
            return answers
        case _:
            return None
