"""What a run has left behind, so that two runs can be compared: event logs and tables of all
modules.

Two runs of one story differ in ids and times and in nothing else. So each id is named after what is
said of it everywhere, and then by what is said of its neighbours (colour refinement: Weisfeiler and
Leman 1968); times, positions and secrets do not count. An event that is missing, told twice, or
told about somebody else makes two worlds differ.
"""

import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.types import LargeBinary

from martech.app import load
from martech.kernel.clock import SystemClock
from martech.kernel.columns import UtcDateTime
from martech.kernel.db import Database
from martech.kernel.module import Module
from martech.kernel.process import Process
from martech.kernel.published.canvas import KERNELS

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?")
PLACE = re.compile(r"\w+://127\.0\.0\.1:\d+(?:/[cou]/[\w-]+)?")
CHANCE = {"hint", "public", "position"}
"""Made by chance, or by who came first."""

VIEWS = {"delivery.send_progressed.v1"}
"""Events that say how things stand, as often as somebody looked: of one subject the last counts."""

ROUNDS = 5
MOMENT = 10**12
"""Whatever is larger is a time in microseconds."""

Row = tuple[str, Any]
"""Where it stands, and what it says."""

World = Sequence[Row]


async def world(databases: Mapping[str, str]) -> World:
    """Everything that the modules keep and have told; *databases* are their URLs."""
    rows: list[Row] = []
    for module in load(sorted(databases)):
        database = Database(
            databases[module.name], module.tables, clock=SystemClock(), process=Process()
        )
        try:
            rows += [row async for row in _rows(database, module)]
        finally:
            await database.close()
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
            if table.name == "outbox":
                for row in _told(found):
                    yield row
            elif table.name not in KERNELS:
                for each in found:
                    where = f"{module.name}.{table.name}"
                    yield where, {c.name: _plain(c, each[c.name]) for c in table.columns}


def _told(events: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """What was told; the items of a folded event each on its own."""
    last: dict[tuple[str, str], Row] = {}
    for event in events:
        data = msgspec.json.decode(event["data"])
        if event["type"] in VIEWS:
            last[event["type"], event["subject"]] = event["type"], data
            continue
        items = data.get("items")
        for fact in items if isinstance(items, list) else [data]:
            yield event["type"], fact
    yield from last.values()


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
    if value is None or isinstance(value, bool | int | float | str | list | dict):
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(column.type, UtcDateTime):
        return "time"
    if isinstance(column.type, LargeBinary):
        try:
            return msgspec.json.decode(value)
        except ValueError:
            return "bytes"
    return str(value)


def _digest(lines: Sequence[str]) -> str:
    return blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()
