"""The same figures from the outside world alone: `python -m demo.arithmetic [--home var/demo]`.

A second opinion that shares no code with what was sent or with the report. It knows the parquet,
the day and the limit of the story (from its state file), the mail server's log, what people do with
a mail that came to them (restated below), and nothing of the platform. It prints JSON.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

Figures = dict[str, int | str]
Row = tuple[str, int | None, int | None]
"""A name with a number, or with cents."""

TOLD = """
CREATE TABLE purchase AS                            -- one row a basket, exact cents
SELECT basket_id, max(household_id) AS household, max(transaction_timestamp) AS bought,
       sum(CAST(round(100 * sales_value) AS BIGINT)) AS cents,
       bool_and(transaction_timestamp >= '2017-12-01') AS december
FROM read_parquet($transactions) GROUP BY basket_id
QUALIFY rank() OVER (PARTITION BY december ORDER BY bought, basket_id) <= $limit;

CREATE TABLE line AS
SELECT p.household, p.basket_id, p.december, q.department,
       CAST(round(100 * t.sales_value) AS BIGINT) AS cents
FROM read_parquet($transactions) t JOIN purchase p USING (basket_id)
LEFT JOIN read_parquet($products) q USING (product_id);

CREATE TABLE redeemed AS
SELECT r.redemption_date >= '2017-12-01' AS december
FROM read_parquet($redemptions) r
WHERE r.household_id IN (SELECT household FROM purchase)
  AND r.redemption_date <= (SELECT max(bought) FROM purchase p
                            WHERE p.december = (r.redemption_date >= '2017-12-01'));
"""

PEOPLE = """
WITH months AS (
    SELECT strftime(bought + to_days($days), '%Y-%m') AS month,
           count(*) AS orders, sum(cents) AS cents
    FROM purchase WHERE NOT december GROUP BY 1
), best AS (
    SELECT household, sum(cents) AS cents, count(*) AS orders FROM purchase
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3
), described AS (
    SELECT count(*) AS known FROM read_parquet($demographics)
    WHERE household_id IN (SELECT household FROM purchase)
), total AS (
    SELECT count(DISTINCT household) AS people, count(*) AS orders, sum(cents) AS cents,
           count(*) FILTER (december) AS live_orders,
           coalesce(sum(cents) FILTER (december), 0) AS live_cents,
           (SELECT count(*) FROM redeemed) AS redemptions,
           (SELECT count(*) FROM redeemed WHERE december) AS live_redemptions,
           (SELECT sum(times) FROM of_mails) AS of_mails
    FROM purchase
)
SELECT 'people', people, NULL FROM total
UNION ALL SELECT 'identities', 2 * people, NULL FROM total
UNION ALL SELECT 'people with demographics', known, NULL FROM described
UNION ALL SELECT 'orders', orders, NULL FROM total
UNION ALL SELECT 'revenue', NULL, cents FROM total
UNION ALL SELECT 'redemptions', redemptions, NULL FROM total
UNION ALL SELECT 'activities', people + orders + redemptions + of_mails, NULL FROM total
UNION ALL SELECT 'accepted', people + orders + redemptions + of_mails, NULL FROM total
UNION ALL SELECT 'orders ' || month, orders, NULL FROM months
UNION ALL SELECT 'revenue ' || month, NULL, cents FROM months
UNION ALL SELECT 'orders live', live_orders, NULL FROM total
UNION ALL SELECT 'revenue live', NULL, live_cents FROM total
UNION ALL SELECT 'redemptions live', live_redemptions, NULL FROM total
UNION ALL SELECT 'orders of household-' || household, orders, NULL FROM best
UNION ALL SELECT 'revenue of household-' || household, NULL, cents FROM best
UNION ALL SELECT 'rejected', 0, NULL
"""

DAYS = """
WITH day AS (
    SELECT unnest(generate_series(DATE '2017-11-17', DATE '2017-11-30', INTERVAL 1 DAY))::DATE AS d
)
SELECT name || strftime(d + to_days($days), '%Y-%m-%d'), orders, cents FROM (
    SELECT d, 'orders on ' AS name, count(p.cents) AS orders, NULL::BIGINT AS cents
    FROM day LEFT JOIN purchase p ON bought::DATE = d GROUP BY d
    UNION ALL
    SELECT d, 'revenue on ', NULL, coalesce(sum(p.cents), 0)
    FROM day LEFT JOIN purchase p ON bought::DATE = d GROUP BY d
)
UNION ALL SELECT 'revenue live of ' || coalesce(department, 'no department'), NULL, sum(line.cents)
FROM line WHERE december GROUP BY department
"""

SEGMENT = """
CREATE TABLE customer AS
SELECT household, count(*) FILTER (NOT december) AS orders_before, count(*) AS orders,
       coalesce(sum(cents) FILTER (NOT december), 0) AS cents_before, sum(cents) AS cents
