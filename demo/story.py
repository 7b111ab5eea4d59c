"""What a customer sends: the rows of the dataset as calls of Segment's client.

Every message has an id made from the row itself. Sending the same row again, after a kill or just
for fun, is therefore a duplicate and never a second order.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import msgspec

from demo.dataset import Household, Journey, Order, Redemption

FIRST = datetime(2017, 1, 1, tzinfo=UTC)
"""Where the data begins."""
DECEMBER = date(2017, 12, 1)
"""What becomes the day of the run."""

ZONES = (
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Phoenix",
    "Europe/London",
    "Europe/Berlin",
    "Asia/Tokyo",
)
"""The data does not say where anybody lives; a person needs a time zone to be mailed at nine."""

Json = dict[str, object]


class Identify(NamedTuple):
    message_id: str
    user_id: str
    timestamp: datetime | None
    traits: Json


class Track(NamedTuple):
    message_id: str
    user_id: str
    timestamp: datetime | None
    """None is the time of sending."""
    event: str
    properties: Json


Messages = Iterator[Identify] | Iterator[Track]


def offset(day: date) -> timedelta:
    """Whole weeks, so that a Friday stays a Friday; 1 December lands on *day* or just before it."""
    return timedelta(weeks=(day - DECEMBER).days // 7)


def identifies(journey: Journey, moved: timedelta) -> Iterator[Identify]:
    """Everybody, as known before the first purchase."""
    for household in journey.households():
        yield _identify(household, FIRST + moved)


def history(journey: Journey, moved: timedelta) -> Iterator[Track]:
    """What lies before December, at its own time of the year that ends on the day of the run."""
    for row in journey.events("history"):
        yield _track(row, row.moment.replace(tzinfo=UTC) + moved)


def live(journey: Journey) -> Iterator[Track]:
    """December, in order, happening now."""
    for row in journey.events("live"):
        yield _track(row, None)


def _identify(row: Household, timestamp: datetime) -> Identify:
    user_id = f"household-{row.household}"
    traits: Json = {
        "email": f"{user_id}@example.com",
        "timezone": ZONES[row.household % len(ZONES)],
        **row.demographics,
    }
    return Identify(f"identify-{row.household}", user_id, timestamp, traits)


def _track(row: Order | Redemption, timestamp: datetime | None) -> Track:
    user_id = f"household-{row.household}"
    match row:
        case Order():
            message_id = f"order-{row.basket}"
            return Track(message_id, user_id, timestamp, "Order Completed", _order(row))
        case Redemption():
            message_id = f"coupon-{row.household}-{row.coupon}-{row.campaign}-{row.moment:%Y%m%d}"
            properties: Json = {"coupon_id": str(row.coupon), "campaign_id": str(row.campaign)}
            return Track(message_id, user_id, timestamp, "Coupon Redeemed", properties)


def _order(row: Order) -> Json:
    """`price` is a unit's, to the cent, as a shop shows it; `total` is the line's, exact."""
    products = msgspec.json.decode(row.products, type=list[Json])
    if '":null' in row.products:  # what the catalogue does not know is left out
        products = [{k: v for k, v in line.items() if v is not None} for line in products]
    return {
        "order_id": str(row.basket),
        "affiliation": f"Store {row.store}",
        "revenue": row.cents / 100,
        "currency": "USD",
        "products": products,
    }
