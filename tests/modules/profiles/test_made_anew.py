"""People are made anew from what was tracked, beside those in use; what they allow stays theirs."""

from typing import Any

import pytest
from sqlalchemy import Connection, Table, inspect, select, update

from martech.kernel import migrate, shadow
from martech.kernel.errors import Conflict
from martech.kernel.host import Host
from martech.modules.profiles.module import module as profiles_module
from martech.modules.profiles.tables import activities, consents, counts, identities, profiles
from tests.modules.profiles.conftest import Counter
from tests.modules.profiles.items import item
from tests.serving import TENANTS

pytestmark = pytest.mark.anyio

NAME = "profiles.record_what_was_tracked"
ELSEWHERE = 1_000
"""By how much the numbers in use are other ones than those of the ones made anew."""


async def rows(host: Host, table: Table) -> list[tuple[Any, ...]]:
    async with host.databases["profiles"].across(write=False) as connection:
        found = await connection.execute(select(table).order_by(*table.primary_key.columns))
        return [tuple(row) for row in found]


async def names(host: Host) -> list[object]:
    """Of the keys, constraints and indexes, by which later migrations call them."""

    def look(connection: Connection) -> list[object]:
        found = inspect(connection)
        of = "profiles"
        return [
            (
                found.get_pk_constraint(one.name, schema=of),
                found.get_unique_constraints(one.name, schema=of),
                sorted(str(index["name"]) for index in found.get_indexes(one.name, schema=of)),
            )
            for one in (profiles, identities, activities, counts)
        ]

    async with host.databases["profiles"].across(write=False) as connection:
        return await connection.run_sync(look)


async def fill(counter: Counter) -> None:
    """Some who turn out to be one, in two tenants; one of them has said something to us."""
    await counter.track(
        [item(1, anonymous="a"), item(2, anonymous="b", traits={"name": "B"}, type="identify")],
        [item(3, "identify", "ada", "a", traits={"email": "ada@example.com"})],
        [item(4, user="ada"), item(5, anonymous="b"), item(6, "identify", "ada", "b")],
    )
    await counter.track([item(7, user="jane")], tenant="globex")
    person = await counter.person("ada")
    said = {"status": "granted", "at": "2026-12-02T00:00:00Z"}
    answer = await counter.call("PUT", f"/people/{person}/consents/email", said)
    assert answer.is_success, answer.text


async def rebuild(host: Host) -> None:
    await shadow.rebuild(host, NAME, lambda *_: None)


async def test_what_is_made_anew_is_the_same_to_the_last_row(counter: Counter) -> None:
    await fill(counter)
    tables = (profiles, identities, activities, counts, consents)
    before = [await rows(counter.host, table) for table in tables]
    told = await counter.host.told("profiles")
    await rebuild(counter.host)
    assert [await rows(counter.host, table) for table in tables] == before
    assert await counter.host.told("profiles") == told


async def test_the_schema_is_what_the_migrations_made(counter: Counter, url: str) -> None:
    await fill(counter)
    before = await names(counter.host)
    await rebuild(counter.host)
    assert await migrate.drift(profiles_module, url) == []
    assert await names(counter.host) == before


async def test_what_people_allow_follows_them_to_other_numbers(counter: Counter) -> None:
    await fill(counter)
    person = await counter.person("ada")
    before = await counter.get(f"/people/{person}/consents")
    async with counter.host.databases["profiles"].across() as connection:
        for column in (identities.c.id, activities.c.identity, consents.c.identity):
            moved = update(column.table).values({column.name: column + ELSEWHERE})
            await connection.execute(moved)
    await rebuild(counter.host)
    numbers = {row[0] for row in await rows(counter.host, identities)}
    assert max(numbers) < ELSEWHERE
    assert {row[2] for row in await rows(counter.host, consents)} <= numbers
    assert await counter.get(f"/people/{person}/consents") == before
    await counter.track([item(8, "identify", "eve", traits={"email": "eve@example.com"})])
    assert await counter.person("eve") not in {person, None}


async def test_what_belongs_to_nobody_any_more_stops_the_swap(counter: Counter) -> None:
    await fill(counter)
    stranger = {
        "tenant": TENANTS["acme"], "kind": "user_id", "value": "nobody", "shared": False,
        "linked_by": "m", "linked_at": counter.host.clock.now(),
    }  # fmt: skip
    database = counter.host.databases["profiles"]
    async with database.across() as connection:
        known = await connection.execute(select(identities.c.profile_id).limit(1))
        stranger["profile_id"] = known.scalar_one()
        await connection.execute(identities.insert(), [stranger])
        made = await connection.execute(
            select(identities.c.id).where(identities.c.value == "nobody")
        )
        orphan = {"identity": made.scalar_one()}
        await connection.execute(update(consents).values(orphan))
    before = await rows(counter.host, identities)
    with pytest.raises(Conflict, match="are not made anew"):
        await rebuild(counter.host)
    assert await rows(counter.host, identities) == before
