"""Figures equal plain SQL over the same data in parquet files. The SQL here is written anew: it
has DuckDB's own time zones and shares nothing with the store's."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.kernel.host import Host
from martech.modules.analytics.domain import Conversion, Frame, Measured, Which
from martech.modules.analytics.domain import Path as Property
from tests.modules.analytics.counting import MODULES, fresh, settings
from tests.modules.analytics.world import MANY, ZONES, World, events, merges, moments, touches

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return fresh("sqlite", tmp_path)


@pytest.fixture
async def world(url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with Host(MODULES, settings(url, tmp_path)) as host:
        yield World(host, tmp_path)


NUMBER = """
    CASE WHEN json_type({0}) IN ('BIGINT', 'UBIGINT', 'DOUBLE', 'HUGEINT')
        AND abs(CAST({0} AS DOUBLE)) <= 1e12 THEN CAST({0}->>'$' AS DECIMAL(30, 6)) END
"""
TEXT = """
    CASE WHEN json_type({0}) IN ('VARCHAR', 'BOOLEAN', 'BIGINT', 'UBIGINT', 'DOUBLE')
        THEN {0}->>'$' END
"""
LINES = """
    SELECT id, who, moment, props, unnest(CASE
        WHEN json_array_length(props::JSON->'products') > 0
            THEN from_json(props::JSON->'products', '["JSON"]')
        WHEN json_type(props::JSON->'products') = 'ARRAY' THEN [NULL]
        ELSE [props::JSON->'products'] END) AS line
    FROM {0}
"""
REVENUE = NUMBER.format("(props::JSON->'revenue')")
CHANNEL = TEXT.format("(props::JSON->'channel')")
CATEGORY = TEXT.format("(line->'category')")
TOTAL = NUMBER.format("(line->'total')")
LOCAL = "timezone($zone, timezone('UTC', moment))"
CREDITED = """
    SELECT * FROM @events e WHERE EXISTS (
        SELECT * FROM @sent s WHERE s.who = e.who AND s.source = 'campaign:1'
        AND s.moment <= e.moment AND e.moment < s.moment + to_days({days})
        AND NOT EXISTS (
            SELECT * FROM @sent later WHERE later.who = e.who
            AND later.moment > s.moment AND later.moment <= e.moment
        )
    )
