"""What a run has left behind, so that two runs can be compared: event logs, tables, stores and
audit chains of all modules, and what they have parked.

Two runs of one story differ in ids and times and in nothing else. So each id is named after what is
said of it everywhere, and then by what is said of its neighbours (colour refinement: Weisfeiler and
Leman 1968); times, positions and secrets do not count. An event that is missing, told twice, or
told about somebody else makes two worlds differ.

Cursors and commands are left out: they say how far along something is and how often it was tried,
and events are folded as they happen to come. That nothing is on its way any more says
`tests.chaos.tale.still`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import duckdb
import msgspec
from sqlalchemy import select

from martech.app import load
from martech.kernel.clock import SystemClock
from martech.kernel.columns import UtcDateTime
from martech.kernel.db import Database
from martech.kernel.module import Module
from martech.kernel.process import Process
from martech.kernel.published.canvas import KERNELS

ID = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")
"""Or a pseudonym, which is as long."""

TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?")
PLACE = re.compile(r"\w+://127\.0\.0\.1:\d+(?:/[cou]/[\w-]+)?")
CHANCE = {"hint", "public", "position", "label", "turn", "began", "ended"}
"""Made by chance, or by who came first; or numbers of turns, which are as many as batches."""

VIEWS = {"delivery.send_progressed.v1"}
"""Events that say how things stand, as often as somebody looked: of one subject the last counts."""

AUDITED = ("tenant", "actor", "action", "subject", "detail", "at")
"""What counts of an audit entry: its number and its hashes say only who came first."""

NUMBERED = {
    "profiles.identities.id": "identity",
    "profiles.activities.identity": "identity",
    "profiles.consents.identity": "identity",
    "profiles.consents.id": "consent",
}
"""Columns that name something by a running number. They are ids like any other: PostgreSQL never
gives one again that a write had which was rolled back."""

OF_THE_ENGINE = {"version", "cursors", "steps", "marks"}
"""Tables of a store in which it keeps account of itself."""

ROUNDS = 5
MOMENT = 10**12
"""Whatever is larger is a time in microseconds."""

Row = tuple[str, Any]
"""Where it stands, and what it says."""

World = Sequence[Row]


async def world(databases: Mapping[str, str], stores: Mapping[str, str] = {}) -> World:
    """Everything that the modules keep and have told; of *databases* and *stores* each has its URL
    under its name. Nobody else may have a store open."""
    rows: list[Row] = []
    for module in load(sorted(databases)):
        database = Database(
            databases[module.name], module.tables, clock=SystemClock(), process=Process()
        )
        try:
            rows += [row async for row in _rows(database, module)]
        finally:
            await database.close()
        if module.store:
            engine = next(iter(module.engines.values()))
            rows += stored(module.name, engine.kept_in(stores[module.name]))
    return rows


def difference(one: World, other: World) -> list[str]:
    """What only one of them has, at most a few of each. First without regard to whom it is said of:
    one row that differs gives everything that it reaches another name."""
    for rounds in range(ROUNDS + 1):
        first, second = named(one, rounds), named(other, rounds)
        if first != second:
            return [
                *_only("the first", first - second),
                *_only("the second", second - first),
            ]
    return []


def _only(which: str, rows: "Counter[str]") -> list[str]:
    return [f"only {which}, {count} times: {row}" for row, count in rows.most_common(12)]


async def _rows(database: Database, module: Module) -> AsyncIterator[Row]:
    async with database.across(write=False) as connection:
        for table in module.tables.sorted_tables:
            found = (
                await connection.execute(select(table).order_by(*table.primary_key))
            ).mappings()
            match table.name:
                case "outbox":
                    for row in told_in(found):
                        yield row
                    continue
                case "audit":
                    counting = [table.c[name] for name in AUDITED]
                case "parked":
                    counting = list(table.columns)
                case name:
                    counting = [] if name in KERNELS else list(table.columns)
            for each in found if counting else ():
                yield (
                    f"{module.name}.{table.name}",
                    {c.name: _plain(c, each[c.name]) for c in counting},
                )


def told_in(events: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """What was told, to whom and of whom; the items of a folded event each on its own."""
    last: dict[tuple[str, str], Row] = {}
    for event in events:
        data = msgspec.json.decode(event["data"])
        about = {"ce-tenant": str(event["tenant"]), "ce-subject": event["subject"]}
        if event["type"] in VIEWS:
            last[event["type"], event["subject"]] = event["type"], {**data, **about}
            continue
        items = data.get("items")
        for fact in items if isinstance(items, list) else [data]:
            yield event["type"], {**fact, **about}
    yield from last.values()


def stored(module: str, file: Path | None) -> Iterator[Row]:
    """The rows of a store."""
    with duckdb.connect(str(file)) as connection:
        tables = connection.execute("SELECT table_name FROM information_schema.tables").fetchall()
        for (table,) in tables:
            if table not in OF_THE_ENGINE:
                found = connection.execute(f'SELECT * FROM "{table}"')
                names = [column[0] for column in found.description or ()]
                for row in found.fetchall():
                    said = {n: _simple(value) for n, value in zip(names, row, strict=True)}
                    yield f"{module}'s store, {table}", said


def named(rows: World, rounds: int) -> "Counter[str]":
    """The rows, with every id under a name that follows from what is said of it, of its neighbours,
    and so on for so many *rounds*."""
    names: dict[str, str] = {}
    for _ in range(rounds):
        said: dict[str, list[str]] = defaultdict(list)
        for where, row in rows:
            text = f"{where} {_text(row, names)}"
            for path, id_ in _ids(row):
                said[id_].append(f"{path} {text}")
        names = {id_: _digest(sorted(lines)) for id_, lines in said.items()}
    return Counter(f"{where} {_text(row, names)}" for where, row in rows)


def _text(row: Any, names: Mapping[str, str]) -> str:
    return msgspec.json.encode(_renamed(row, names), order="deterministic").decode()


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    match value:
        case dict():
            counting = {key: each for key, each in value.items() if key not in CHANCE}
            return {_renamed(k, names): _renamed(v, names) for k, v in counting.items()}
        case list():
            return [_renamed(each, names) for each in value]
        case str():
            text = PLACE.sub("place", TIME.sub("time", value))
            return ID.sub(lambda found: names.get(found[0], "id"), text)
        case bool() | None:
            return value
        case int() | float() if abs(value) > MOMENT:
            return "time"
        case _:
            return value


def _ids(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            pairs = (_ids(each, f"{path}.{ID.sub('id', key)}") for key, each in value.items())
            yield from chain.from_iterable(pairs)
            yield from ((f"{path} key", id_) for key in value for id_ in ID.findall(key))
        case list():
            yield from chain.from_iterable(_ids(each, path) for each in value)
        case str():
            yield from ((path, id_) for id_ in ID.findall(value))


def _plain(column: Any, value: Any) -> Any:
    """As JSON has it; what is secret or a moment only says whether it is there."""
    if value is not None and isinstance(column.type, UtcDateTime):
        return "time"
    if kind := NUMBERED.get(f"{column.table}.{column.name}"):
        return str(uuid5(NAMESPACE_OID, f"{kind} {value}"))
    return _simple(value)


def _simple(value: Any) -> Any:
    match value:
        case None | bool() | int() | float() | str() | list() | dict():
            return value
        case datetime():
            return "time"
        case bytes():
            try:
                return msgspec.json.decode(value)
            except ValueError:
                return "bytes"
        case _:
            return str(value)


def _digest(lines: Sequence[str]) -> str:
    return blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()
