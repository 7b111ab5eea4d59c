"""What takes long, as it is done aside: what cannot be sent is an answer like any other."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import msgspec

from martech.kernel.templates import TemplateError
from martech.modules.content.contract import Preview
from martech.modules.content.domain.compiling import Compiled, compiled
from martech.modules.content.domain.drafts import Texts
from martech.modules.content.domain.previewing import preview

T = TypeVar("T")


class Made(msgspec.Struct, Generic[T], frozen=True, tag=True):
    value: T


class Fault(msgspec.Struct, frozen=True, tag=True):
    """A `TemplateError` that can be written down."""

    what: str
    line: int
    column: int
    field: str | None


def attempt_compiled(texts: Texts) -> Made[Compiled] | Fault:
    return _attempt(lambda: compiled(texts))


def attempt_preview(texts: Texts, sample: Mapping[str, object]) -> Made[Preview] | Fault:
    return _attempt(lambda: preview(texts, sample))


def outcome(attempt: Made[T] | Fault) -> T:
    """What was made. Raises `TemplateError`."""
    match attempt:
        case Made(value):
            return value
        case Fault(what, line, column, field):
            raise TemplateError(what, line, column, field=field)


def _attempt(make: Callable[[], T]) -> Made[T] | Fault:
    try:
        return Made(make())
    except TemplateError as error:
        return Fault(error.what, error.line, error.column, error.field)
