"""Who belongs to a segment, from all that was told: counted anew, in the plainest way there is."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

WINDOWS = {"PT1H": 1, "P1D": 24, "P7D": 168, "P30D": 720}


@dataclass
class Oracle:
    """Profile ids may be anything."""

    acts: list[tuple[Any, str, datetime, dict[str, Any]]] = field(default_factory=list)
    traits: dict[Any, dict[str, Any]] = field(default_factory=dict)
    kept: dict[Any, Any] = field(default_factory=dict)

    def root(self, person: Any) -> Any:
        return self.root(self.kept[person]) if person in self.kept else person

    def act(self, person: Any, event: str, at: datetime, properties: dict[str, Any]) -> None:
        self.traits.setdefault(person, {})
        self.acts.append((person, event, at, properties))

    def change(self, person: Any, traits: dict[str, Any]) -> None:
        self.traits.setdefault(person, {}).update(traits)

    def merge(self, kept: Any, merged: Any) -> None:
        self.traits.setdefault(kept, {})
        self.traits.setdefault(merged, {})
        self.kept[merged] = kept

    def people(self) -> list[Any]:
        return [person for person in self.traits if person not in self.kept]

    def members(self, condition: Any, now: datetime) -> set[Any]:
        return {person for person in self.people() if self.holds(condition, person, now)}

    def holds(self, c: Any, person: Any, now: datetime) -> bool:
        if "all" in c:
            return all(self.holds(part, person, now) for part in c["all"])
        if "any" in c:
            return any(self.holds(part, person, now) for part in c["any"])
        if "not" in c:
            return not self.holds(c["not"], person, now)
        if "trait" in c:
            return asked(self.traits[person].get(c["trait"]), c)
        number = Fraction(0)
        for who, event, at, properties in self.acts:
            if self.root(who) != person or event != c["event"]:
                continue
            if "within" in c and not now - at < timedelta(hours=WINDOWS[c["within"]]):
                continue
            if all(asked(properties.get(w["property"]), w) for w in c.get("where", [])):
                number += Fraction(str(properties.get(c["sum"], 0))) if "sum" in c else 1
        bounds = {k: Fraction(str(c[k])) for k in c if k in COMPARED}
        return all(COMPARED[name](number, bound) for name, bound in bounds.items())


COMPARED: dict[str, Any] = {
    "at_least": lambda a, b: a >= b,
    "more_than": lambda a, b: a > b,
    "at_most": lambda a, b: a <= b,
    "less_than": lambda a, b: a < b,
}


def asked(value: Any, c: dict[str, Any]) -> bool:
    """*value* is None for what is missing."""
    if c["is"] in ("exists", "missing"):
        return (value is None) == (c["is"] == "missing")
    if value is None:
        return False
    if c["is"] in COMPARED:
        return type(value) is type(c["value"]) and bool(COMPARED[c["is"]](value, c["value"]))
    if c["is"] == "contains":
        return c["value"] in value
    same = value in c["value"] if c["is"] == "one_of" else value == c["value"]
    return same != (c["is"] == "not_equals")
