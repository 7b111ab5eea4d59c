"""Times come back as they went in, on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import DateTime, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import StatementError

from martech.kernel.columns import UtcDateTime
from martech.kernel.commands import Commands
from martech.kernel.host import Host
from tests.kitchen import TENANT
from tests.sample.kitchen.domain import Bake

DIALECT = sqlite.dialect()
ours = UtcDateTime().bind_processor(DIALECT)
theirs = DateTime().dialect_impl(DIALECT).bind_processor(DIALECT)
zones = st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))


@given(st.datetimes(*(datetime(y, 1, 1) for y in (2, 9998)), timezones=zones))  # noqa: DTZ001
def test_sqlite_stores_the_text_that_sqlalchemy_would(value: datetime) -> None:
    assert ours(value) == theirs(value.astimezone(UTC).replace(tzinfo=None))


@pytest.mark.anyio
@pytest.mark.parametrize("said", ["a\0b", "a\udcffb"], ids=["NUL", "half of a pair"])
async def test_what_an_exception_says_is_stored_whatever_it_says(sample: Host, said: str) -> None:
    database = sample.databases["kitchen"]
    commands = Commands(database.metadata)
    async with sample.unit("kitchen", TENANT) as kitchen:
        await kitchen.order(Bake(number=1))
    async with database.unit() as unit:
        (id_,) = await commands.due(unit, 1)
        lease = await commands.lease(unit, id_)
        assert lease
        await commands.fail(unit, lease, said)
    async with database.across(write=False) as connection:
        errors = await connection.execute(select(commands.table.c.error))
    assert errors.scalar_one() in ("a\ufffdb", "a?b")


@pytest.mark.anyio
async def test_a_time_without_a_zone_is_refused(sample: Host) -> None:
    with pytest.raises((StatementError, ValueError), match="time zone"):
        async with sample.databases["shop"].across() as connection:
            table = sample.databases["shop"].metadata.tables["shop.idempotency"]
            row = {"tenant": uuid4(), "key": "k", "fingerprint": b"", "answer": b""}
            naive = datetime(2026, 1, 1)  # noqa: DTZ001
            await connection.execute(table.insert(), [{**row, "created": naive}])
