"""The same story is told whole and split, and ends in the same world (HOUSE §9.3).

`make test` tells it as a monolith, all apart, and with one module alone outside, which the commit
chooses. `make chaos` tells it in every topology, over every feed, on both databases.
"""

from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from time import monotonic

import pytest

from martech.app import installed
from tests import databases, servers
from tests.chaos.choosing import outside, whole_on
from tests.chaos.nodes import Topology, all_apart, monolith, nodes, one_outside
from tests.chaos.tale import BUYERS, LATE, Answers, tell
from tests.chaos.worlds import World, difference, world
from tests.sinks.smtp import sink

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]

Told = tuple[World, Answers]
Tell = Callable[[str, str, str, Topology], Awaitable[Told]]
"""On which database, over which feed, under which name, in which topology."""


@pytest.fixture
def told(tmp_path: Path, record_property: Callable[[str, object], None]) -> Tell:
    """Tells the story in a topology, and says how long that took."""

    async def telling(kind: str, feed: str, name: str, topology: Topology) -> Told:
        carried = {"MARTECH_BROKER_URL": servers.fresh_redis()} if feed == "redis" else {}
        folder = tmp_path / f"{kind} {feed} {name}"
        async with sink() as server:
            async with nodes(topology, kind, folder, server, **carried) as platform:
                began = monotonic()
                answers = await tell(platform, server)
                record_property("said", f"{name}, {feed}, {kind}: {monotonic() - began:.1f} s")
            kept = {module: platform.of[module].database for module in installed()}
            return await world(kept), answers

    return telling


async def test_split_it_ends_as_whole(told: Tell, full: bool) -> None:
    alone = installed() if full else [outside()]
    splits = {
        **{f"{module} outside": one_outside(module) for module in alone},
        "all apart": all_apart(),
    }
    for kind in databases.KINDS if full else [whole_on()]:
        whole, said = await told(kind, "local", "whole", monolith())
        assert said["the first"]["counts"]["delivered"] == BUYERS
        assert said["the second"]["counts"]["delivered"] == BUYERS + LATE - 1  # one wants no more
        for feed, (name, topology) in product(
            ["http", "redis"] if full else ["http"], splits.items()
        ):
            left, answers = await told(kind, feed, name, topology)
            assert not (differs := difference(whole, left)), "\n".join([name, feed, *differs])
            assert figures(answers) == figures(said), (name, feed)


async def test_an_event_that_is_lost_or_twice_or_of_somebody_else_makes_another_world(
    told: Tell,
) -> None:
    whole, _ = await told(whole_on(), "local", "whole", monolith())
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
