"""A module's data moves to another database and back, and lives in one place at any moment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import DBAPIError

from martech.kernel import audit, failpoints, files, migrate
from martech.kernel.bus import Bus
from martech.kernel.columns import table
from martech.kernel.errors import Conflict, Unavailable
from martech.kernel.host import Host
from martech.kernel.migrate import DatabaseUnfit
from martech.kernel.moving import copying, move, places
from tests import databases, servers
from tests.chaos.processes import KILLED, Child, Say
from tests.databases import SAMPLE
from tests.moving import (
    SALES,
    TENANT,
    at,
    broken_off,
    empty,
    everything,
    lives,
    moving,
    trade,
    unwatched,
)
from tests.sample.shop.module import module as shop

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


@pytest.fixture(params=databases.KINDS)
def there(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place, of either kind."""
    return empty(str(request.param), tmp_path)


async def test_everything_moves_and_goes_on_where_it_was(sample_url: str, there: str) -> None:
    await trade(sample_url)
    before = {module.name: await everything(sample_url, module) for module in SAMPLE}
    for number, module in enumerate(SAMPLE):
        here = at(sample_url, there, *SAMPLE[:number])
        digests = await moving(here, at(sample_url, there, *SAMPLE[: number + 1]), module)
        rows = {name: len(found) for name, found in before[module.name].items()}
        assert {name: digest.rows for name, digest in digests.items()} == rows

    assert {module.name: await everything(there, module) for module in SAMPLE} == before
    async with Host(SAMPLE, at(there)) as host:
        await Bus(host).settle()
        async with host.unit("ledger", TENANT, write=False) as service:
            assert (await service.books()).lines == SALES + 2
        async with host.databases["shop"].across(write=False) as connection:
            chains = await audit.check(connection, shop.tables)
        assert [(chain.head.number, chain.broken_at) for chain in chains] == [(1, None)] * 2


async def test_a_position_that_was_handed_out_is_not_handed_out_again(
    sample_url: str, there: str
) -> None:
    """Not even the last one, whose event is gone."""
    await trade(sample_url)
    outbox = table(shop.tables, "outbox")
    async with Host([shop], at(sample_url)) as host, host.databases["shop"].across() as connection:
        last = (await connection.execute(select(func.max(outbox.c.position)))).scalar_one()
        await connection.execute(outbox.delete().where(outbox.c.position == last))
    await moving(at(sample_url), at(there))
    async with Host([shop], at(there)) as host:
        async with host.unit("shop", TENANT) as service:
            await service.change_price("gold")
        async with host.databases["shop"].across(write=False) as connection:
            next_ = (await connection.execute(select(func.max(outbox.c.position)))).scalar_one()
    assert next_ > last


async def test_it_comes_back_with_what_happened_meanwhile(sample_url: str, there: str) -> None:
    await trade(sample_url)
    home, away = at(sample_url), at(sample_url, there, shop)
    await moving(home, away)
    async with Host([shop], away) as host, host.unit("shop", TENANT) as service:
        assert await service.change_price("gold\u00fc") == 2
    as_it_was = await everything(there, shop)
    await moving(away, home)
    assert (await lives(sample_url), await lives(there)) == (True, False)
    assert await everything(sample_url, shop) == as_it_was
    async with Host([shop], home) as host, host.unit("shop", TENANT) as service:
        assert await service.change_price("gold\u00fc") == 3


async def test_where_it_was_it_is_refused_with_where_it_went(sample_url: str, there: str) -> None:
    await moving(at(sample_url), at(there))
    with pytest.raises(DatabaseUnfit, match=r"shop moved to .+ MARTECH_SHOP_DATABASE_URL") as said:
        await migrate.check(shop, sample_url, databases.sample_migrations())
    assert there.rpartition("/")[2] in str(said.value)
    with pytest.raises(DatabaseUnfit, match="shop moved to"):
        await migrate.upgrade(shop, sample_url, databases.sample_migrations())


async def test_whoever_goes_on_there_unasked_can_write_nothing(sample_url: str, there: str) -> None:
    await moving(at(sample_url), at(there))
    async with Host([shop], at(sample_url)) as host:
        with pytest.raises(DBAPIError, match=r"moved to|permission denied"):
            async with host.unit("shop", TENANT) as service:
                await service.sell([1])


