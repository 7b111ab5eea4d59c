"""A page looks through few rows and holds few bytes, however many there are; all pages together
hold everything."""

import random
from collections.abc import Iterator, Sequence

import pytest

from martech.modules.profiles.service import pages, remembering
from martech.modules.tracking.contract import TrackedEvent
from tests.modules.profiles.conftest import Counter
from tests.modules.profiles.items import item

pytestmark = pytest.mark.anyio

LISTS = ["/people/{ada}/timeline", "/activities"]
Rows = list[dict[str, object]]


@pytest.fixture
def looked_through(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(pages, "LOOKED_THROUGH", 7)
    return 7


def deeds(number: int) -> Iterator[TrackedEvent]:
    """Of Ada on three devices and of a stranger, many things at the same moment."""
    dice = random.Random(number)
    for n in range(3):
        yield item(n, user="ada", anonymous=f"d{n}", event="Came", minute=n)
    for n in range(3, number):
        who = dice.choice(["d0", "d1", "d1", "d2", "stranger"])
        event = dice.choice(["Seen", "Seen", "Seen", "Bought"])
        yield item(n, anonymous=who, minute=dice.randrange(4), event=event)


async def walk(counter: Counter, path: str, **asked: object) -> list[Rows]:
    """The pages of a list."""
    found, after = list[Rows](), dict[str, object]()
    while True:
        page = await counter.get(path, **asked, **after)
        found.append(page["data"])  # type: ignore[arg-type]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


def of_all(found: Sequence[Rows]) -> Rows:
    return [row for page in found for row in page]


@pytest.mark.usefixtures("looked_through")
@pytest.mark.parametrize("path", LISTS)
async def test_the_pages_of_an_event_hold_all_of_it_in_order(counter: Counter, path: str) -> None:
    await counter.track(list(deeds(60)))
    path = path.format(ada=await counter.person("ada"))
    everything = await counter.pages(path)
    for event in ("Seen", "Bought", "Came", "Never"):
        wanted = [row for row in everything if row["event"] == event]
        assert bool(wanted) == (event != "Never"), event
        for limit in (1, 2, 7, 1000):
            found = await walk(counter, path, event=event, limit=limit)
            assert of_all(found) == wanted, (event, limit)


@pytest.mark.parametrize("path", LISTS)
async def test_what_is_rare_is_not_looked_for_among_millions(
    counter: Counter, path: str, looked_through: int
) -> None:
    await counter.track(list(deeds(60)))
    path = path.format(ada=await counter.person("ada"))
    behind = len(await counter.pages(path))
    found = await walk(counter, path, event="Never")
    assert of_all(found) == []
    assert len(found) == behind // looked_through + 1


@pytest.mark.parametrize("path", LISTS)
async def test_a_page_of_an_event_ends_where_the_looking_ended(
    counter: Counter, path: str, looked_through: int
) -> None:
    await counter.track(list(deeds(60)))
    path = path.format(ada=await counter.person("ada"))
    everything = await counter.pages(path)
    for number, page in enumerate(await walk(counter, path, event="Seen")):
        seen = everything[number * looked_through :][:looked_through]
        assert page == [row for row in seen if row["event"] == "Seen"]


async def test_a_page_of_a_timeline_is_of_few_names_and_the_pages_are_of_all(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await counter.track(list(deeds(60)))
    path = f"/people/{await counter.person('ada')}/timeline"
    wanted = await counter.pages(path)
    monkeypatch.setattr(remembering, "BRANCHES", 2)
    found = await walk(counter, path)
    assert of_all(found) == wanted
    names = [{str(row["identity"]) for row in page} for page in found]
    assert len(set().union(*names)) == 4
    assert max(map(len, names)) == 2


async def test_people_who_were_merged_are_passed_over_few_at_a_time(
    counter: Counter, looked_through: int
) -> None:
    strangers = [item(n, anonymous=f"d{n}", minute=n) for n in range(1, 30)]
    same = [item(30 + n, user="ada", anonymous=f"d{n}") for n in range(1, 30) if n % 10]
    await counter.track([*strangers, *same])
    people = of_all(await walk(counter, "/people", limit=1))
    assert [row["identities"][0]["value"] for row in people] == ["ada", "d10", "d20"]  # type: ignore[index]
    found = await walk(counter, "/people")
    assert of_all(found) == people
    assert len(found) == 29 // looked_through + 1


@pytest.mark.parametrize("path", [*LISTS, "/people"])
async def test_a_page_weighs_little_whatever_is_in_its_rows(counter: Counter, path: str) -> None:
    fat = {f"k{n}": "x" * 30_000 for n in range(8)}
    people = [item(n, "identify", f"u{n:03}", traits=fat) for n in range(40)]
    done = [item(n, user="ada", properties=fat) for n in range(40, 80)]
    for each in zip(people, done, strict=True):
        await counter.track(each)
    path = path.format(ada=await counter.person("ada"))
    found = await walk(counter, path, limit=1000)
    assert max(len(str(page)) for page in found) < pages.BYTES * 1.01
    assert len(of_all(found)) == {"/people": 41, "/activities": 80}.get(path, 40)
    assert len(found) < 8


@pytest.mark.parametrize("room", [0, 300, 900])
async def test_however_little_fits_the_pages_hold_everything(
    counter: Counter, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(room)
    said = [{"text": "x" * dice.choice([1, 100, 500])} for _ in range(30)]
    people = [item(n, "identify", f"u{n}", f"d{n}", traits=each) for n, each in enumerate(said)]
    done = [item(30 + n, user="ada", minute=-n, properties=each) for n, each in enumerate(said)]
    await counter.track([*people, *done, item(70, user="ada")])
    ada = await counter.person("ada")
    wanted = {path: await counter.pages(path.format(ada=ada)) for path in (*LISTS, "/people")}
    monkeypatch.setattr(pages, "BYTES", room)
    for path, rows in wanted.items():
        found = await walk(counter, path.format(ada=ada), limit=1000)
        assert of_all(found) == rows, path
        assert all(found), path
        assert len(found) > 8, path


async def test_names_weigh_something_too(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [item(n, user=f"u{n % 5}", anonymous=f"d{n}") for n in range(50)]
    await counter.track(devices)
    wanted = await counter.pages("/people")
    monkeypatch.setattr(pages, "BYTES", 2 * 11 * 200 + 100)
    found = await walk(counter, "/people")
    assert of_all(found) == wanted
    assert [len(page) for page in found] == [2, 2, 1]
