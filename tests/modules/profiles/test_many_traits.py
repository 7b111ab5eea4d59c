"""Of a person so many traits are kept, whoever wrote them and in whichever order."""

import msgspec
import pytest
from sqlalchemy import func, select

from martech.kernel.host import Host
from martech.modules.profiles.contract import Profile, ProfileChanged
from martech.modules.profiles.domain import NULL
from martech.modules.profiles.tables import profiles
from martech.modules.tracking.contract import TrackedEvent
from tests.modules.profiles.items import item, track
from tests.modules.profiles.test_recording import TENANT, person, told

pytestmark = pytest.mark.anyio


def of_one(start: int, end: int, value: object = 0) -> dict[str, object]:
    return {f"k{n:05}": value for n in range(start, end)}


async def ada(host: Host, *items: TrackedEvent) -> Profile:
    await track(host, TENANT, *([each] for each in items))
    return await person(host, "ada")


def in_pieces() -> list[TrackedEvent]:
    """More than is kept, by a user and by a device that turns out to be hers."""
    return [
        item(1, "identify", "ada", traits=of_one(600, 1200) | {"plan": "pro"}),
        item(2, "identify", anonymous="phone", traits=of_one(0, 700) | {"email": "a@x.org"}),
        item(3, "identify", "ada", traits=of_one(0, 300, "new")),
        item(4, user="ada", anonymous="phone"),
        item(5, "identify", "ada", traits={"k01190": 5, "k00001": "newest"}),
    ]


async def test_of_a_person_a_thousand_traits_are_kept(host: Host) -> None:
    kept = (await ada(host, *in_pieces())).traits
    wanted = of_one(0, 998) | of_one(0, 300, "new") | {"k00001": "newest"}
    wanted |= {"email": "a@x.org", "plan": "pro"}
    assert {name: msgspec.json.decode(value) for name, value in kept.items()} == wanted


async def test_neighbours_are_told_what_is_gone_for_being_too_many(host: Host) -> None:
    first, *others = in_pieces()
    kept = await ada(host, first, *others)
    followed: dict[str, msgspec.Raw] = {}
    for told_of in await told(host, ProfileChanged):
        for change in told_of.items:
            if change.profile_id == kept.id:
                followed |= change.traits
    assert {n: v for n, v in followed.items() if v != NULL} == kept.traits


async def test_of_a_person_256_kilobytes_are_kept(host: Host) -> None:
    of_each = [{f"k{n:02}": "x" * 30_000, "later": n} for n in range(30)]
    items = [item(n, "identify", "ada", traits=each) for n, each in enumerate(of_each)]
    kept = await ada(host, *items, item(40, "identify", "ada", traits={"k07": 1, "email": "none"}))
    assert sorted(kept.traits) == ["email", *(f"k{n:02}" for n in range(8))]
    assert kept.traits["k07"] == msgspec.Raw(b"1")
    async with host.databases["profiles"].across(write=False) as connection:
        longest = await connection.execute(select(func.max(func.length(profiles.c.traits))))
        assert (longest.scalar() or 0) < 300_000
