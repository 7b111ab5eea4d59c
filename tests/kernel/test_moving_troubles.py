"""What may come in the way of a move is said in a sentence, and the same again ends it."""

import asyncio
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url

from martech.kernel.migrate import DatabaseUnfit
from martech.kernel.moving import move
from tests import databases, servers
from tests.chaos.processes import Child, Say
from tests.databases import SAMPLE
from tests.moving import at, empty, lives, moving, trade, unwatched
from tests.sample.shop.module import module as shop

pytestmark = pytest.mark.anyio

LOST = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = $1"


async def by_the_superuser(statement: str, *values: str) -> None:
    connection = await asyncpg.connect(servers.postgres().url)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def moved_into_a_small_disk(say: Say, url: str, there: str, histories: str) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
    with pytest.raises(DatabaseUnfit) as refused:
        await move(shop, at(url), at(there), unwatched, migrations=Path(histories))
    say(str(refused.value))


async def test_a_full_disk_is_said_in_a_sentence(sample_url: str, tmp_path: Path) -> None:
    await trade(sample_url)
    there, histories = empty("sqlite", tmp_path), str(databases.sample_migrations())
    said = await Child(moved_into_a_small_disk, sample_url, there, histories).said()
    assert said.startswith("shop could not be moved: ")
    assert said.endswith("Nothing was lost; mend that, and say the same again.")
    assert await lives(sample_url)
    await moving(at(sample_url), at(there))
    assert await lives(there)


async def test_a_connection_that_is_lost_is_said_in_a_sentence(tmp_path: Path) -> None:
    url = databases.fresh("postgresql", SAMPLE, tmp_path)
    await trade(url)
    away = empty("sqlite", tmp_path)

    def lose(name: str, done: int, of: int) -> None:
        with ThreadPoolExecutor(1) as thread:
            name = make_url(url).database or ""
            thread.submit(asyncio.run, by_the_superuser(LOST, name)).result()

    with pytest.raises(DatabaseUnfit, match=r"shop could not be moved: .*say the same again"):
        await move(shop, at(url), at(away), lose, migrations=databases.sample_migrations())
    await moving(at(url), at(away))
    assert await lives(away)


async def test_who_may_not_create_there_is_told_in_a_sentence(sample_url: str) -> None:
    there = make_url(servers.fresh_database())
    stranger = there.set(username=f"stranger_{there.database}")
    await by_the_superuser(f'CREATE ROLE "{stranger.username}" LOGIN CREATEROLE')
    with pytest.raises(DatabaseUnfit, match=r"shop could not be moved: .*permission denied"):
        await moving(at(sample_url), at(stranger.render_as_string(False)))
    assert await lives(sample_url)
