"""What may be chosen at a place of what a route takes, as its types say."""

import re
from collections.abc import Iterator

from msgspec import inspect

_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>[^\]]*)\]")


def choice(shape: object, place: str, *, of_key: bool) -> list[str]:
    """What may stand at *place* (``.items[0].kind``) in a *shape*; or if *of_key*, as a name in the
    object there. Empty where nothing is known."""
    steps = list(_STEP.finditer(place))
    at = [] if shape is None else _plain(inspect.type_info(shape))
    for number, step in enumerate(steps):
        inner = [each for one in at for each in _inner(one, step["name"], step["index"])]
        if not inner and number == len(steps) - 1:
            return [tag for one in at for tag in _tags(one, step["name"])]
        at = inner
    if of_key:
        at = [k for one in at if isinstance(one, inspect.DictType) for k in _plain(one.key_type)]
    return list(dict.fromkeys(str(value) for one in at for value in _values(one)))


def _plain(kind: inspect.Type) -> list[inspect.Type]:
    """The types that it may be one of."""
    match kind:
        case inspect.UnionType(types):
            return [plain for each in types for plain in _plain(each)]
        case inspect.Metadata(inner):
            return _plain(inner)
        case _:
            return [kind]


def _inner(kind: inspect.Type, name: str | None, index: str) -> Iterator[inspect.Type]:
    """The types of what it holds there."""
    match kind:
        case inspect.StructType():
            for field in kind.fields:
                if field.encode_name == name:
                    yield from _plain(field.type)
        case inspect.DictType() if name is None:
            yield from _plain(kind.value_type)
        case inspect.TupleType() if name is None and index.isdigit():
            for each in kind.item_types[int(index) :][:1]:
                yield from _plain(each)
        case inspect.CollectionType() if name is None:
            yield from _plain(kind.item_type)


def _tags(kind: inspect.Type, name: str | None) -> list[str]:
    """What its *name* may be, where that tells it from others."""
    if isinstance(kind, inspect.StructType) and kind.tag_field == name:
        return [str(kind.tag)]
    return []


def _values(kind: inspect.Type) -> list[object]:
    match kind:
        case inspect.LiteralType():
            return list(kind.values)
        case inspect.EnumType():
            return [member.value for member in kind.cls]
        case _:
            return []