async def test_a_rehearsal_changes_nothing_on_either_side(sample_url: str, there: str) -> None:
    await trade(sample_url)
    before = await everything(sample_url, shop)
    digests = await moving(at(sample_url), at(there), rehearse=True)
    assert {name: len(rows) for name, rows in before.items()} == {
        name: digest.rows for name, digest in digests.items()
    }
    assert await lives(sample_url)
    assert await migrate.current(shop, there, databases.sample_migrations()) is None
    await moving(at(sample_url), at(there))
    assert await everything(there, shop) == before


async def test_a_rehearsal_of_the_way_back_leaves_what_stayed_behind(
    sample_url: str, there: str
) -> None:
    await trade(sample_url)
    await moving(at(sample_url), at(there))
    stayed = await everything(sample_url, shop)
    async with Host([shop], at(there)) as host, host.unit("shop", TENANT) as service:
        await service.change_price("gold")
    await moving(at(there), at(sample_url), rehearse=True)
    assert await everything(sample_url, shop) == stayed
    assert (await lives(sample_url), await lives(there)) == (False, True)


async def test_a_rehearsal_does_not_end_a_move_that_was_broken_off(
    sample_url: str, there: str
) -> None:
    await broken_off("moving.after_left=error", sample_url, there)
    with pytest.raises(Conflict, match="without --rehearse"):
        await moving(at(sample_url), at(there), rehearse=True)
    assert not await lives(there)


@pytest.mark.parametrize("place", ["moving.after_copied", "moving.after_left"])
async def test_what_was_broken_off_says_at_its_end_how_it_is_ended(
    place: str, sample_url: str, there: str
) -> None:
    await broken_off(f"{place}=error", sample_url, there)
    with pytest.raises(DatabaseUnfit) as refused:
        await migrate.check(shop, there, databases.sample_migrations())
    said = str(refused.value)
    assert "`martech move-data shop --to` and this place" in said
    assert f"MARTECH_SHOP_DATABASE_URL={places.shown(sample_url, 'shop')}" in said
    assert "lives" not in said, "who knows?"


async def kept_moving(say: Say, plan: str, url: str, there: str, histories: str) -> None:
    failpoints.arm(plan)
    say("begins")
    await move(shop, at(url), at(there), unwatched, migrations=Path(histories))


@pytest.mark.parametrize(
    ("place", "left"),
    [
        ("moving.after_named=kill", False),
        ("moving.after_table=kill@1", False),
        ("moving.after_table=kill@4", False),
        ("moving.before_copied=kill", False),
        ("moving.after_copied=kill", False),
        ("moving.before_left=kill", False),
        ("moving.after_left=kill", True),
    ],
)
async def test_killed_anywhere_it_lives_in_one_place_at_most_and_the_next_one_ends_it(
    place: str, left: bool, sample_url: str, there: str
) -> None:
    await trade(sample_url)
    before = await everything(sample_url, shop)
    histories = str(databases.sample_migrations())
    child = Child(kept_moving, place, sample_url, there, histories)
    assert await child.said() == "begins"
    assert await child.ended() == KILLED

    assert (await lives(sample_url), await lives(there)) == (not left, False)
    await moving(at(sample_url), at(there))
    assert (await lives(sample_url), await lives(there)) == (False, True)
    assert await everything(there, shop) == before


async def test_nobody_moves_what_somebody_works_on(tmp_path: Path, there: str) -> None:
    url = databases.fresh("postgresql", SAMPLE, tmp_path)
    async with Host([shop], at(url)) as host, host.unit("shop", TENANT, write=False) as service:
        await service.stock()
        with pytest.raises(DatabaseUnfit, match="Somebody has shop in"):
            await moving(at(url), at(there))
    await moving(at(url), at(there))


async def test_nobody_moves_files_that_are_served(tmp_path: Path, there: str) -> None:
    url = databases.fresh("sqlite", SAMPLE, tmp_path)
    served = files.alone([tmp_path / "databases"])
    with served, pytest.raises(DatabaseUnfit, match="has the databases in"):
        await moving(at(url), at(there))
    await moving(at(url), at(there))


