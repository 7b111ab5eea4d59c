"""The same figures from the parquet alone: `python -m demo.arithmetic [--home var/demo]`.

A second opinion that shares no code with what was sent or with the report: it knows the files, the
day and the limit of the story (from its state file), and nothing of the platform. It prints JSON.
"""

import argparse
import json
from datetime import date, timedelta
from pathlib import Path

import duckdb

FIGURES = """
WITH purchase AS (                                  -- one row a basket, exact cents
    SELECT basket_id, max(household_id) AS household, max(transaction_timestamp) AS bought,
           sum(CAST(round(100 * sales_value) AS BIGINT)) AS cents,
           bool_and(transaction_timestamp >= '2017-12-01') AS december
    FROM read_parquet($transactions) GROUP BY basket_id
), ranked AS (
    SELECT *, rank() OVER (PARTITION BY december ORDER BY bought, basket_id) AS place FROM purchase
), told AS (
    SELECT * FROM ranked WHERE place <= $limit
), redeemed AS (
    SELECT r.redemption_date >= '2017-12-01' AS december
    FROM read_parquet($redemptions) r
    WHERE r.household_id IN (SELECT household FROM told)
      AND r.redemption_date <= (SELECT max(bought) FROM told
                                WHERE told.december = (r.redemption_date >= '2017-12-01'))
), months AS (
    SELECT strftime(bought + to_days($days), '%Y-%m') AS month,
           count(*) AS orders, sum(cents) AS cents
    FROM told WHERE NOT december GROUP BY 1
), best AS (
    SELECT household, sum(cents) AS cents, count(*) AS orders FROM told
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3
), described AS (
    SELECT count(*) AS known FROM read_parquet($demographics)
    WHERE household_id IN (SELECT household FROM told)
), total AS (
    SELECT count(DISTINCT household) AS people, count(*) AS orders, sum(cents) AS cents,
           count(*) FILTER (december) AS live_orders,
           coalesce(sum(cents) FILTER (december), 0) AS live_cents,
           (SELECT count(*) FROM redeemed) AS redemptions,
           (SELECT count(*) FROM redeemed WHERE december) AS live_redemptions
    FROM told
)
SELECT 1 AS line, 'people' AS name, people::VARCHAR AS value, NULL AS cents FROM total
UNION ALL SELECT 2, 'identities', (2 * people)::VARCHAR, NULL FROM total
UNION ALL SELECT 3, 'people with demographics', known::VARCHAR, NULL FROM described
UNION ALL SELECT 4, 'orders', orders::VARCHAR, NULL FROM total
UNION ALL SELECT 5, 'revenue', NULL, cents FROM total
UNION ALL SELECT 6, 'redemptions', redemptions::VARCHAR, NULL FROM total
UNION ALL SELECT 7, 'activities', (people + orders + redemptions)::VARCHAR, NULL FROM total
UNION ALL SELECT 7, 'orders ' || month, orders::VARCHAR, NULL FROM months
UNION ALL SELECT 8, 'revenue ' || month, NULL, cents FROM months
UNION ALL SELECT 9, 'orders live', live_orders::VARCHAR, NULL FROM total
UNION ALL SELECT 10, 'revenue live', NULL, live_cents FROM total
UNION ALL SELECT 11, 'redemptions live', live_redemptions::VARCHAR, NULL FROM total
UNION ALL SELECT 12, 'orders of household-' || household, orders::VARCHAR, NULL FROM best
UNION ALL SELECT 13, 'revenue of household-' || household, NULL, cents FROM best
UNION ALL SELECT 14, 'accepted', (people + orders + redemptions)::VARCHAR, NULL FROM total
UNION ALL SELECT 15, 'rejected', '0', NULL
ORDER BY line, name
"""


def figures(parquet: Path, day: date, limit: int | None) -> dict[str, int | str]:
    """What the platform must answer if it was told the story on *day* with that *limit*."""
    december = date(2017, 12, 1)
    weeks = (day - december) // timedelta(weeks=1)
    rows = duckdb.execute(
        FIGURES,
        {
            "transactions": str(parquet / "transactions.parquet"),
            "redemptions": str(parquet / "coupon_redemptions.parquet"),
            "demographics": str(parquet / "demographics.parquet"),
            "limit": limit or 2**62,
            "days": 7 * weeks,
        },
    ).fetchall()
    return {name: _value(value, cents) for _, name, value, cents in rows}


def _value(value: str | None, cents: int | None) -> int | str:
    if cents is None:
        return int(value or 0)
    dollars, rest = divmod(int(cents), 100)
    return f"{dollars}.{rest:02}"


def main() -> None:
    arguments = argparse.ArgumentParser(description="The demo's figures from the parquet alone")
    arguments.add_argument("--home", type=Path, default=Path("var/demo"))
    arguments.add_argument("--parquet", type=Path, default=Path("var/cache/completejourney-0.1.0"))
    given = arguments.parse_args()
    state = json.loads((given.home / "state.json").read_text())
    day = date.fromisoformat(state["day"])
    print(json.dumps(figures(given.parquet, day, state["limit"]), indent=2))


if __name__ == "__main__":
    main()
