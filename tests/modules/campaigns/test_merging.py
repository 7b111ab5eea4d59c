"""People who turn out to be one person while their segment is being read: nobody is passed over.
On both databases."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from martech.kernel.clock import TestClock
from martech.modules.campaigns.domain import send_of, steering
from martech.modules.campaigns.domain.steering import Handed, Standing
from tests.modules.campaigns.conftest import SEGMENT, Desk
from tests.modules.campaigns.crowd import Crowd
from tests.modules.campaigns.world import DRAFT

pytestmark = pytest.mark.anyio

FIRST = 10_000  # the smallest id of those who are in the segment


@pytest.fixture
async def crowded(desk: Desk) -> Desk:
    """Two thousand five hundred people are in the segment, and there is room before them."""
    await desk.publish()
    await desk.gather(range(FIRST, FIRST + 2500))
    return desk


def meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, then: Callable[[int, Crowd], Awaitable[object]]
) -> None:
    """Have something done behind each page, told its number."""
    members, pages = Crowd.members, 0

    async def read(self: Crowd, segment_id: UUID, **page: Any) -> Any:
        nonlocal pages
        found = await members(self, segment_id, **page)
        pages += 1
        async with desk.module("personalization") as crowd:
            await then(pages, crowd)
        return found

    monkeypatch.setattr(Crowd, "members", read)


async def launched(desk: Desk) -> tuple[str, set[UUID]]:
    """A campaign that was launched, and whom delivery has."""
    campaign = await desk.plan()
    await desk.order(campaign, "launch")
    await desk.settle()
    await desk.deliver()
    await desk.settle()
    async with desk.module("delivery") as office:
        return campaign, set(await office.sent())


async def test_whoever_is_merged_into_somebody_before_the_pages_is_reached(
    crowded: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once more, while those are read who came behind the pages."""
    merges = {1: (FIRST + 2400, 50), 2: (FIRST + 2300, 40), 3: (50, 30), 4: (2400, 20)}

    async def merge(pages: int, crowd: Crowd) -> None:
        if pages == 1:
            await crowd.gather(SEGMENT, [UUID(int=n) for n in range(1000, 2500)])
        if pages in merges:
            gone, kept = merges[pages]
            await crowd.merge(SEGMENT, UUID(int=kept), UUID(int=gone))

    meanwhile(crowded, monkeypatch, merge)
    campaign, sent = await launched(crowded)

    people = {*range(FIRST, FIRST + 2500), *range(1000, 2500), 20, 30, 40}
    people -= {FIRST + 2300, FIRST + 2400, 2400}
    assert sent == {UUID(int=n) for n in people}
    assert (await crowded.status(campaign))["status"] == "completed"


async def test_who_left_meanwhile_is_not_handed_over(
    crowded: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def come_and_go(pages: int, crowd: Crowd) -> None:
        if pages == 1:
            await crowd.gather(SEGMENT, [UUID(int=1), UUID(int=2)])
        elif pages == 2:
            await crowd.merge(SEGMENT, UUID(int=2), UUID(int=1))

    meanwhile(crowded, monkeypatch, come_and_go)
    _, sent = await launched(crowded)
    assert sent & {UUID(int=1), UUID(int=2)} == {UUID(int=2)}


async def test_the_latecomers_are_read_on_after_a_kill(
    crowded: Desk, monkeypatch: pytest.MonkeyPatch, clock: TestClock
) -> None:
    """In pages, and each is asked for with what the row has."""
    asked: list[tuple[int | None, bool]] = []
    members = Crowd.members

    async def read(self: Crowd, segment_id: UUID, **page: Any) -> Any:
        asked.append((page.get("entered_after"), page["after"] is None))
        if len(asked) == 1:
            found = await members(self, segment_id, **page)
            await crowded.gather(range(1500))
            return found
        if len(asked) == 5:
            raise ConnectionError("killed before the second page of those who came late")
        return await members(self, segment_id, **page)

    monkeypatch.setattr(Crowd, "members", read)
    campaign = await crowded.plan()
    await crowded.order(campaign, "launch")
    await crowded.settle()
    clock.move(timedelta(minutes=1))
    await crowded.settle()

    late = [page for page in asked if page[0] is not None]
    assert late == [(1, True), (1, False), (1, False)]
    assert (await crowded.status(campaign))["counts"]["audience"] == 4000
    assert (await crowded.asked(campaign))[-3:] == ["add 1000", "add 500", "seal"]


async def test_a_segment_that_was_computed_anew_is_read_from_its_beginning(
    crowded: Desk, monkeypatch: pytest.MonkeyPatch, clock: TestClock
) -> None:
    """Its turns begin anew, and what came behind one of before is not to be asked for."""
    members, asked = Crowd.members, 0

    async def read(self: Crowd, segment_id: UUID, **page: Any) -> Any:
        nonlocal asked
        asked += 1
        found = await members(self, segment_id, **page)
        return found if asked > 1 else found.__class__(data=found.data, next=found.next, position=9)

    monkeypatch.setattr(Crowd, "members", read)
    campaign = await crowded.plan()
    await crowded.order(campaign, "launch")
    await crowded.settle()
    clock.move(timedelta(minutes=5))
    await crowded.settle()

    assert asked == 2 + 3 + 1
    assert (await crowded.status(campaign))["counts"]["audience"] == 2500
    async with crowded.module("delivery") as office:
        assert (await office.send(send_of(UUID(campaign)))).sealed


def read_to(position: int) -> Standing:
    """A launch whose segment was read at that position, from the first on."""
    opened = steering.obey(DRAFT, "launch")._replace(stage="opened", settled=1)
    first = steering.after(opened, opened, Handed("1", 1))
    return steering.after(first, first, Handed(None, position))


def test_a_segment_that_grows_for_ever_does_not_keep_its_launch_open() -> None:
    late = read_to(7)
    assert (late.stage, late.began, late.ended) == ("late", 1, 7)
    for turn in range(8, 2 * steering.LATE):
        late = steering.after(late, late, Handed(f"{turn}", turn))
        if late.stage != "late":
            break
    assert (late.stage, turn) == ("read", 7 + steering.LATE + 1)


def test_of_a_segment_that_tells_no_position_nobody_is_read_late() -> None:
    assert read_to(0).stage == "late"  # its first page told one
    opened = steering.obey(DRAFT, "launch")._replace(stage="opened", settled=1)
    assert steering.after(opened, opened, Handed(None)).stage == "read"
