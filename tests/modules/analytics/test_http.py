"""Figures as their callers see them. On both databases."""

import pytest

from tests.modules.analytics.counting import Counter, did, fact, values

pytestmark = pytest.mark.anyio

DAYS = {"from": "2026-12-01", "to": "2026-12-04"}
BASKET = {
    "revenue": 30.1,
    "products": [
        {"category": "MEAT", "total": 10.05},
        {"category": "FRUIT", "total": 5},
        {"category": "MEAT", "total": 15.05},
    ],
}


async def test_a_series_counts_day_by_day_and_leaves_no_gap(counter: Counter) -> None:
    await counter.record(
        did(1, "ada"), did(2, "ada"), did(3, "bob", minute=2880), did(4, "bob", "Viewed")
    )
    body = await counter.get("series", event="Order Completed", **DAYS)

    assert values(body, "start", "value") == [
        ("2026-12-01T00:00:00Z", 2),
        ("2026-12-02T00:00:00Z", 0),
        ("2026-12-03T00:00:00Z", 1),
    ]
    assert body["total"] == 3
    assert (body["from"], body["to"]) == ("2026-12-01T00:00:00Z", "2026-12-04T00:00:00Z")
    assert (body["event"], body["measure"], body["interval"]) == ("Order Completed", "count", "day")


async def test_without_bounds_a_series_goes_from_the_first_to_the_last(counter: Counter) -> None:
    await counter.record(did(1, "ada", minute=61), did(2, "bob"))
    body = await counter.get("series", event="Order Completed", interval="hour")
    assert values(body, "value") == [1, 1]
    assert (body["from"], body["to"]) == ("2026-12-01T12:00:00Z", "2026-12-01T13:01:00.000001Z")
    nothing = await counter.get("series", event="Never")
    assert (nothing["data"], nothing["total"], nothing["from"]) == ([], 0, None)


async def test_people_who_are_merged_count_once_from_then_on(counter: Counter) -> None:
    await counter.record(did(1, "ada"), did(2, "phone"), did(3, "bob", minute=1440))
    before = await counter.get("series", measure="people", **DAYS)
    await counter.merge("ada", "phone")
    await counter.merge("eve", "ada")
    await counter.record(did(4, "eve", minute=1440))
    after = await counter.get("series", measure="people", **DAYS)

    assert (values(before, "value"), before["total"]) == ([2, 1, 0], 3)
    assert (values(after, "value"), after["total"]) == ([1, 2, 0], 2)


async def test_sums_do_not_drift(counter: Counter) -> None:
    cents = [did(n, "ada", properties={"revenue": 0.1}) for n in range(1000)]
    odd = [
        {"revenue": "7"},
        {"revenue": True},
        {"revenue": None},
        {"revenue": [1]},
        {},
        {"revenue": 1e15},
    ]
    await counter.record(*cents[:500])
    await counter.record(
        *cents[500:], *(did(2000 + n, "ada", properties=o) for n, o in enumerate(odd))
    )
    body = await counter.get("series", measure="sum", property="revenue", interval="month")
    assert body["total"] == 100.0
    assert values(body, "start", "value") == [("2026-12-01T00:00:00Z", 100.0)]


async def test_a_breakdown_looks_into_lists_line_by_line(counter: Counter) -> None:
    await counter.record(
        did(1, "ada", properties=BASKET),
        did(2, "bob", properties={"revenue": 1, "products": [{"category": "MEAT", "total": 1}]}),
        did(3, "bob", properties={"revenue": 2, "products": []}),
    )
    by = {"event": "Order Completed", "by": "products.category"}
    lines = await counter.get("breakdown", measure="sum", property="products.total", **by)
    whole = await counter.get("breakdown", measure="sum", property="revenue", **by)
    events = await counter.get("breakdown", **by)
    people = await counter.get("breakdown", measure="people", limit=1, **by)

    assert values(lines, "group", "value") == [("MEAT", 26.1), ("FRUIT", 5.0), (None, 0.0)]
    assert (lines["total"], lines["groups"]) == (31.1, 3)
    assert values(whole, "group", "value") == [("MEAT", 31.1), ("FRUIT", 30.1), (None, 2.0)]
    assert whole["total"] == 33.1
    assert values(events, "group", "value") == [("MEAT", 2), ("FRUIT", 1), (None, 1)]
    assert events["total"] == 3
    assert (values(people, "group", "value"), people["total"]) == ([("MEAT", 2)], 2)
    assert people["groups"] == 3


