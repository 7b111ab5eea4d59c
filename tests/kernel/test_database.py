"""What a database of a module promises beside its walls."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError

from martech.kernel.db import engines
from martech.kernel.db.engines import sqlite_file
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases
from tests.sample.shop.tables import prices

pytestmark = pytest.mark.anyio

TENANT, OTHER = uuid4(), uuid4()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return databases.fresh("sqlite", databases.SAMPLE, tmp_path)


async def test_while_another_process_writes_the_loop_is_free_and_the_writer_waits(
    sqlite_url: str,
) -> None:
    other = sqlite3.connect(sqlite_file(sqlite_url, "shop"), isolation_level=None)
    async with Host(databases.SAMPLE, Settings(database_url=sqlite_url)) as host:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(change_price(host))
        beats = 0
        while beats < 20:  # each beat is a turn of the loop that the waiting writer does not stop
            await asyncio.wait([writing], timeout=0.005)
            beats += 1
        assert not writing.done()
        other.execute("COMMIT")
        await writing
    other.close()


async def test_a_migrated_file_already_keeps_the_log_that_everybody_opens_it_with(
    sqlite_url: str,
) -> None:
    file = sqlite3.connect(sqlite_file(sqlite_url, "shop"))
    assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file.close()


async def test_processes_that_open_a_file_which_keeps_none_do_not_refuse_each_other(
    sqlite_url: str,
) -> None:
    """As one keeps none that was restored; SQLite refuses the second who changes that."""
    file = sqlite_file(sqlite_url, "shop")
    together = Barrier(3, timeout=10)
    for _ in range(20):
        with closing(sqlite3.connect(file)) as restored:
            restored.execute("PRAGMA journal_mode=DELETE")
        await asyncio.gather(*(asyncio.to_thread(opened, file, together) for _ in range(3)))


def opened(file: Path, together: Barrier) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("ATTACH DATABASE ? AS shop", (str(file),))
        together.wait()
        engines.log_ahead(connection, "shop")
        together.wait()  # the last who closes it folds the log into the file


async def change_price(host: Host) -> None:
    async with host.unit("shop", TENANT) as shop:
        await shop.change_price("tea")


async def test_a_database_that_is_away_is_unavailable(kind: str, tmp_path: Path) -> None:
    away = {"sqlite": f"sqlite:///{tmp_path}/nowhere", "postgresql": "postgresql://x@127.0.0.1:1/x"}
    host = Host(databases.SAMPLE, Settings(database_url=away[kind]))
    with pytest.raises(Unavailable, match="shop"):
        await change_price(host)


async def test_a_mistake_in_a_statement_is_no_outage(sample: Host) -> None:
    row = {"tenant": TENANT, "article": "tea", "version": None}
    with pytest.raises(IntegrityError):
        async with sample.databases["shop"].transaction(TENANT) as tx:
            await tx.insert_new(prices, [row], returning=["article"])


async def test_a_unit_that_reads_cannot_write(sample: Host) -> None:
    row = {"tenant": TENANT, "article": "tea", "version": 1}
    with pytest.raises((DBAPIError, Unavailable)):
        async with sample.databases["shop"].transaction(TENANT, write=False) as tx:
            await tx.insert_new(prices, [row], returning=["article"])
    await change_price(sample)


async def test_a_unit_that_reads_sees_one_state_of_things(sample: Host) -> None:
    async with sample.unit("shop", TENANT, write=False) as shop:
        before = await shop.stock()
        async with sample.unit("shop", TENANT) as another:
            await another.sell([1])
        assert await shop.stock() == before
    async with sample.unit("shop", TENANT, write=False) as shop:
        assert (await shop.stock()).left == before.left - 1


async def test_rows_are_found_by_any_number_of_keys(sample: Host) -> None:
    rows = [{"tenant": TENANT, "article": f"tea {n}", "version": n} for n in range(1300)]
    foreign = [{"tenant": OTHER, "article": "tea 7", "version": 70}]
    async with sample.databases["shop"].transaction(OTHER) as tx:
        await tx.insert_new(prices, foreign, returning=["article"])
    async with sample.databases["shop"].transaction(TENANT) as tx:
        await tx.insert_new(prices, rows, returning=["article"])
        mine = select(prices.c.version).where(prices.c.tenant == TENANT)
        for many in (0, 1, 3, 1200):
            keys = [f"tea {n}" for n in range(100, 100 + many)]
            found = await tx.among(mine, prices.c.article, [*keys, "coffee"])
            assert sorted(row.version for row in found) == list(range(100, 100 + many))


@pytest.mark.parametrize("most", [1, 5, 600, 2000])
async def test_of_any_number_of_keys_so_many_rows_are_read_on_both_databases(
    sample: Host, most: int
) -> None:
    rows = [{"tenant": TENANT, "article": f"tea {n}", "version": n} for n in range(1300)]
    async with sample.databases["shop"].transaction(TENANT) as tx:
        await tx.insert_new(prices, rows, returning=["article"])
        mine = select(prices.c.version).where(prices.c.tenant == TENANT)
        keys = [f"tea {n}" for n in range(1300)]
        found = await tx.among(mine, prices.c.article, keys, most=most)
        assert len({row.version for row in found}) == len(found) == min(most, 1300)
        for own in (mine.limit(5), mine.offset(5)):
            with pytest.raises(ValueError, match="most"):
                await tx.among(own, prices.c.article, keys)


async def two_at_once(host: Host) -> None:
    async with host.unit("shop", TENANT) as one, host.unit("shop", OTHER) as another:
        await one.stock()
        await another.stock()


async def closed_by_the_server(url: str, host: Host) -> None:
    """Have the server close what rests in the pool."""
    await change_price(host)
    mine = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
    other = await asyncpg.connect(url)
    await other.execute(f"{mine} AND datname = current_database()", "martech shop")
    await other.close()


async def test_a_connection_that_rested_is_asked_whether_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "RESTED_SECONDS", 0.0)
    url = databases.fresh("postgresql", databases.SAMPLE, tmp_path)
    async with Host(databases.SAMPLE, Settings(database_url=url)) as host:
        await closed_by_the_server(url, host)
        await change_price(host)


async def test_one_that_did_not_costs_one_unit_of_work_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "RESTED_SECONDS", 3600.0)
    url = databases.fresh("postgresql", databases.SAMPLE, tmp_path)
    async with Host(databases.SAMPLE, Settings(database_url=url)) as host:
        await two_at_once(host)
        await closed_by_the_server(url, host)
        with pytest.raises(Unavailable, match="shop"):
            await change_price(host)
        await two_at_once(host)


LOST_AT_COMMIT = """
    CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        AS 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER lost AFTER INSERT ON shop.prices
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION lose();
"""


async def test_of_a_connection_that_is_lost_at_the_commit_nobody_says_that_nothing_was_written(
    tmp_path: Path,
) -> None:
    url = databases.fresh("postgresql", databases.SAMPLE, tmp_path)
    other = await asyncpg.connect(url)
    await other.execute(LOST_AT_COMMIT)
    await other.close()
    async with Host(databases.SAMPLE, Settings(database_url=url)) as host:
        with pytest.raises(Unavailable, match="shop was lost while it wrote, and may have written"):
            await change_price(host)
