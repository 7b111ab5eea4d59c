"""The manifest: everything that a host needs to know about a module."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cached_property
from inspect import Parameter, signature
from types import UnionType
from typing import Any, Protocol, TypeVar, get_args, get_origin

import msgspec
from litestar import Controller
from sqlalchemy import Column, MetaData, Table

from martech.kernel.custody import Custody
from martech.kernel.db import Transaction
from martech.kernel.messages import (
    Command,
    Event,
    Lift,
    fact_type,
    is_issuer,
    owner,
    upcasts,
    wire_name,
)
from martech.kernel.store import Engine

S_co = TypeVar("S_co", covariant=True)
Handler = Callable[..., Awaitable[None]]


class ManifestError(Exception):
    """A module does not hold together; the sentence says what and where."""


class Unit(Protocol[S_co]):
    """How a job opens a unit of work of its own module, as often as it needs."""

    def __call__(self) -> AbstractAsyncContextManager[S_co]: ...


@dataclass(frozen=True)
class Subscription:
    """A handler and the events of one source that it waits for, which it hears in the order in
    which they were told. Its name is its cursor: renaming it is a migration."""

    events: tuple[type[Event], ...]
    handle: Handler

    @property
    def name(self) -> str:
        return self.handle.__name__

    @property
    def source(self) -> str:
        """The module that tells them."""
        return owner(self.events[0])

    @cached_property
    def types(self) -> dict[str, type[Event]]:
        """The CloudEvent ``type`` of everything it hears: the events it waits for, and the older
        versions that read as one of them."""
        older = {wire_name(old): old for event in self.events for old, _ in upcasts(event)}
        return older | {wire_name(event): event for event in self.events}

    @cached_property
    def lifts(self) -> dict[str, Lift]:
        """How an older version becomes what it waits for, by ``type``."""
        ways = {wire_name(old): lift for event in self.events for old, lift in upcasts(event)}
        return {name: lift for name, lift in ways.items() if self.types[name] not in self.events}

    @cached_property
    def batch(self) -> bool:
        """Whether the handler takes many at a time: its first parameter is a ``Sequence``."""
        return get_origin(_parameters(self.handle)[0].annotation) is Sequence

    def check(self) -> None:
        if len({owner(event) for event in self.events}) != 1:
            raise ManifestError(
                f"{self.name} must wait for events of one module: only those have an order."
            )
        given = _parameters(self.handle)[0].annotation
        wanted = get_args(given)[0] if self.batch else given
        facts = [fact_type(event) for event in self.events]
        if set(get_args(wanted) if isinstance(wanted, UnionType) else [wanted]) != set(facts):
            raise ManifestError(
                f"{self.name} is subscribed to {', '.join(e.__name__ for e in self.events)} and so "
                f"must take {' | '.join(f.__name__ for f in facts)} or a Sequence of it, "
                f"not {given}."
            )


@dataclass(frozen=True)
class Job:
    """The one function that carries out a command.

    An *inward* job touches only its module's schema: one unit of work, settled in the same
    transaction. An outward one may use adapters and ports, and opens units around them.
    """

    command: type[Command]
    run: Handler
    inward: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def takes(self) -> dict[str, type]:
        """What an outward one takes besides its command and its unit, by parameter: resources of
        its module, and ports. Raises `ManifestError`."""
        taken, name = _parameters(self.run), self.run.__name__
        if not taken or taken[0].annotation is not self.command:
            raise ManifestError(f"{name} must take {self.command} first.")
        if self.inward:
            if len(taken) != 2:
                raise ManifestError(
                    f"{name} is inward: it takes the command and the service, and neither ports "
                    "nor adapters."
                )
            return {}
        if len(taken) < 2 or get_origin(taken[1].annotation) is not Unit:
            raise ManifestError(f"{name} must take a Unit second.")
        return {parameter.name: parameter.annotation for parameter in taken[2:]}


def on(*events: type[Event]) -> Callable[[Handler], Subscription]:
    """Subscribe a handler to *events*, all of one module. Several share one cursor, so that their
    order is that of the source: a merge comes between what was told before and after it."""
    return lambda handle: Subscription(events, handle)


def job(
    command: type[Command], *, inward: bool = False, **options: Any
) -> Callable[[Handler], Job]:
    return lambda run: Job(command, run, inward, options)


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """Tables that follow from what a subscription hears, and from nothing else: `martech replay
    --shadow` makes them anew beside the ones in use."""

    of: Subscription
    tables: Sequence[Table]
    beside: Sequence[Table] = ()
    """Tables that the handler writes too, and others as well. What it would write there is thrown
    away: it was written when it was heard first."""

    renumbered: Mapping[Column[Any], Table] = field(default_factory=dict)
    """Columns of other tables that hold the running number of a row of one of *tables*. A row that
    is made anew may have another number; it is found again by the table's unique constraint."""

    def check(self, module: "Module") -> None:
        names = f"The projection of {self.of.name}"
        if self.of not in module.subscriptions or module.store or not self.tables:
            raise ManifestError(f"{names} is of no subscription of {module.name} with tables.")
        if twice := set(self.tables) & set(self.beside):
            raise ManifestError(f"{names} has {min(t.name for t in twice)} twice.")
        for table in (*self.tables, *self.beside, *(c.table for c in self.renumbered)):
            if table.metadata is not module.tables:
                raise ManifestError(f"{names} has {table}, which is not {module.name}'s.")
        if any(table not in self.tables for table in self.renumbered.values()):
            raise ManifestError(f"{names} renumbers by a table that it does not make anew.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Module:
    port: type
    service: type
    tables: MetaData
    controllers: Sequence[type[Controller]] = ()
    protocols: Sequence[type[Controller]] = ()
    """Routes whose path a protocol fixes; everything else is served under ``/<module>/v1``."""

    subscriptions: Sequence[Subscription] = ()
    projections: Sequence[Projection] = ()
    jobs: Sequence[Job] = ()
    resources: Sequence[type] = ()
    """Long-lived things of a host, handed to HTTP handlers and outward jobs by type; each is
    given what its constructor names (`resources.make`)."""

    settings: type[msgspec.Struct] | None = None
    """A struct of defaults; its fields are read from ``MARTECH_<MODULE>_<FIELD>``. If it has a
    ``warning`` that is not None, that is said at the start."""

    store: type | None = None
    """The `Protocol`, in the domain, of an engine that is this module's own storage: the service
    is given it by type. Then the module's subscriptions write to it and to nothing else."""

    engines: Mapping[str, type[Engine]] = field(default_factory=dict)
    """Who answers for the store, by scheme of ``MARTECH_<MODULE>_STORE_URL``; the first is the
    default."""

    custody: Custody | None = None

    @property
    def name(self) -> str:
        return owner(self.port)

    @property
    def issuer(self) -> bool:
        """Whether this module signs API keys; every host follows its outbox for revocations."""
        return is_issuer(self.port)

    @cached_property
    def needs(self) -> dict[str, type]:
        """The ports this module asks: its service's parameters, but for transaction and store."""
        return {
            p.name: p.annotation
            for p in _parameters(self.service)
            if p.annotation not in (Transaction, self.store)
        }

    @cached_property
    def stored_as(self) -> str | None:
        """The service's parameter that takes the store."""
        names = [p.name for p in _parameters(self.service) if p.annotation is self.store]
        return names[0] if self.store and names else None

    def check(self) -> None:
        """Raise `ManifestError` if the manifest contradicts itself."""
        if self.tables.schema != self.name:
            raise ManifestError(f"{self.name} keeps its tables in {self.tables.schema!r}.")
        if bool(self.store) != bool(self.engines) or (self.store and not self.stored_as):
            raise ManifestError(f"{self.name} needs a store, engines for it, and a use for it.")
        for subscription in self.subscriptions:
            subscription.check()
        for projection in self.projections:
            projection.check(self)
        for what, names in (
            ("subscriptions", [s.name for s in self.subscriptions]),
            ("jobs for one command", [j.command.__name__ for j in self.jobs]),
        ):
            if twice := {name for name in names if names.count(name) > 1}:
                raise ManifestError(f"{self.name} has two {what}: {min(twice)}.")


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    return list(signature(function, eval_str=True).parameters.values())
