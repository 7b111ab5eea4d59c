"""What the campaign brought, by the REST API: the second half of the report."""

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from demo.figures import Figures, money
from demo.marketer import Status
from demo.rest import Rest

ORDER = "Order Completed"
SOLD = (ORDER, "Coupon Redeemed")
ACCEPTED = {
    "delivered": "sent",
    "opened": "opened",
    "clicked": "clicked",
    "unsubscribed": "unsubscribed",
}
"""What we call it, and what analytics does: sent is what the mail server accepted."""
DAYS = 14
"""The days before December that are shown one by one."""
ALL = 200
"""More than there are departments."""


class Point(msgspec.Struct):
    start: datetime
    value: Decimal


class Series(msgspec.Struct):
    data: list[Point]


class Group(msgspec.Struct):
    group: str | None
    value: Decimal


class Breakdown(msgspec.Struct):
    groups: int
    data: list[Group]


class ConvertedDay(msgspec.Struct):
    start: datetime
    converted: int
    events: int
    total: Decimal


class ConvertedGroup(msgspec.Struct):
    group: str | None
    total: Decimal


class Conversions(msgspec.Struct):
    people: int
    converted: int
    events: int
    total: Decimal
    days: list[ConvertedDay]
    groups: list[ConvertedGroup]


class MessageDay(msgspec.Struct):
    start: datetime
    sent: int
    opened: int
    clicked: int
    unsubscribed: int


class Messages(msgspec.Struct):
    data: list[MessageDay]


class Happened(msgspec.Struct):
    event: str | None
    count: int


class Events(msgspec.Struct):
    data: list[Happened]


def figures(rest: Rest, campaign: str, december: datetime) -> Figures:
    """*december* is where the history ends."""
    return {
        **_funnel(rest, campaign),
        **_messages(rest, campaign),
        **_conversions(rest, campaign),
        **_days(rest, december),
        **_departments(rest, december),
    }


def _funnel(rest: Rest, campaign: str) -> Figures:
    counts = rest.get(f"/campaigns/v1/campaigns/{campaign}/status", Status).counts
    funnel = ("audience", "sent", "delivered", "bounced", "opened", "clicked", "unsubscribed")
    return {
        **{name: int(getattr(counts, name)) for name in funnel},
        **{f"events {name}": count for name, count in _told(rest).items()},
    }


def _told(rest: Rest) -> dict[str, int]:
    """What delivery told of mails, as behaviour."""
    found = rest.get("/analytics/v1/events", Events, limit=ALL).data
    return {one.event: one.count for one in found if one.event and one.event not in SOLD}


def _messages(rest: Rest, campaign: str) -> Figures:
    told = rest.get("/analytics/v1/messages", Messages, source=f"campaign:{campaign}")
    return {
        f"{label} on {day.start:%Y-%m-%d}": count
        for day in told.data
        for label, name in ACCEPTED.items()
        if (count := int(getattr(day, name)))
    }


def _conversions(rest: Rest, campaign: str) -> Figures:
    told = rest.get(
        "/analytics/v1/conversions",
        Conversions,
        source=f"campaign:{campaign}",
        event=ORDER,
        within=f"P{DAYS}D",
        property="revenue",
        interval="day",
        by="products.category",
        by_property="products.total",
        limit=ALL,
    )
    days = [day for day in told.days if day.events]
    return {
        "converted": told.converted,
        "orders converted": told.events,
        "revenue converted": cents(told.total),
        **{f"orders converted on {day.start:%Y-%m-%d}": day.events for day in days},
        **{f"revenue converted in {_named(one.group)}": cents(one.total) for one in told.groups},
    }


def _days(rest: Rest, december: datetime) -> Figures:
    """The last days of the history, one by one."""
    lines: dict[str, int | str] = {}
    span = {"from": f"{december - timedelta(days=DAYS):%Y-%m-%d}", "to": f"{december:%Y-%m-%d}"}
    asked = {"event": ORDER, "interval": "day", **span}
    path = "/analytics/v1/series"
    orders = rest.get(path, Series, **asked).data
    revenue = rest.get(path, Series, **asked, measure="sum", property="revenue").data
    for many, much in zip(orders, revenue, strict=True):
        lines[f"orders on {many.start:%Y-%m-%d}"] = int(many.value)
        lines[f"revenue on {much.start:%Y-%m-%d}"] = cents(much.value)
    return lines


def _departments(rest: Rest, december: datetime) -> Figures:
    asked = {"event": ORDER, "by": "products.category", "from": f"{december:%Y-%m-%d}"}
    live = rest.get(
        "/analytics/v1/breakdown",
        Breakdown,
        **asked,
        measure="sum",
        property="products.total",
        limit=ALL,
    )
    return {f"revenue live of {_named(one.group)}": cents(one.value) for one in live.data}


def _named(department: str | None) -> str:
    return department or "no department"


def cents(value: Decimal) -> str:
    """As money. Nothing is rounded: a fraction of a cent would be a mistake, and shows."""
    whole = value * 100
    return money(int(whole)) if whole == int(whole) else f"{value}"