"""
MEASURES = {
    "count": "count(*)",
    "people": "count(DISTINCT who)",
    "sum": f"coalesce(sum({REVENUE}), 0)",
}


def slots(rows: Sequence[dict[str, Any]], value: str = "value") -> dict[datetime, Any]:
    """What is not zero, by its beginning; and there is no gap between the rows."""
    starts = [datetime.fromisoformat(str(row["start"])) for row in rows]
    assert starts == sorted(set(starts))
    return {at: row[value] for at, row in zip(starts, rows, strict=True) if row[value]}


def builtins(view: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(view)
    return plain


@MANY
@given(
    events,
    merges,
    st.sampled_from(["count", "people", "sum"]),
    st.sampled_from(["hour", "day", "week", "month"]),
    st.sampled_from(ZONES),
    st.tuples(moments, moments).map(sorted) | st.none(),
)
async def test_series_equal_plain_sql(
    world: World, happened: Any, merged: Any, measure: Any, interval: Any, zone: str, bounds: Any
) -> None:
    if interval == "hour":
        zone = "Europe/Berlin" if zone == "Australia/Lord_Howe" else zone
        first = min(at for _, at, _ in happened)
        bounds = (first - timedelta(days=3), first + timedelta(days=180))
    elif bounds and bounds[0] == bounds[1]:
        bounds = None
    await world.tell(happened, merged, [])
    since, until = bounds or (None, None)
    frame = Frame(interval, ZoneInfo(zone), since, until)
    revenue = Property(("revenue",)) if measure == "sum" else None
    which = Which("track", "Order Completed")
    found = builtins(
        await world.ask(lambda service: service.series(which, Measured(measure, revenue), frame))
    )
    inside = "(moment >= $since AND moment < $until OR $since IS NULL)"
    bound = {
        "since": since and since.replace(tzinfo=None),
        "until": until and until.replace(tzinfo=None),
    }
    clock = f"date_diff('second', moment, {LOCAL})" if interval == "hour" else "true"
    wanted = world.sql(
        f"SELECT date_trunc($interval, {LOCAL}) AS slot, min(moment), {MEASURES[measure]} "
        f"FROM @events WHERE {inside} GROUP BY slot, {clock}",
        interval=interval,
        zone=zone,
        **bound,
    )
    total = world.sql(f"SELECT {MEASURES[measure]} FROM @events WHERE {inside}", **bound)[0][0]
    assert found["total"] == pytest.approx(float(total), abs=1e-9)
    values = slots(found["data"])
    for _, moment, value in wanted:
        if value:
            at = moment.replace(tzinfo=UTC)
            start = max(start for start in values if start <= at)
            assert values.pop(start) == float(value)
    assert values == {}, "there is nothing that the SQL has not"


@MANY
@given(
    events,
    merges,
    st.sampled_from(["count", "people", "sum"]),
    st.sampled_from(["channel", "products.category"]),
    st.sampled_from(["revenue", "products.total"]),
)
async def test_breakdowns_equal_plain_sql(
    world: World, happened: Any, merged: Any, measure: Any, by: str, summed: str
) -> None:
    await world.tell(happened, merged, [])
    revenue = Property(tuple(summed.split("."))) if measure == "sum" else None
    found = builtins(
        await world.ask(
            lambda service: service.breakdown(
                Which("track", None),
                Measured(measure, revenue),
                Property(tuple(by.split("."))),
                Frame("month", ZoneInfo("UTC"), None, None),
                1000,
            )
        )
    )
    wanted, total = by_hand(world, measure, by, summed)
    got = {row["group"]: row["value"] for row in found["data"]}
    assert len(got) == len(found["data"]) == found["groups"]
    assert got == {group: float(value) for group, value in wanted}
    assert found["total"] == float(total)
    values = [row["value"] for row in found["data"]]
    assert values == sorted(values, reverse=True)


def by_hand(world: World, measure: str, by: str, summed: str) -> tuple[list[Any], Any]:
    of_event = f"(SELECT sum({TOTAL}) FROM ({LINES.format('@events')}) l WHERE l.id = e.id)"
    value = REVENUE if summed == "revenue" else of_event
    if by == "channel":
        rows = f"SELECT id, who, {CHANNEL} AS grp, {value} AS value FROM @events e"
    else:
        rows = f"""
            SELECT DISTINCT id, who, {CATEGORY} AS grp, {value} AS value
            FROM ({LINES.format("@events")}) e
        """
    if by != "channel" and summed != "revenue":
        rows = f"""
            SELECT id, who, {CATEGORY} AS grp, sum({TOTAL}) AS value
            FROM ({LINES.format("@events")}) GROUP BY ALL
        """
    aggregate = {
        "count": "count(DISTINCT id)",
        "people": "count(DISTINCT who)",
        "sum": "coalesce(sum(value), 0)",
    }
    whole = f"SELECT id, who, {value} AS value FROM @events e"
    groups = world.sql(f"SELECT grp, {aggregate[measure]} FROM ({rows}) GROUP BY grp")
    return groups, world.sql(f"SELECT {aggregate[measure]} FROM ({whole})")[0][0]


@MANY
@given(events, merges, touches, st.sampled_from([1, 30, 200]))
async def test_conversions_equal_plain_sql(
    world: World, happened: Any, merged: Any, sent: Any, days: int
) -> None:
    await world.tell(happened, merged, sent)
    asked = Conversion(
        "campaign:1",
        Which("track", "Order Completed"),
        f"P{days}D",
        timedelta(days=days),
        Property(("revenue",)),
        Property(("products", "category")),
        Property(("products", "total")),
        1000,
    )
    frame = Frame("day", ZoneInfo("Europe/Berlin"), None, None)
    found = builtins(await world.ask(lambda service: service.conversions(asked, frame)))
    credited = CREDITED.format(days=days)
    aggregates = f"count(DISTINCT who), count(*), coalesce(sum({REVENUE}), 0)"
    ((people,),) = world.sql("SELECT count(DISTINCT who) FROM @sent WHERE source = 'campaign:1'")
    ((converted, times, total),) = world.sql(f"SELECT {aggregates} FROM ({credited})")
    assert (found["people"], found["converted"], found["events"]) == (people, converted, times)
    assert found["total"] == float(total)
    rows = world.sql(
        "SELECT date_trunc('day', timezone('Europe/Berlin', timezone('UTC', moment)))::DATE, "
        f"{aggregates} FROM ({credited}) GROUP BY 1"
    )
    assert {
        (str(day["start"])[:10], day["converted"], day["events"], day["total"])
        for day in found["days"]
        if day["events"]
    } == {(day.isoformat(), people, times, float(total)) for day, people, times, total in rows}
    groups = world.sql(
        f"SELECT {CATEGORY} AS grp, count(DISTINCT who), "
        f"count(DISTINCT id), coalesce(sum({TOTAL}), 0) "
        f"FROM ({LINES.format(f'({credited})')}) GROUP BY grp"
    )
    assert {tuple(row.values()) for row in found["groups"]} == {
        (group, people, times, float(total)) for group, people, times, total in groups
    }
