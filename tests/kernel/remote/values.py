"""Values of any type that a contract may name, for properties."""

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


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of the type *kind*; raises `NotImplementedError` for one that no contract names."""
    return _of(inspect.type_info(kind))


def _of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=low, le=high):
            return st.integers(low if low is not None else -99, high if high is not None else 99)
        case inspect.FloatType():
            return st.floats(0, 99)
        case inspect.StrType(max_length=most):
            return TEXT if most is None or most >= 8 else TEXT.map(lambda text: text[:most])
        case inspect.UUIDType():
            return st.uuids()
        case inspect.DateTimeType():
            return st.datetimes(timezones=st.just(UTC))
        case inspect.DateType():
            return st.dates()
        case inspect.DecimalType():
            return st.decimals(allow_nan=False, allow_infinity=False, places=2)
        case inspect.RawType():
            return JSON.map(lambda value: msgspec.Raw(msgspec.json.encode(value)))
        case inspect.AnyType() | inspect.CustomType():
            return JSON
        case inspect.LiteralType(values=values) | inspect.EnumType(cls=values):
            return st.sampled_from(list(values))
        case inspect.UnionType(types=types):
            return st.one_of([_of(each) for each in types])
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return st.lists(_of(item), max_size=2)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_of(key), _of(value), max_size=2)
        case inspect.StructType(cls=cls, fields=fields):
            return st.fixed_dictionaries({f.name: _of(f.type) for f in fields}).map(
                lambda given: cls(**given)
            )
        case _:
            raise NotImplementedError(f"{kind}: say here how it is made.")
