"""Whatever happens in whatever order, the answer is that of counting anew. On both databases."""

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, update

from martech.kernel.bus.replay import replay
from martech.kernel.columns import table
from martech.kernel.jobs import Jobs
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


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_in_whatever_order_the_answer_is_that_of_counting_anew(
    town: Town, seed: int, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr("martech.modules.personalization.service.computing.PAGE", 3)
    people = [UUID(int=dice.getrandbits(128)) for _ in range(15)]
    made: dict[UUID, object] = {}
    for _ in range(600 if full else 120):
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
        elif fate < 0.93 or len(made) < 3:
            wanted = condition(dice)
            made[await town.define(wanted)] = wanted
        elif fate < 0.96:
            segment, wanted = dice.choice(list(made)), condition(dice)
            async with town.host.unit("personalization", town.tenant) as service:
                await service.change_segment(segment, "changed", wanted)
            made[segment] = wanted
        elif fate < 0.98:
            segment = dice.choice(list(made))
            del made[segment]
            async with town.host.unit("personalization", town.tenant) as service:
                await service.delete_segment(segment)
        else:
            await town.settle()
            await town.check(made)
    await town.settle()
    await town.check(made)


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
    depends on when it was looked at last, and changes no answer."""
    names = ("behaviour", "members", "segments", "registers")
    return [await town.rows("people", "tallies", "wake"), *[await town.rows(n) for n in names]]


async def forget(town: Town) -> None:
    """Empty what was made of the news; what segments there are is no news of profiles."""
    database = town.host.databases["personalization"]
    rows = {name: table(database.metadata, name) for name in ("people", "behaviour", "members")}
    async with database.across() as connection:
        for one in rows.values():
            await connection.execute(delete(one))
        await connection.execute(update(table(database.metadata, "segments")).values(size=0))
        await connection.execute(update(table(database.metadata, "registers")).values(people=0))


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
