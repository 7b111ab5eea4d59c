"""Many rows written by one statement: the same on both databases, however many there are."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from martech.kernel.columns import table
from martech.kernel.db import many
from martech.kernel.db.many import Conflict, Insertion
from martech.kernel.host import Host
from tests.sample.shop.tables import prices

pytestmark = pytest.mark.anyio

TENANT = UUID(int=1)
WORDS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
ZONES = st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001


async def stored(host: Host) -> dict[str, int]:
    mine = select(prices.c.article, prices.c.version).where(prices.c.tenant == TENANT)
    async with host.databases["shop"].transaction(TENANT, write=False) as tx:
        return {row.article: row.version for row in await tx.execute(mine)}


def priced(*versions: int, version: int = 1) -> list[dict[str, Any]]:
    return [{"tenant": TENANT, "article": f"tea {n}", "version": version} for n in versions]


@pytest.mark.parametrize("number", [0, 1, 7, 8, 64, 500, 1001])
async def test_any_number_is_written(sample: Host, number: int) -> None:
    async with sample.databases["shop"].transaction(TENANT) as tx:
        await tx.insert(prices, priced(*range(number)))
    assert await stored(sample) == {f"tea {n}": 1 for n in range(number)}


async def test_those_that_are_there_stay_as_they_are(sample: Host) -> None:
    async with sample.databases["shop"].transaction(TENANT) as tx:
        first = await tx.insert_new(prices, priced(*range(0, 300, 3)), returning=["article"])
        twice = priced(*range(200), *range(200), version=2)
        new = await tx.insert_new(prices, twice, returning=["version", "article"])
    assert len(first) == 100
    assert {row.article for row in new} == {f"tea {n}" for n in range(200) if n % 3}
    assert len(new) == len({row.article for row in new})
    assert {row.version for row in new} == {2}


async def test_those_that_are_there_are_changed(sample: Host) -> None:
    async with sample.databases["shop"].transaction(TENANT) as tx:
        await tx.insert(prices, priced(*range(100)))
        keys = ["tenant", "article"]
        await tx.upsert(prices, priced(*range(50, 150), version=5), keys=keys, update=["version"])
        await tx.upsert(prices, priced(*range(140, 160), version=7), keys=keys, add=["version"])
    assert await stored(sample) == {
        **{f"tea {n}": 1 for n in range(50)},
        **{f"tea {n}": 5 for n in range(50, 140)},
        **{f"tea {n}": 12 for n in range(140, 150)},
        **{f"tea {n}": 7 for n in range(150, 160)},
    }


async def test_rows_of_two_shapes_are_refused(sample: Host) -> None:
    more = {"tenant": TENANT, "article": "coffee", "version": 1, "colour": "black"}
    for rows in ([*priced(1), more], [more, *priced(1)]):
        with pytest.raises(ValueError, match="same columns"):
            async with sample.databases["shop"].transaction(TENANT) as tx:
                await tx.insert(prices, rows)
    assert await stored(sample) == {}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.uuids(), MOMENTS, st.none() | MOMENTS, WORDS, st.binary()), max_size=80)
)
async def test_values_come_back_as_they_went(
    sample: Host, given: list[tuple[UUID, datetime, datetime | None, str, bytes]]
) -> None:
    database, name = sample.databases["shop"], str(uuid4())
    parked = table(database.metadata, "parked")
    fixed = {"subscription": name, "item": 0, "tenant": TENANT, "type": "t", "attempts": 1}
    rows = [
        {"event": event, "time": time, "due_at": due, "subject": word, "error": word, "data": data}
        | {"position": 2**62 + number}
        | fixed
        for number, (event, time, due, word, data) in enumerate(given)
    ]
    returning = ("position", "tenant", "event", "time", "due_at", "subject", "data")
    async with database.across() as connection:
        asked = Insertion(parked, tuple(rows[0]) if rows else (), Conflict(), returning)
        new = await many.insert(connection, asked, rows) if rows else []
        mine = select(*(parked.c[name] for name in returning)).where(parked.c.subscription == name)
        read = (await connection.execute(mine.order_by(parked.c.position))).all()
    expected = [tuple(row[name] for name in returning) for row in rows]
    assert sorted(map(tuple, new)) == expected
    assert [tuple(row) for row in read] == expected
    assert all(row.time.tzinfo is UTC for row in new)