FROM purchase GROUP BY household;

-- A part of the story has no household with 100 orders: then the place a quarter down the list
-- of those who bought before December says how many orders it takes, and how many whole dollars.
CREATE TABLE least AS
SELECT if($whole, 100, (list(orders_before ORDER BY orders_before DESC))[place]) AS orders,
       if($whole, 5000, (list(cents_before ORDER BY cents_before DESC))[place] // 100) AS dollars
FROM customer, (SELECT (count(*) + 3) // 4 AS place FROM customer WHERE orders_before > 0)
WHERE orders_before > 0 GROUP BY place;

-- The mail server refuses some. Who got a mail draws from the address what to do with it.
CREATE TABLE audience AS
SELECT household, address, household % 25 = 7 AND household > 7 AS refused,
       drawn[1] % 100 < 62 AS opens, opens AND drawn[2] % 100 < 45 AS clicks,
       1 + drawn[3] % 3 AS many, drawn[5] % 100 < 7 AS leaves
FROM (SELECT household, 'household-' || household || '@example.com' AS address,
             [('0x' || substr(sha256(address), 1 + 4 * i, 4))::BIGINT for i in range(6)] AS drawn
      FROM customer, least
      WHERE orders_before >= least.orders AND cents_before >= 100 * least.dollars);
"""

OF_MAILS = """
-- What delivery tells of mails, as behaviour of those who got them. It counts like any other.
CREATE TABLE of_mails AS
SELECT 'Email Delivered' AS event, count(*) AS times FROM audience WHERE NOT refused
UNION ALL SELECT 'Email Bounced', count(*) FROM audience WHERE refused
UNION ALL SELECT 'Email Opened', count(*) FROM audience WHERE opens AND NOT refused
UNION ALL SELECT 'Email Link Clicked', coalesce(sum(many), 0)
FROM audience WHERE clicks AND NOT refused
UNION ALL SELECT 'Unsubscribed', count(*) FROM audience WHERE leaves AND NOT refused;
"""

CAMPAIGN = """
WITH ordered AS (
    SELECT p.household, p.basket_id, p.cents FROM purchase p JOIN audience a USING (household)
    WHERE p.december AND NOT a.refused
), total AS (
    SELECT count(*) AS audience, count(*) FILTER (refused) AS bounced,
           count(*) FILTER (NOT refused) AS delivered,
           count(*) FILTER (opens AND NOT refused) AS opened,
           count(*) FILTER (clicks AND NOT refused) AS clicked,
           count(*) FILTER (leaves AND NOT refused) AS unsubscribed
    FROM audience
), segment AS (
    SELECT count(*) FILTER (orders_before >= least.orders AND cents_before >= 100 * least.dollars)
               AS before,
           count(*) FILTER (c.orders >= least.orders AND cents >= 100 * least.dollars) AS after
    FROM customer c, least
)
SELECT 'segment before December', before, NULL FROM segment
UNION ALL SELECT 'segment after December', after, NULL FROM segment
UNION ALL SELECT 'audience', audience, NULL FROM total
UNION ALL SELECT 'sent', delivered + bounced, NULL FROM total
UNION ALL SELECT 'delivered', delivered, NULL FROM total
UNION ALL SELECT 'bounced', bounced, NULL FROM total
UNION ALL SELECT 'opened', opened, NULL FROM total
UNION ALL SELECT 'clicked', clicked, NULL FROM total
UNION ALL SELECT 'events ' || event, times, NULL FROM of_mails WHERE times > 0
UNION ALL SELECT 'unsubscribed', unsubscribed, NULL FROM total
UNION ALL SELECT 'converted', count(DISTINCT household), NULL FROM ordered
UNION ALL SELECT 'orders converted', count(*), NULL FROM ordered
UNION ALL SELECT 'revenue converted', NULL, coalesce(sum(cents), 0) FROM ordered
UNION ALL SELECT 'revenue converted in ' || coalesce(department, 'no department'), NULL,
       sum(line.cents)
FROM line JOIN ordered USING (basket_id) GROUP BY department
"""


class Arithmetic:
    """What the platform must answer if it was told the story on *day* with that *limit*."""

    def __init__(self, parquet: Path, day: date, limit: int | None) -> None:
        self._db = duckdb.connect()
        self._db.execute("SET threads = 2; SET memory_limit = '300MB'")
        self._files = {
            name: str(parquet / f"{table}.parquet")
            for name, table in (
                ("transactions", "transactions"),
                ("products", "products"),
                ("redemptions", "coupon_redemptions"),
                ("demographics", "demographics"),
            )
        }
        self._days = 7 * ((day - date(2017, 12, 1)) // timedelta(weeks=1))
        for statement in TOLD.split(";"):
            self._do(statement, limit=limit or 2**62)
        for statement in (SEGMENT + OF_MAILS).split(";"):
            self._do(statement, whole=limit is None)

    def people(self) -> Figures:
        """What they are and what they did."""
        return dict(_valued(self._rows(PEOPLE)))

    def days(self) -> Figures:
        """The two weeks before December, day by day, and December by department."""
        return dict(_valued(self._rows(DAYS)))

    def campaign(self) -> Figures:
        """What became of the campaign, if everybody does what is drawn for them."""
        return dict(_valued(self._rows(CAMPAIGN)))

    def reached(self) -> set[str]:
        """The addresses that must be in the mail server's log, each once."""
        rows = self._rows("SELECT address, NULL, NULL FROM audience WHERE NOT refused")
        return {address for address, _, _ in rows}

    def acts(self) -> dict[str, set[str]]:
        """Who opens, clicks and unsubscribes."""
        return {
            name: {
                address
                for address, _, _ in self._rows(
                    f"SELECT address, NULL, NULL FROM audience WHERE {who} AND NOT refused"
                )
            }
            for name, who in (("open", "opens"), ("click", "clicks"), ("unsubscribe", "leaves"))
        }

    def _do(self, statement: str, **values: object) -> duckdb.DuckDBPyConnection:
        named = self._files | {"days": self._days} | values
        return self._db.execute(
            statement, {name: value for name, value in named.items() if f"${name}" in statement}
        )

    def _rows(self, statement: str) -> list[Row]:
        return self._do(statement).fetchall()


def _valued(rows: list[Row]) -> Iterator[tuple[str, int | str]]:
    for name, number, cents in sorted(rows):
        if cents is None:
            yield name, int(number or 0)
        else:
            yield name, f"{int(cents) // 100}.{int(cents) % 100:02}"


def on_days(told: Arithmetic, mails: Path, acts: Path) -> Figures:
    """What happened on which day, by the mail server's log and people's own.

    Raises `SystemExit` where either is not what must have happened: nobody has a mail twice.
    """
    reached = [(address, line["time"][:10]) for line in _lines(mails) for address in line["to"]]
    _compare("The mail server's log", [address for address, _ in reached], told.reached())
    first: dict[tuple[str, str], str] = {}
    for line in _lines(acts):
        first.setdefault((line["act"], line["address"]), line["time"][:10])
    for act, who in told.acts().items():
        _compare(f"Who did “{act}”", [address for name, address in first if name == act], who)
    labels = {"open": "opened", "click": "clicked", "unsubscribe": "unsubscribed"}
    days = Counter(f"delivered on {day}" for _, day in reached)
    days += Counter(f"{labels[act]} on {day}" for (act, _), day in first.items() if act in labels)
    return dict(sorted(days.items()))


def _compare(what: str, found: list[str], expected: set[str]) -> None:
    if sorted(found) != sorted(expected):
        twice = sorted(address for address, times in Counter(found).items() if times > 1)
        missing, strange = sorted(expected - {*found}), sorted({*found} - expected)
        raise SystemExit(
            f"{what} is not as it must be: twice {twice}, missing {missing}, strange {strange}"
        )


def _lines(log: Path) -> list[Any]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def figures(home: Path, parquet: Path) -> Figures:
    """Everything, for the story that is told in *home*."""
    state = json.loads((home / "state.json").read_text())
    told = Arithmetic(parquet, date.fromisoformat(state["day"]), state["limit"])
    campaign = told.campaign()
    on = on_days(told, home / "mails.jsonl", home / "people.jsonl")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    if campaign["orders converted"] and on.get(f"delivered on {today}") == campaign["delivered"]:
        # December came on the same day too; where midnight passed, nobody can say which orders
        on[f"orders converted on {today}"] = campaign["orders converted"]
    return told.people() | told.days() | campaign | on


def main() -> None:
    arguments = argparse.ArgumentParser(description="The demo's figures from the outside world")
    arguments.add_argument("--home", type=Path, default=Path("var/demo"))
    arguments.add_argument("--parquet", type=Path, default=Path("var/cache/completejourney-0.1.0"))
    given = arguments.parse_args()
    print(json.dumps(figures(given.home, given.parquet), indent=2))


if __name__ == "__main__":
    main()
