"""Who came to a segment since it was read. On both databases."""

from uuid import UUID

import pytest

from martech.kernel.errors import Invalid
from martech.modules.personalization.contract import Members
from tests.modules.personalization.conftest import Counter
from tests.modules.personalization.town import Town

pytestmark = pytest.mark.anyio

PEOPLE = [UUID(int=n) for n in range(1, 9)]
CITY = {"trait": "city", "is": "exists"}


async def read(town: Town, segment: UUID, **page: object) -> Members:
    async with town.host.unit("personalization", town.tenant, write=False) as service:
        found: Members = await service.members(segment, **page)
        return found


async def late(town: Town, segment: UUID, position: int, limit: int) -> list[Members]:
    """All pages of those who came behind it."""
    pages = [await read(town, segment, entered_after=position, limit=limit)]
    while (after := pages[-1].next) is not None:
        pages.append(await read(town, segment, entered_after=position, after=after, limit=limit))
    return pages


async def come(town: Town, *people: UUID) -> None:
    for person in people:
        town.change(person, city="Ulm")
    await town.settle()


async def test_who_is_merged_behind_the_page_that_is_read_comes_after_its_position(
    town: Town,
) -> None:
    segment = await town.define(CITY)
    town.change(PEOPLE[0])
    await come(town, *PEOPLE[1:])
    first = await read(town, segment, limit=3)
    town.merge(PEOPLE[0], PEOPLE[6])  # the one who was not read is one who would have been
    town.change(PEOPLE[0], city="Ulm")
    await town.settle()
    rest = await read(town, segment, after=first.next)

    assert PEOPLE[0] not in first.data + rest.data
    (page,) = await late(town, segment, first.position, 10)
    assert (page.data, page.position >= rest.position) == ([PEOPLE[0]], True)
    (page,) = await late(town, segment, page.position, 10)
    assert page.data == []


async def test_they_are_told_in_the_order_of_coming_and_whoever_left_is_not(town: Town) -> None:
    """The clock stands still, and who comes again comes last."""
    segment = await town.define(CITY)
    await come(town, PEOPLE[3])
    before = (await read(town, segment)).position
    await come(town, PEOPLE[7])
    await come(town, PEOPLE[5], PEOPLE[1], PEOPLE[6])
    await come(town, PEOPLE[0], PEOPLE[2])
    town.change(PEOPLE[2], city=None)
    town.change(PEOPLE[7], city=None)
    await town.settle()
    await come(town, PEOPLE[7])

    pages = await late(town, segment, before, 2)
    told = [PEOPLE[n] for n in (1, 5, 6, 0, 7)]
    assert [person for page in pages for person in page.data] == told
    for number, page in enumerate(pages):  # what is asked for from there on misses nobody
        seen = {person for some in pages[: number + 1] for person in some.data}
        again = await late(town, segment, page.position, 100)
        assert seen | {person for some in again for person in some.data} == set(told)
    with pytest.raises(Invalid):
        await read(
            town, segment, entered_after=before, after=(await read(town, segment, limit=1)).next
        )


async def test_over_the_api_too(counter: Counter) -> None:
    town = counter.town
    segment = await town.define(CITY)
    await come(town, PEOPLE[3])
    path = f"/segments/{segment}/members"
    before = (await counter.call("GET", path)).json()
    await come(town, PEOPLE[1])
    after = await counter.call("GET", path, entered_after=before["position"])
    assert after.json()["data"] == [str(PEOPLE[1])]
    assert (await counter.call("GET", path, entered_after=2**63)).status_code == 422
