"""Segments follow what people do and are. On both databases."""

from datetime import timedelta
from uuid import UUID

import pytest

from martech.kernel.errors import NotFound, Unavailable
from tests.modules.personalization.town import Town

pytestmark = pytest.mark.anyio

ADA, BOB, EVE = (UUID(int=n) for n in (1, 2, 3))
THREE = {"event": "Order Completed", "at_least": 3}
RECENT = {"event": "Order Completed", "at_least": 2, "within": "P1D"}
BIG = {"event": "Order Completed", "sum": "revenue", "at_least": 100, "within": "P7D"}


async def test_somebody_enters_with_the_event_that_is_enough(town: Town) -> None:
    segment = await town.define(THREE)
    await town.settle()
    for _ in range(2):
        town.act(ADA)
    await town.hear()
    assert await town.changes() == []
    town.act(ADA)
    await town.hear()
    (change,) = await town.changes()
    assert (change.segment_id, change.profile_id) == (segment, ADA)
    assert (change.change, change.version, change.at) == ("entered", 1, town.now)
    await town.check({segment: THREE})


async def test_the_past_counts_for_a_new_segment(town: Town) -> None:
    for n in range(5):
        town.act(ADA, ago=n)
    town.act(BOB)
    town.change(EVE, city="Ulm")
    await town.settle()
    conditions = [THREE, {"not": THREE}, {"trait": "city", "is": "equals", "value": "Ulm"}, RECENT]
    made = {await town.define(c): c for c in conditions}
    await town.work()
    await town.check(made)


async def test_until_a_segment_is_computed_it_says_how_far(town: Town) -> None:
    town.change(ADA, city="Ulm")
    await town.settle()
    segment = await town.define({"trait": "city", "is": "exists"})
    with pytest.raises(Unavailable, match="is being computed"):
        await town.members(segment)
    async with town.host.unit("personalization", town.tenant, write=False) as service:
        found = await service.segment(segment)
    assert (found.ready, found.progress, found.size) == (False, 0, 0)


async def test_time_alone_lets_somebody_leave_at_exactly_the_moment(town: Town) -> None:
    quiet = {"event": "Order Completed", "at_most": 0, "within": "P1D"}
    made = {await town.define(c): c for c in (RECENT, quiet)}
    town.act(ADA, ago=1)
    town.act(ADA, ago=2)
    await town.settle()
    await town.check(made)
    town.clock.move(timedelta(hours=22) - timedelta(microseconds=1))
    await town.work()
    assert len(await town.changes()) == 1
    town.clock.move(timedelta(microseconds=1))
    await town.work()
    assert [c.change for c in await town.changes()] == ["entered", "exited"]
    await town.check(made)
    town.clock.move(timedelta(hours=1))
    await town.work()
    assert [c.change for c in await town.changes()] == ["entered", "exited", "entered"]
    await town.check(made)


async def test_those_whose_time_comes_within_a_second_are_served_together(town: Town) -> None:
    segment = await town.define(RECENT)
    for ago, person in enumerate((ADA, BOB, EVE)):
        for _ in range(2):
            town.act(person, ago=1 - ago / 7200)
    await town.settle()
    assert await town.members(segment) == {ADA, BOB, EVE}
    town.clock.move(timedelta(hours=23))
    await town.work()
    assert await town.members(segment) == {BOB, EVE}
    town.clock.move(timedelta(seconds=0.5))
    await town.work()
    assert await town.members(segment) == {BOB, EVE}
    town.clock.move(timedelta(seconds=0.5))
    await town.work()
    await town.check({segment: RECENT})
    assert await town.members(segment) == set()


async def test_what_happened_late_counts_if_it_is_within_the_window(town: Town) -> None:
    segment = await town.define(RECENT)
    town.act(ADA)
    await town.settle()
    town.act(ADA, ago=24)
    await town.settle()
    await town.check({segment: RECENT})
    town.act(ADA, ago=23)
    await town.settle()
    assert await town.members(segment) == {ADA}
    town.clock.move(timedelta(hours=1))
    await town.work()
    assert await town.members(segment) == set()


async def test_an_entry_is_not_told_for_what_fell_out_of_the_window_meanwhile(town: Town) -> None:
    """Nobody looked at Ada for days: what the running number still holds must not count."""
    segment = await town.define(RECENT)
    town.act(ADA)
    await town.settle()
    town.clock.move(timedelta(days=2))
    town.act(ADA)
    await town.settle()
    assert await town.changes() == []
    await town.check({segment: RECENT})


