"""contracts/<module>/golden/<type>.json: payloads as each released event was told when it was new.

Two of each: the whole with every field set, the least with those that are required. A file is
written when its type is, and never again: what an outbox holds does not change either, and every
later reader must make of it what was meant.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import inspect

from martech.kernel.messages import Event, wire_name
from martech.kernel.module import Module
from martech.kernel.published.canvas import events


class Golden(msgspec.Struct):
    whole: msgspec.Raw
    least: msgspec.Raw


def golden(modules: Sequence[Module]) -> dict[str, str]:
    """Path in the repository -> what is to stand there, if nothing does yet."""
    return {
        f"contracts/{module.name}/golden/{wire_name(event)}.json": _text(event)
        for module in modules
        for event in events(module)
    }


def payloads(event: type[Event]) -> Golden:
    """*event* with every field set, and with only those that are required."""
    shape = inspect.type_info(event)
    whole, least = (msgspec.Raw(msgspec.json.encode(_sample(shape, e))) for e in (True, False))
    return Golden(whole, least)


def _text(event: type[Event]) -> str:
    return msgspec.json.format(msgspec.json.encode(payloads(event)), indent=2).decode() + "\n"


def _sample(shape: Any, every: bool) -> Any:
    """Some value of *shape*, always the same; with *every* field, or the required ones."""
    return SAMPLES[type(shape)](shape, every)


def _struct(shape: inspect.StructType, every: bool) -> dict[str, Any]:
    return {
        field.encode_name: _sample(field.type, every)
        for field in shape.fields
        if every or field.required
    }


def _mapping(shape: inspect.DictType, every: bool) -> dict[str, Any]:
    return {_sample(shape.key_type, every): _sample(shape.value_type, every)}


def _list(shape: inspect.ListType | inspect.VarTupleType | inspect.SetType, every: bool) -> Any:
    return [_sample(shape.item_type, every)]


def _union(shape: inspect.UnionType, every: bool) -> Any:
    """What stands beside null."""
    something = (each for each in shape.types if not isinstance(each, inspect.NoneType))
    return _sample(next(something), every)


def _number(shape: inspect.IntType | inspect.FloatType, _: bool) -> float:
    number = 7 if isinstance(shape, inspect.IntType) else 1.5
    low = shape.ge if shape.ge is not None else number
    high = shape.le if shape.le is not None else number
    return min(max(number, low), high)


def _text_of(shape: inspect.StrType, _: bool) -> str:
    return "word".ljust(shape.min_length or 0, "s")


def _always(value: object) -> Callable[[Any, bool], object]:
    return lambda _shape, _every: value


FREE = _always({"name": "value"})

SAMPLES: Mapping[type[inspect.Type], Callable[[Any, bool], Any]] = {
    inspect.StructType: _struct,
    inspect.DictType: _mapping,
    inspect.ListType: _list,
    inspect.VarTupleType: _list,
    inspect.SetType: _list,
    inspect.UnionType: _union,
    inspect.LiteralType: lambda shape, _: shape.values[0],
    inspect.Metadata: lambda shape, every: _sample(shape.type, every),
    inspect.IntType: _number,
    inspect.FloatType: _number,
    inspect.StrType: _text_of,
    inspect.AnyType: FREE,
    inspect.CustomType: FREE,
    inspect.RawType: FREE,
    inspect.BoolType: _always(True),
    inspect.UUIDType: _always(UUID("0190163d-8694-739b-aea5-966c26f8ad91")),
    inspect.DateTimeType: _always(datetime(2026, 1, 31, 12, tzinfo=UTC)),
    inspect.DateType: _always(date(2026, 1, 31)),
}
"""By kind; one that an event is the first to use is added here."""
