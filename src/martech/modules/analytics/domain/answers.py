"""Figures as callers see them: every slot of time, and numbers that JSON has."""

from collections.abc import Sequence
from datetime import datetime

from martech.modules.analytics.contract import (
    ConversionDay,
    ConversionGroup,
    MessageCounts,
    MessageDay,
    Point,
)
from martech.modules.analytics.domain.calendar import Calendar
from martech.modules.analytics.domain.questions import (
    Converted,
    ConvertedGroup,
    Happened,
    Measure,
    Number,
    Value,
)


def figure(value: Number, measure: Measure) -> int | float:
    """Sums are exact up to here; everything else is a whole number."""
    return float(value) if measure == "sum" else int(value)


def points(calendar: Calendar, found: Sequence[Value], measure: Measure) -> list[Point]:
    known = {each.key: each.value for each in found}
    return [
        Point(start=slot.start, value=figure(known.get(slot.key, 0), measure))
        for slot in calendar.slots()
    ]


def conversion_days(calendar: Calendar, found: Sequence[Converted]) -> list[ConversionDay]:
    known = {each.key: (each.converted, each.events, float(each.total)) for each in found}
    return [
        ConversionDay(start=slot.start, converted=converted, events=events, total=total)
        for slot in calendar.slots()
        for converted, events, total in [known.get(slot.key, (0, 0, 0.0))]
    ]


def conversion_groups(found: Sequence[ConvertedGroup]) -> list[ConversionGroup]:
    return [
        ConversionGroup(
            group=each.group,
            converted=each.converted,
            events=each.events,
            total=float(each.total),
        )
        for each in found
    ]


def message_days(
    calendar: Calendar, found: Sequence[Happened]
) -> tuple[MessageCounts, list[MessageDay]]:
    """The sums, and a row for each slot."""
    known: dict[datetime, dict[str, int]] = {}
    total: dict[str, int] = {}
    for each in found:
        known.setdefault(each.key, {})[each.kind] = each.messages
        total[each.kind] = total.get(each.kind, 0) + each.messages
    days = [MessageDay(start=slot.start, **known.get(slot.key, {})) for slot in calendar.slots()]
    return MessageCounts(**total), days
