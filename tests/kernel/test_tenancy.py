"""The second wall: what happens when a query forgets its tenant."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import (
    Boolean,
    Executable,
    Select,
    and_,
    column,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    table,
    text,
    true,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import visitors

from martech.kernel.host import Host
from martech.kernel.tenancy import WallBreached, read_from
from tests.sample.shop.tables import prices, sales

pytestmark = pytest.mark.anyio

MINE, THEIRS = uuid4(), uuid4()
OTHER = sales.alias("other")


@pytest.fixture
async def two_tenants(sample: Host) -> Host:
    for tenant, article in ((MINE, "mine"), (THEIRS, "theirs")):
        async with sample.unit("shop", tenant) as shop:
            await shop.change_price(article)
    return sample


FORGETFUL: dict[str, Executable] = {
    "a select without a filter": select(prices.c.article),
    "a filter with another tenant": select(prices.c.article).where(prices.c.tenant == THEIRS),
    "a filter that is only one of two": select(prices.c.article).where(
        (prices.c.tenant == MINE) | (prices.c.version == 1)
    ),
    "a join with one side open": select(prices.c.article)
    .select_from(sales.outerjoin(prices, prices.c.version != sales.c.number))
    .where(sales.c.tenant == MINE),
    "a subquery that is open": select(prices.c.article).where(
        prices.c.tenant == MINE,
        prices.c.version >= select(func.min(sales.c.number)).scalar_subquery(),
    ),
    "an alias without a filter": select(prices.alias("p").c.article),
    "a union with one side open": select(prices.c.article)
    .where(prices.c.tenant == MINE)
    .union_all(select(prices.c.article)),
    "an outer join that bounds the wrong side": select(prices.c.article).select_from(
        prices.outerjoin(sales, and_(sales.c.tenant == MINE, prices.c.tenant == MINE))
    ),
    "a filter on the other table": select(prices.c.article).where(sales.c.tenant == MINE),
    "a join on the right of another": select(prices.c.article)
    .select_from(sales.outerjoin(prices.join(OTHER, true()), true()))
    .where(sales.c.tenant == MINE, OTHER.c.tenant == MINE),
    "an alias of an alias": select(prices.alias("a").alias("b").c.article),
}


OF_SALES = select(sales.c.number).where(sales.c.tenant == MINE)
READING: dict[str, Select[Any]] = {
    "a table": OF_SALES,
    "two of them": OF_SALES.where(prices.c.version == sales.c.number),
    "a join of its own": OF_SALES.join(prices, prices.c.version == sales.c.number),
    "a join of what a subquery says": select(OF_SALES.subquery().c.number).join(prices, true()),
    "a lateral": select(prices.c.article, OF_SALES.lateral().c.number),
    "a common table": select(OF_SALES.cte().c.number),
    "a table in a condition only": select(func.count()).where(sales.c.tenant == MINE),
    "one that looks at an outer one": select(sales.c.number).where(
        select(prices.c.article).where(prices.c.version == sales.c.number).correlate(sales).exists()
    ),
    "nothing": select(literal(1)),
}


@pytest.mark.parametrize("statement", READING.values(), ids=READING.keys())
def test_what_a_statement_reads_is_what_sqlalchemy_makes_of_it(statement: Select[Any]) -> None:
    for each in visitors.iterate(statement):
        if isinstance(each, Select):
            assert list(map(str, read_from(each))) == list(map(str, each.get_final_froms()))


@pytest.mark.parametrize("statement", FORGETFUL.values(), ids=FORGETFUL.keys())
async def test_a_forgetful_query_sees_nothing_of_another_tenant(
    two_tenants: Host, statement: Executable
) -> None:
    async with two_tenants.databases["shop"].transaction(MINE, write=False) as tx:
        try:
            seen = {row.article for row in await tx.execute(statement)}
        except WallBreached:
            return  # SQLite: refused before it ran
    assert two_tenants.databases["shop"].engine.dialect.name == "postgresql"
    assert seen <= {"mine"}


CHANGES: dict[str, Executable] = {
    "update": update(prices).values(version=99),
    "update of another's": update(prices).where(prices.c.tenant == THEIRS).values(version=99),
    "delete": delete(prices).where(prices.c.article == "theirs"),
    "update by what another table holds": update(sales)
    .where(sales.c.tenant == MINE, prices.c.version == sales.c.number)
    .values(buyer=prices.c.article),
    "delete by what another table holds": delete(sales).where(
        sales.c.tenant == MINE, prices.c.version == sales.c.number
    ),
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES.keys())
async def test_a_forgetful_change_touches_nothing_of_another_tenant(
    two_tenants: Host, statement: Executable
) -> None:
    database = two_tenants.databases["shop"]
    try:
        async with database.transaction(MINE) as tx:
            await tx.execute(statement)
    except WallBreached:
        assert database.engine.dialect.name == "sqlite"
    async with database.transaction(THEIRS, write=False) as tx:
        theirs = select(prices.c.version).where(prices.c.tenant == THEIRS)
        assert (await tx.execute(theirs)).scalar_one() == 1


async def test_a_row_does_not_move_to_another_tenant(two_tenants: Host) -> None:
    mine = update(prices).where(prices.c.tenant == MINE)
    for statement, rows in ((mine.values(tenant=THEIRS), None), (mine, [{"tenant": THEIRS}])):
        with pytest.raises((WallBreached, DBAPIError)):
            async with two_tenants.databases["shop"].transaction(MINE) as tx:
                await tx.execute(statement, rows)


@pytest.mark.parametrize(("keys", "change"), [(["article"], "version"), (["tenant"], "tenant")])
async def test_a_conflict_with_another_tenants_row_changes_nothing(
    sample: Host, keys: list[str], change: str
) -> None:
    row = {"tenant": MINE, "article": "tea", "version": 1}
    with pytest.raises((WallBreached, DBAPIError)):
        async with sample.databases["shop"].transaction(MINE) as tx:
            await tx.upsert(prices, [row], keys=keys, update=[change])


async def test_a_row_for_another_tenant_is_refused(sample: Host) -> None:
    row = {"tenant": THEIRS, "article": "smuggled", "version": 1}
    with pytest.raises((WallBreached, DBAPIError)):
        async with sample.databases["shop"].transaction(MINE) as tx:
            await tx.execute(insert(prices), [row])


@pytest.mark.parametrize(
    "statement",
    [
        text("SELECT article FROM shop.prices"),
        select(text("article")).select_from(prices).where(prices.c.tenant == MINE),
        select(literal_column("(SELECT min(article) FROM shop.prices)")),
        select(prices.c.article).where(
            prices.c.tenant == MINE, literal_column("true OR true", Boolean)
        ),
        select(column("article")).select_from(table("prices", schema="shop")),
        select(func.set_config("martech.tenant", "*", True)),
    ],
    ids=[
        "raw text",
        "a bit of text",
        "a column of text",
        "text in a filter",
        "a table of text",
        "the function that changes the scope",
    ],
)
async def test_text_is_refused_on_both_databases(sample: Host, statement: Executable) -> None:
    with pytest.raises(WallBreached):
        async with sample.databases["shop"].transaction(MINE) as tx:
            await tx.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        insert(prices).values(tenant=THEIRS, article="smuggled", version=1),
        insert(prices).from_select(
            ["tenant", "article", "version"],
            select(literal(THEIRS), prices.c.article, prices.c.version).where(
                prices.c.tenant == MINE
            ),
        ),
    ],
    ids=["values inside the statement", "insert from select"],
)
async def test_rows_hidden_in_a_statement_are_refused(sample: Host, statement: Executable) -> None:
    async with sample.unit("shop", MINE) as shop:
        await shop.change_price("mine")
    with pytest.raises((WallBreached, DBAPIError)):
        async with sample.databases["shop"].transaction(MINE) as tx:
            await tx.execute(statement)


async def test_the_suite_is_not_connected_as_somebody_who_sees_through_the_wall(
    sample: Host,
) -> None:
    for name, database in sample.databases.items():
        if database.engine.dialect.name == "postgresql":
            async with database.across(write=False) as connection:
                role = text(
                    "SELECT current_user, rolsuper, rolbypassrls FROM pg_roles"
                    " WHERE rolname = current_user"
                )
                assert tuple((await connection.execute(role)).one()) == (name, False, False)


async def test_a_neighbours_schema_is_out_of_reach(sample: Host) -> None:
    async with sample.databases["ledger"].across(write=False) as connection:
        with pytest.raises(DBAPIError):
            await connection.execute(text("SELECT * FROM shop.prices"))
