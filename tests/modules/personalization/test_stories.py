"""Whatever happens in whatever order, the answer is that of counting anew. On both databases."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, update

from martech.kernel.bus.replay import replay
from martech.kernel.clock import TestClock
from martech.kernel.columns import table
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.settings import Settings
from martech.modules.personalization.domain.catalog import Catalog
from martech.modules.personalization.domain.commands import Expire
from martech.modules.personalization.domain.people import Person
from martech.modules.personalization.domain.reckoning import concerned
from martech.modules.personalization.service import PersonalizationService
from martech.modules.personalization.service.following import News
from martech.modules.personalization.service.rows import Segments
from martech.modules.profiles.contract import ProfilesMerged
from tests.modules.personalization.conftest import MODULES
from tests.modules.personalization.town import Town

pytestmark = pytest.mark.anyio

EVENTS = ("Order Completed", "Seen")


def condition(dice: random.Random, deep: int = 2) -> dict[str, Any]:
    kind = dice.choice(["all", "any", "not", "trait", "event", "event", "event"][3 * (not deep) :])
    if kind in ("all", "any"):
        return {kind: [condition(dice, deep - 1) for _ in range(dice.randint(1, 3))]}
    if kind == "not":
        return {"not": condition(dice, deep - 1)}
    if kind == "trait":
        is_ = dice.choice(["equals", "not_equals", "exists", "missing", "at_least", "one_of"])
        value = {"one_of": ["a", "b"]}.get(is_, dice.choice("abc"))
        return {"trait": dice.choice("xy"), "is": is_} | (
            {} if is_ in ("exists", "missing") else {"value": value}
        )
    made: dict[str, Any] = {"event": dice.choice(EVENTS)}
    if dice.random() < 0.5:
        made["sum"] = "revenue"
    bound = dice.choice(["at_least", "more_than", "at_most", "less_than"])
    made[bound] = dice.choice([1, 2, 3, 5]) * (10.25 if "sum" in made else 1)
    if dice.random() < 0.7:
        made["within"] = dice.choice(["PT1H", "P1D", "P7D"])
    if dice.random() < 0.3:
        made["where"] = [{"property": "shop", "is": "equals", "value": dice.choice("ab")}]
    return made


def live(town: Town, dice: random.Random, people: list[UUID]) -> None:
    """Something happens to somebody. Nothing is told of whoever was merged."""
    alive = [person for person in people if person not in town.oracle.kept]
    who = dice.choice(alive)
    fate = dice.random()
    if fate < 0.75:
        revenue = {"revenue": dice.choice([5.1, 10.25, 20, 31.4, -7.7])}
        ago = dice.choice([0, 0, 0, 0.5, 1, 3, 24, 30, 200])
        shop = dice.choice([{}, {"shop": "a"}, {"shop": "b"}])
        town.act(who, dice.choice(EVENTS), ago, **revenue, **shop)
    elif fate < 0.93:
        town.change(who, **{dice.choice("xy"): dice.choice([None, "a", "b", "c"])})
    elif len(alive) > 3 and (other := dice.choice(alive)) != who:
        town.merge(who, other)


@pytest.mark.parametrize("seed", range(4))
async def test_the_answer_is_that_of_counting_anew(
    town: Town, seed: int, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await story(town, random.Random(seed), 600 if full else 120, monkeypatch)


async def story(
    town: Town, dice: random.Random, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("martech.modules.personalization.service.computing.PAGE", 3)
    people = [UUID(int=dice.getrandbits(128)) for _ in range(15)]
    made: dict[UUID, object] = {}
    for _ in range(length):
        fate = dice.random()
        if fate < 0.55:
            for _ in range(dice.randint(1, 12)):
                live(town, dice, people)
        elif fate < 0.7:
            await town.hear()
        elif fate < 0.8:
            town.clock.move(timedelta(hours=dice.choice([0.25, 0.5, 1, 7, 24])))
        elif fate < 0.9:
            await step(town)
        elif fate < 0.98:
            await decide(town, dice, made)
        else:
            await town.settle()
            await town.check(made)
    await town.settle()
    await town.check(made)
    for hours in (0.5, 0.5, 23, 12, 24, 120):  # and then nothing happens any more
        town.clock.move(timedelta(hours=hours))
        await town.work()
        await town.check(made)


async def decide(town: Town, dice: random.Random, made: dict[UUID, object]) -> None:
    """Make, change or delete a segment."""
    wanted = condition(dice)
    if len(made) < 3 or dice.random() < 0.4:
        made[await town.define(wanted)] = wanted
        return
    segment = dice.choice(list(made))
    async with town.host.unit("personalization", town.tenant) as service:
        if dice.random() < 0.6:
            await service.change_segment(segment, "changed", wanted)
            made[segment] = wanted
        else:
            await service.delete_segment(segment)
            del made[segment]


async def step(town: Town) -> None:
    """One command, if one is due."""
    carrier = Jobs(town.host).carriers["personalization"]
    ids, _ = await carrier.sweep(1)
    for id_ in ids:
        await carrier.carry_out(id_)


async def test_built_anew_from_what_profiles_told_it_is_the_same(town: Town) -> None:
    """An emptied projection that hears everything again holds the same rows."""
    dice = random.Random(7)
    people = [UUID(int=dice.getrandbits(128)) for _ in range(12)]
    made = {await town.define(wanted): wanted for wanted in (condition(dice) for _ in range(8))}
    await town.settle()
    for _ in range(20):
        for _ in range(10):
            live(town, dice, people)
        await town.settle()
    before = await answers(town)
    await forget(town)
    await replay(town.host, "personalization.keep_segments_current", 0)
    await town.settle()
    assert await answers(town) == before
    assert {s: await town.members(s) for s in made} == {
        s: town.oracle.members(wanted, town.now) for s, wanted in made.items()
    }


async def answers(town: Town) -> list[Any]:
    """All rows; but from when a window's running number is, and when it is to be looked at again,
    depends on when it was looked at last, and changes no answer; nor does in which turn, which
    goes on."""
    names = ("behaviour", "members", "segments", "registers")
    theirs = [await town.rows(name, "turn") for name in names]
    return [await town.rows("people", "tallies", "wake"), *theirs]


async def forget(town: Town) -> None:
    """Empty what was made of the news; what segments there are is no news of profiles."""
    database = town.host.databases["personalization"]
    rows = {name: table(database.metadata, name) for name in ("people", "behaviour", "members")}
    async with database.across() as connection:
        for one in rows.values():
            await connection.execute(delete(one))
        await connection.execute(update(table(database.metadata, "segments")).values(size=0))
        await connection.execute(update(table(database.metadata, "registers")).values(people=0))


class Timeless(PersonalizationService):
    """Nobody ever leaves because time goes by."""

    async def expire(self, _: Expire) -> None:
        return


class Hasty(PersonalizationService):
    """Judges by running numbers alone, whatever fell out of the window."""

    async def _reckon(self, some: Sequence[Person], catalog: Catalog, now: int) -> None:
        for person in some:
            person.asked |= concerned(person, catalog)


class Divided(PersonalizationService):
    """Two who turned out to be one stay two."""

    async def follow(self, news: Sequence[News]) -> None:
        await super().follow([one for one in news if not isinstance(one, ProfilesMerged)])


class Overlooking(PersonalizationService):
    """Does not hold a new segment against those who come while it is computed."""

    async def follow(self, news: Sequence[News]) -> None:
        self.live = True
        await super().follow(news)

    async def _segments(self) -> Segments:
        found = await super()._segments()
        if not hasattr(self, "live"):
            return found
        return Segments(
            found.catalog, {k: one._replace(looked_to=None) for k, one in found.standing.items()}
        )


@pytest.mark.parametrize("defect", [Timeless, Hasty, Divided, Overlooking])
async def test_the_stories_notice_what_they_are_for(
    url: str,
    clock: TestClock,
    defect: type[PersonalizationService],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modules = [replace(m, service=defect) if m.name == "personalization" else m for m in MODULES]
    async with Host(modules, Settings(database_url=url), clock=clock) as host:
        with pytest.raises(AssertionError):
            for seed in range(12):
                town = Town(host, clock)
                await story(town, random.Random(seed), 120, monkeypatch)


class Crowd:
    """Callers, the bus and holders of commands, all at once."""

    def __init__(self, town: Town, rounds: int) -> None:
        self.town = town
        self.rounds = rounds
        self.dice = random.Random(11)
        self.people = [UUID(int=self.dice.getrandbits(128)) for _ in range(30)]
        self.made: dict[UUID, object] = {}

    async def call(self) -> None:
        for number in range(self.rounds):
            wanted = condition(self.dice)
            segment = self.dice.choice(list(self.made)) if self.made else None
            if segment is None or number % 3 == 1:
                self.made[await self.town.define(wanted)] = wanted
                continue
            async with self.town.host.unit("personalization", self.town.tenant) as service:
                if number % 7 == 0:
                    await service.delete_segment(segment)
                else:
                    await service.change_segment(segment, "changed", wanted)
            del self.made[segment]
            if number % 7:
                self.made[segment] = wanted

    async def go_on(self) -> None:
        for _ in range(self.rounds):
            for _ in range(8):
                live(self.town, self.dice, self.people)
            self.town.clock.move(timedelta(minutes=self.dice.choice([1, 20, 90])))
            await self.town.hear()

    async def work(self) -> None:
        for _ in range(self.rounds):
            await self.town.work()


async def test_segments_are_made_and_changed_beside_what_goes_on(
    town: Town, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("martech.modules.personalization.service.computing.PAGE", 5)
    crowd = Crowd(town, 100 if full else 20)
    async with asyncio.TaskGroup() as tasks:
        for task in (crowd.call, crowd.go_on, crowd.work, crowd.work):
            tasks.create_task(task())
    await town.settle()
    assert await town.rows("parked") == []
    assert {command[-1] for command in await town.rows("commands")} <= {None}
    await town.check(crowd.made)
