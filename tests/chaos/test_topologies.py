"""The same story is told whole and split, and ends in the same world (HOUSE §9.3).

`make test` tells it as a monolith, all apart, and with one module alone outside, which the commit
chooses. `make chaos` tells it in every topology, over every feed, on both databases.
"""

from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from martech.app import installed
from tests import databases, servers
from tests.chaos.choosing import outside, whole_on
from tests.chaos.nodes import Topology, all_apart, monolith, nodes, one_outside
from tests.chaos.tale import BUYERS, LATE, Answers, tell
from tests.chaos.worlds import Row, World, difference, world
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


ADA, BOB = "01a1fe4f-c7f9-744a-9796-e8853c7cb129", "01a1fe51-2c98-764d-812f-b8740e302a3f"


def bought(who: str, order: str, at: str = "2026-11-21T14:00:00Z") -> Row:
    said = {"profile_id": who, "event": "Order Completed", "order": order, "at": at}
    return "profiles.activity_recorded.v1", said


WORLD = [
    ("profiles.profiles", {"id": ADA, "name": "Ada"}),
    ("profiles.profiles", {"id": BOB, "name": "Bob"}),
    bought(ADA, "1"),
    bought(ADA, "2"),
    bought(BOB, "3"),
]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(WORLD[:-1], id="lost"),
        pytest.param([*WORLD, WORLD[-1]], id="told twice"),
        pytest.param([*WORLD[:-1], bought(ADA, "3")], id="said of somebody else"),
    ],
)
def test_with_an_event_more_or_less_or_of_somebody_else_it_is_another_world(other: World) -> None:
    assert difference(WORLD, other)


def test_other_ids_other_times_and_another_order_make_no_difference() -> None:
    ids = {ADA: str(uuid4()), BOB: str(uuid4())}
    renamed = [(where, {**said, **_as(said, ids)}) for where, said in reversed(WORLD)]
    assert difference(WORLD, renamed) == []


def _as(said: dict[str, str], ids: dict[str, str]) -> dict[str, str]:
    """The same row of another run."""
    ours = {key: ids[value] for key, value in said.items() if value in ids}
    return {**ours, "at": "2026-11-22T09:30:00.5Z"} if "at" in said else ours


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
