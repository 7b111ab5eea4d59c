"""Values of any type that a contract may name, for properties."""

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)


Made = Callable[[Any], st.SearchStrategy[Any]]


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of the type *kind*; raises `KeyError` for one that no contract names yet."""
    return _of(inspect.type_info(kind))


def _of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    return MADE[type(kind)](kind)


def _texts(kind: inspect.StrType) -> st.SearchStrategy[str]:
    return TEXT if kind.max_length is None else TEXT.map(lambda text: text[: kind.max_length])


def _numbers(kind: inspect.IntType) -> st.SearchStrategy[int]:
    low, high = kind.ge, kind.le
    return st.integers(-99 if low is None else low, 99 if high is None else high)


def _structs(kind: inspect.StructType) -> st.SearchStrategy[Any]:
    given = st.fixed_dictionaries({field.name: _of(field.type) for field in kind.fields})
    return given.map(lambda fields: kind.cls(**fields))


MADE: Mapping[type[inspect.Type], Made] = {
    inspect.NoneType: lambda _: st.none(),
    inspect.BoolType: lambda _: st.booleans(),
    inspect.IntType: _numbers,
    inspect.FloatType: lambda _: st.floats(0, 99),
    inspect.StrType: _texts,
    inspect.UUIDType: lambda _: st.uuids(),
    inspect.DateTimeType: lambda _: st.datetimes(timezones=st.just(UTC)),
    inspect.RawType: lambda _: JSON.map(lambda value: msgspec.Raw(msgspec.json.encode(value))),
    inspect.CustomType: lambda _: JSON,  # `object` is free JSON
    inspect.AnyType: lambda _: JSON,
    inspect.LiteralType: lambda kind: st.sampled_from(kind.values),
    inspect.UnionType: lambda kind: st.one_of([_of(each) for each in kind.types]),
    inspect.ListType: lambda kind: st.lists(_of(kind.item_type), max_size=2),
    inspect.DictType: lambda kind: st.dictionaries(
        _of(kind.key_type), _of(kind.value_type), max_size=2
    ),
    inspect.StructType: _structs,
}