async def test_what_was_mergeds_is_kepts(town: Town) -> None:
    made = {await town.define(c): c for c in (THREE, RECENT, BIG)}
    for person in (ADA, BOB):
        for n in range(2):
            town.act(person, ago=12 * n, revenue=30)
    await town.settle()
    await town.check(made)
    town.merge(ADA, BOB)
    await town.settle()
    await town.check(made)
    town.merge(EVE, ADA)
    town.act(EVE, revenue=10.01)
    await town.settle()
    await town.check(made)
    for _ in range(20):
        town.clock.move(timedelta(hours=12))
        await town.work()
        await town.check(made)


async def test_a_batch_may_hold_everything_at_once(town: Town) -> None:
    made = {await town.define(c): c for c in (THREE, RECENT, BIG, {"not": BIG})}
    await town.settle()
    town.act(ADA, revenue=60)
    town.act(BOB, revenue=60)
    town.act(BOB)
    town.merge(ADA, BOB)
    town.merge(EVE, ADA)
    town.act(EVE, revenue=0.5)
    town.change(EVE, city="Bonn")
    await town.settle()
    await town.check(made)


async def test_a_changed_condition_is_a_version_of_its_own(town: Town) -> None:
    for n in range(3):
        town.act(ADA, ago=n)
    town.change(BOB, city="Ulm")
    segment = await town.define(THREE)
    await town.settle()
    ulm = {"trait": "city", "is": "equals", "value": "Ulm"}
    async with town.host.unit("personalization", town.tenant) as service:
        changed = await service.change_segment(segment, "other", ulm)
    assert (changed.version, changed.ready, changed.name) == (2, False, "other")
    await town.work()
    await town.check({segment: ulm})
    assert [(c.profile_id, c.change, c.version) for c in await town.changes()] == [
        (ADA, "entered", 1),
        (ADA, "exited", 2),
        (BOB, "entered", 2),
    ]


async def test_another_name_computes_nothing_anew(town: Town) -> None:
    segment = await town.define(THREE)
    await town.work()
    async with town.host.unit("personalization", town.tenant) as service:
        changed = await service.change_segment(segment, "other", THREE)
    assert (changed.version, changed.ready, changed.name) == (1, True, "other")


async def test_deleting_lets_everybody_leave(town: Town) -> None:
    for n in range(600):
        town.change(UUID(int=n), city="Ulm")
    segment = await town.define({"trait": "city", "is": "exists"})
    await town.settle()
    assert len(await town.members(segment)) == 600
    async with town.host.unit("personalization", town.tenant) as service:
        await service.delete_segment(segment)
    with pytest.raises(NotFound):
        await town.members(segment)
    town.change(UUID(int=601), city="Ulm")
    town.merge(UUID(int=5), UUID(int=6))
    await town.settle()
    await town.check({})
    assert await town.rows("members") == await town.rows("segments") == []


async def test_a_refund_that_comes_late_counts(town: Town) -> None:
    made = {await town.define(c): c for c in (BIG, {**BIG, "within": "P1D"})}
    town.act(ADA, revenue=120, ago=30)
    town.act(ADA, revenue=-30.5, ago=20)
    await town.settle()
    await town.check(made)
    town.act(ADA, revenue=10.5)
    await town.settle()
    await town.check(made)
    for _ in range(30):
        town.clock.move(timedelta(hours=6))
        await town.work()
        await town.check(made)


async def test_hearing_everything_again_changes_nothing(town: Town) -> None:
    made = {await town.define(c): c for c in (THREE, RECENT, BIG)}
    for n in range(4):
        town.act(ADA, ago=n, revenue=30)
        town.act(BOB, ago=n, revenue=20)
    town.change(BOB, city="Bonn")
    town.change(ADA, city="Ulm")
    town.merge(ADA, BOB)
    told = list(town.told)
    await town.settle()
    before = {name: await town.rows(name) for name in ("people", "behaviour", "members")}
    town.told = told
    await town.settle()
    assert {name: await town.rows(name) for name in before} == before
    await town.check(made)


async def test_more_than_a_page_of_a_past_is_read_to_its_end(town: Town) -> None:
    """Three hundred at one moment, and as many before and after."""
    many = {"event": "Order Completed", "at_least": 700, "within": "P1D"}
    for ago in (20.0, 10.0, 5.0):
        for _ in range(300):
            town.act(ADA, ago=ago)
    await town.hear()
    made = {await town.define(c): c for c in (many, {**many, "at_least": 250}, {"not": many})}
    for _ in range(8):
        await town.work()
        await town.check(made)
        town.clock.move(timedelta(hours=3))