async def test_nobody_begins_to_work_on_what_is_being_moved(tmp_path: Path) -> None:
    url = databases.fresh("postgresql", SAMPLE, tmp_path)
    async with Host([shop], at(url)) as host:
        async with migrate.transaction(url, "shop", write=True, alone=True):
            with pytest.raises(Unavailable):
                async with host.unit("shop", TENANT, write=False) as service:
                    await service.stock()
        async with host.unit("shop", TENANT, write=False) as service:
            assert (await service.stock()).left == 1000


async def test_what_lives_there_already_is_not_written_over(
    sample_url: str, kind: str, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    taken = databases.fresh(kind, [shop], other)
    async with Host([shop], at(taken)) as host, host.unit("shop", TENANT) as service:
        await service.sell([1])
    before = await everything(taken, shop)
    with pytest.raises(Conflict, match="There is data of shop in that place already"):
        await moving(at(sample_url), at(taken))
    assert await everything(taken, shop) == before
    assert await lives(sample_url)


async def test_what_left_for_elsewhere_is_not_written_over(
    sample_url: str, kind: str, tmp_path: Path
) -> None:
    """Who knows whether it is the only copy that is left?"""
    (tmp_path / "other").mkdir()
    other = databases.fresh(kind, [shop], tmp_path / "other")
    elsewhere = empty(kind, tmp_path / "elsewhere")
    await moving(at(other), at(elsewhere))
    with pytest.raises(Conflict, match="is other data, and moved to"):
        await moving(at(sample_url), at(other))
    assert await lives(sample_url)


async def test_what_another_move_has_not_ended_is_not_written_over(
    sample_url: str, kind: str, there: str, tmp_path: Path
) -> None:
    """Its own place has let go of it already: it is the only copy that is left."""
    (tmp_path / "other").mkdir()
    other = databases.fresh(kind, [shop], tmp_path / "other")
    async with Host([shop], at(other)) as host, host.unit("shop", TENANT) as service:
        await service.sell([1])
    only = await everything(other, shop)
    await broken_off("moving.after_left=error", other, there)
    with pytest.raises(Conflict, match="is other data, and its move was broken off"):
        await moving(at(sample_url), at(there))
    await moving(at(other), at(there))
    assert await everything(there, shop) == only
    assert await lives(sample_url)


async def test_who_thinks_better_of_it_goes_elsewhere_or_back(
    sample_url: str, kind: str, there: str, tmp_path: Path
) -> None:
    """A copy that was never ended is in nobody's way, nor is what stayed behind."""
    await trade(sample_url)
    before = await everything(sample_url, shop)
    elsewhere = empty(kind, tmp_path / "elsewhere")
    await broken_off("moving.after_copied=error", sample_url, there)
    await moving(at(sample_url), at(elsewhere))
    await broken_off("moving.after_copied=error", elsewhere, there)
    await moving(at(elsewhere), at(sample_url))
    await moving(at(sample_url), at(there))
    assert await everything(there, shop) == before


async def test_one_place_is_not_two(sample_url: str) -> None:
    with pytest.raises(Conflict, match="already"):
        await moving(at(sample_url), at(sample_url, f"{sample_url}", shop))


async def test_what_the_other_database_cannot_hold_is_said_and_nothing_changes(
    tmp_path: Path,
) -> None:
    url, there = databases.fresh("sqlite", SAMPLE, tmp_path), servers.fresh_database()
    row = {"tenant": TENANT, "number": 2**40, "buyer": "ada"}  # SQLite's INTEGER is as large as it
    async with Host([shop], at(url)) as host, host.databases["shop"].across() as connection:
        await connection.execute(insert(shop.tables.tables["shop.sales"]), [row])
    with pytest.raises(Conflict, match=r"A row of shop\.sales cannot be kept there"):
        await moving(at(url), at(there))
    assert (await lives(url), await lives(there)) == (True, False)


async def test_a_row_that_arrives_otherwise_than_it_went_is_noticed(
    sample_url: str, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trade(sample_url)
    write = copying.write

    def careless(connection: Connection, into: Any, page: Any) -> None:
        write(connection, into, page[:-1] if into.name == "sales" else page)

    monkeypatch.setattr(copying, "write", careless)
    with pytest.raises(Conflict, match=r"shop\.sales: .* rows went, .* arrived"):
        await moving(at(sample_url), at(there))
    assert (await lives(sample_url), await lives(there)) == (True, False)
