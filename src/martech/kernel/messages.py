"""The vocabulary in which modules are described. It needs msgspec and nothing else.

View      an answer         what a port or a route returns
Request   a question        what a route accepts; strict, an unknown field is refused
Event     a fact            past tense, in contract.py; lenient, an unknown field is ignored
Folded    many small facts  told in messages of up to 500; the bus hands them out as they are
Item      one of them
Command   an intention      imperative, in domain.py; this module's own job carries it out

A published event never changes. A field may be added if it has a default;
anything else is a new event (``ProfileChangedV2``) beside the old one, with an `upcast` for what
was told before.
"""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

import msgspec

M = TypeVar("M", bound=Callable[..., Any])
P = TypeVar("P", bound=type)

FOLD = 500
"""Items in one message: a row that every listener can hold."""


class View(msgspec.Struct, frozen=True, kw_only=True): ...


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True): ...


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One fact inside a `Folded` event."""

    SUBJECT: ClassVar[str] = ""
    """The field that names what the fact is about; items about one subject stay in order."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    SUBJECT: ClassVar[str] = ""
    """Names the CloudEvent's ``subject``; events about one subject stay in order."""


class Folded(Event, frozen=True, kw_only=True):
    """Many facts of one kind, told together. A subclass declares ``items: list[SomeItem]``."""

    items: Sequence[Item]


class Command(msgspec.Struct, frozen=True, kw_only=True): ...


Message = Event | Command
Fact = Event | Item


def reads(method: M) -> M:
    """Marks a question of a port that changes nothing: it is answered in a transaction that only
    reads, and may be asked again when an answer is lost."""
    method.__dict__["reads"] = True
    return method


def is_read(method: object) -> bool:
    """Whether a port's method is marked by `reads`."""
    return getattr(method, "reads", False) is True


def issues_keys(port: P) -> P:
    """Marks the port of the module that signs API keys. It stands in the contract, so that a host
    knows whose outbox tells of keys where that module is a peer."""
    type.__setattr__(port, "issuer", True)
    return port


def is_issuer(port: object) -> bool:
    """Whether a port is marked by `issues_keys`."""
    return getattr(port, "issuer", False) is True


def owner(symbol: type) -> str:
    """The module in which a port, a message or an item is defined."""
    parts = symbol.__module__.split(".")
    return parts[parts.index("modules") + 1] if "modules" in parts else parts[-2]


def wire_name(message: type[Message]) -> str:
    """``ProfilesMerged`` of profiles is ``profiles.profiles_merged.v1``; ``…V2`` is ``.v2``."""
    name, _, version = message.__name__.partition("V")
    if not version.isdigit():
        name, version = message.__name__, "1"
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    return f"{owner(message)}.{snake}.v{version}"


def item_type(event: type[Folded]) -> type[Item]:
    """The struct of which a folded event holds a list."""
    (item,) = get_args(get_type_hints(event)["items"])
    if not (isinstance(item, type) and issubclass(item, Item)):
        raise TypeError(f"{event.__name__}.items must be a list of an Item, not of {item!r}")
    return item


def fact_type(event: type[Event]) -> type[Fact]:
    """The struct that a handler is given: the event, or the item of a folded one."""
    return item_type(event) if issubclass(event, Folded) else event


Lift = Callable[[Any], Any]
"""From the fact of one version to that of a later one. Pure."""


@dataclass(frozen=True)
class Upcast:
    """How what was told as *old* reads as *new*. Stands in the contract, beside both, so that
    whoever has the contract can read the past."""

    old: type[Event]
    new: type[Event]
    lift: Lift


def upcast(old: type[Event], new: type[Event]) -> Callable[[Lift], Upcast]:
    """Marks the function that makes the fact of *new* from that of *old*: the event itself, or of
    folded ones one item from one item. Who listens to *new* then hears what was told as *old* too,
    so a transaction tells one of them and never both."""
    (name, version), (later, higher) = (wire_name(event).rsplit(".v", 1) for event in (old, new))
    if name != later or int(version) >= int(higher):
        raise TypeError(f"{new.__name__} is no later version of {old.__name__}.")
    if issubclass(old, Folded) != issubclass(new, Folded):
        raise TypeError(f"{old.__name__} and {new.__name__} must both be folded, or neither.")
    return lambda lift: Upcast(old, new, lift)


def upcasts(event: type[Event]) -> Iterator[tuple[type[Event], Lift]]:
    """Every older version that reads as *event*, with the whole way there."""
    for step in vars(sys.modules[event.__module__]).values():
        if isinstance(step, Upcast) and step.new is event:
            yield step.old, step.lift
            for older, lift in upcasts(step.old):
                yield older, _chained(lift, step.lift)


def _chained(first: Lift, then: Lift) -> Lift:
    return lambda fact: then(first(fact))


def subject_of(fact: Fact) -> str:
    """What *fact* is about, as text; empty when its class names no subject."""
    return str(getattr(fact, fact.SUBJECT)) if fact.SUBJECT else ""
