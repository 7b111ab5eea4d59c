"""Days and hours on the nights on which clocks are changed. On both databases."""

from datetime import datetime, timedelta

import pytest

from tests.modules.analytics.counting import START, Counter, did, values

pytestmark = pytest.mark.anyio


async def test_days_have_the_length_that_the_zone_gives_them(counter: Counter) -> None:
    """In Berlin the last Sunday of October has 25 hours, and the hour of two o'clock twice."""
    saturday = START.replace(month=10, day=24, hour=0)
    every_hour = [saturday + timedelta(hours=hour) for hour in range(22, 48)]
    await counter.record(*(did(number, "ada", at=at) for number, at in enumerate(every_hour)))
    berlin = {"timezone": "Europe/Berlin", "from": "2026-10-25", "to": "2026-10-26"}
    days = await counter.get("series", **berlin)
    hours = await counter.get("series", interval="hour", **berlin)
    assert values(days, "start", "value") == [("2026-10-25T00:00:00+02:00", 25)]
    assert values(hours, "value") == [1] * 25
    assert [str(start)[11:] for start in values(hours, "start")][1:5] == [
        "01:00:00+02:00", "02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("interval", "night", "before", "after"),
    [
        ("day", "2010-11-07", "2010-11-06T00:00:00-02:30", "2010-11-07T00:00:00-02:30"),
        ("month", "2009-11-01", "2009-10-01T00:00:00-02:30", "2009-11-01T00:00:00-02:30"),
    ],
)
async def test_what_has_begun_goes_on_where_clocks_fall_back_across_midnight(
    counter: Counter, interval: str, night: str, before: str, after: str
) -> None:
    """In St. John's one minute past midnight was followed by 23:01 of the day before."""
    midnight = datetime.fromisoformat(f"{night}T02:30:00+00:00")
    moments = [midnight + timedelta(minutes=minute) for minute in (-1, 0, 1, 30, 59, 60)]
    await counter.record(*(did(n, f"person {n % 4}", at=at) for n, at in enumerate(moments)))
    zone = {"timezone": "America/St_Johns", "interval": interval, "to": f"{night}T12:00:00Z"}
    wanted = {
        ("count", before[:10]): ([(before, 1), (after, 5)], 6),
        ("count", night): ([(after, 5)], 5),
        ("count", f"{night}T03:00:00Z"): ([(after, 3)], 3),
        ("people", before[:10]): ([(before, 1), (after, 4)], 4),
        ("people", night): ([(after, 4)], 4),
        ("people", f"{night}T03:00:00Z"): ([(after, 3)], 3),
    }
    for (measure, begin), answer in wanted.items():
        found = await counter.get("series", measure=measure, **zone, **{"from": begin})
        assert (values(found, "start", "value"), found["total"]) == answer, (measure, begin)