async def test_an_order_converts_within_the_window_for_the_last_message(counter: Counter) -> None:
    await counter.message(
        fact("sent", "ada"),
        fact("sent", "bob"),
        fact("sent", "cy"),
        fact("sent", "ada", "campaign:2", minute=100),
    )
    await counter.record(
        did(1, "ada", properties=BASKET, minute=-1),
        did(2, "ada", properties=BASKET, minute=0),
        did(3, "ada", properties=BASKET, minute=99),
        did(4, "ada", properties=BASKET, minute=100),
        did(5, "bob", properties=BASKET, minute=2 * 1440 - 1),
        did(6, "bob", properties=BASKET, minute=2 * 1440),
        did(7, "dan", properties=BASKET, minute=5),
    )
    body = await counter.get(
        "conversions",
        source="campaign:1",
        event="Order Completed",
        within="P2D",
        property="revenue",
        by="products.category",
        by_property="products.total",
    )
    assert (body["people"], body["converted"], body["events"], body["total"]) == (3, 2, 3, 90.3)
    assert [(d["start"][:10], d["converted"], d["events"], d["total"]) for d in body["days"]] == [
        ("2026-12-01", 1, 2, 60.2),
        ("2026-12-02", 0, 0, 0.0),
        ("2026-12-03", 1, 1, 30.1),
    ]
    assert [tuple(g.values()) for g in body["groups"]] == [
        ("MEAT", 2, 3, 75.3),
        ("FRUIT", 2, 3, 15.0),
    ]


async def test_a_message_counts_once_a_kind_when_it_happened_first(counter: Counter) -> None:
    await counter.message(
        fact("sent", "ada"),
        fact("sent", "bob"),
        fact("sent", "cy", "campaign:2"),
        fact("opened", "ada", minute=2),
        fact("opened", "ada", minute=1440),
        fact("clicked", "ada", minute=1440),
        fact("clicked", "ada", minute=1441),
        fact("unsubscribed", "bob", minute=1440),
        fact("bounced", "dan"),
    )
    body = await counter.get("messages", source="campaign:1")
    kinds = ("sent", "bounced", "opened", "clicked", "unsubscribed")
    assert values(body, "start", *kinds) == [
        ("2026-12-01T00:00:00Z", 2, 1, 1, 0, 0),
        ("2026-12-02T00:00:00Z", 0, 0, 0, 1, 1),
    ]
    assert body["total"] == {"sent": 2, "bounced": 1, "opened": 1, "clicked": 1, "unsubscribed": 1}
    assert (await counter.get("messages"))["total"]["sent"] == 3


async def test_names_and_what_is_kept(counter: Counter) -> None:
    await counter.record(
        did(1, "ada"), did(2, "ada", minute=1), did(3, "bob", None, type="identify")
    )
    await counter.message(fact("sent", "ada"), fact("opened", "ada"))
    assert (await counter.get("events"))["data"] == [
        {
            "type": "track",
            "event": "Order Completed",
            "count": 2,
            "first": "2026-12-01T12:00:00Z",
            "last": "2026-12-01T12:01:00Z",
        },
        {
            "type": "identify",
            "event": None,
            "count": 1,
            "first": "2026-12-01T12:00:00Z",
            "last": "2026-12-01T12:00:00Z",
        },
    ]
    assert await counter.get("kept") == {"events": 3, "messages": 1}
    assert await counter.get("kept", tenant="globex") == {"events": 0, "messages": 0}
