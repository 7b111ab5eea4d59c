"""The report, built from nothing but the REST API, as anybody with a secret key could."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import count

import msgspec

from demo.figures import Figures, money
from demo.rest import Rest
from demo.story import DECEMBER, offset

BEST = 3
LIVE = "live"


class Tracked(msgspec.Struct):
    received: int
    accepted: int
    duplicate: int
    rejected: int


class Totals(msgspec.Struct):
    people: int
    identities: int
    activities: int


class Identity(msgspec.Struct):
    kind: str
    value: str


class Person(msgspec.Struct):
    id: str
    identities: list[Identity]
    traits: dict[str, object]


class Revenue(msgspec.Struct):
    revenue: Decimal


class Order(msgspec.Struct):
    profile_id: str
    timestamp: datetime
    properties: Revenue


class Redemption(msgspec.Struct):
    timestamp: datetime


class Ledger:
    """Adds up one kind of thing by its month and by its person."""

    def __init__(self) -> None:
        self.orders = Counter[str]()
        self.cents = Counter[str]()

    def add(self, name: str, cents: int) -> None:
        self.orders[name] += 1
        self.cents[name] += cents

    def lines(self, name: str, label: str) -> dict[str, int | str]:
        return {f"orders {label}": self.orders[name], f"revenue {label}": money(self.cents[name])}


def figures(rest: Rest, day: date, progress: Callable[[int], None]) -> Figures:
    """Read everything; *progress* hears how many orders and redemptions were read."""
    boundary = first_live(day)
    months, customers, redeemed = Ledger(), Ledger(), Ledger()
    path = "/profiles/v1/activities"
    read = count(1)
    for order in rest.pages(path, Order, event="Order Completed", properties="revenue"):
        cents = int(order.properties.revenue * 100)
        month = f"{order.timestamp:%Y-%m}" if order.timestamp < boundary else LIVE
        months.add(month, cents)
        customers.add(order.profile_id, cents)
        progress(next(read))
    for redemption in rest.pages(path, Redemption, event="Coupon Redeemed", properties=""):
        redeemed.add(LIVE if redemption.timestamp >= boundary else "", 0)
        progress(next(read))
    totals = rest.get("/profiles/v1/counts", Totals)
    people = {person.id: person for person in rest.pages("/profiles/v1/people", Person)}
    return {
        "people": totals.people,
        "identities": totals.identities,
        "people with demographics": sum("age" in person.traits for person in people.values()),
        "orders": months.orders.total(),
        "revenue": money(months.cents.total()),
        "redemptions": redeemed.orders.total(),
        "activities": totals.activities,
        **_by_month(months),
        "redemptions live": redeemed.orders[LIVE],
        **_best(customers, people),
        **msgspec.structs.asdict(rest.get("/tracking/v1/counts", Tracked)),
    }


def first_live(day: date) -> datetime:
    """Where 1 December came to lie: at most six days before *day*, after all of the history."""
    return datetime.combine(DECEMBER + offset(day), time(), UTC)


def _by_month(months: Ledger) -> dict[str, int | str]:
    lines: dict[str, int | str] = {}
    for month in [*sorted(month for month in months.orders if month != LIVE), LIVE]:
        lines |= months.lines(month, month)
    return lines


def _best(customers: Ledger, people: dict[str, Person]) -> dict[str, int | str]:
    """Those who spent most, under the name that the customer's own system gave them."""
    names = {person: _user_id(people[person]) for person in customers.cents}
    lines: dict[str, int | str] = {}
    ranked = sorted((-cents, _number(names[who]), who) for who, cents in customers.cents.items())
    for _, _, person in ranked[:BEST]:
        lines |= customers.lines(person, f"of {names[person]}")
    return lines


def _user_id(person: Person) -> str:
    return next(identity.value for identity in person.identities if identity.kind == "user_id")


def _number(user_id: str) -> int:
    return int(user_id.rpartition("-")[2])
