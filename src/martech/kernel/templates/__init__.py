"""Templates that people write: Liquid, with every limit set.

A template is data. It sees the values it is given and nothing else: no attribute, no file, no other
template, no clock (`now` is a value like any other), and no filter that prints a value as HTML.
What it takes is bounded (`limits`), and what is wrong with it has a line and a column.

A parsed `Template` is never changed by rendering: share it between tasks, threads and tenants.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from liquid.exceptions import LiquidError

from martech.kernel.templates.engine import HTML, TEXT, Engine, Rendering
from martech.kernel.templates.errors import TemplateError, from_engine, located
from martech.kernel.templates.marks import Mark, marks

__all__ = ["Mark", "Name", "Template", "TemplateError", "located", "marks"]


_STUMBLES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What the engine itself raises over values that it cannot handle."""


class Name(NamedTuple):
    """A value that a template asks for, and where it first does: ``profile.first_name``."""

    path: tuple[str | int, ...]
    line: int
    column: int

    def __str__(self) -> str:
        return ".".join(str(part) for part in self.path)


class Template:
    """One text, parsed once. Make it with `parse`, a pure function: its answers may be kept."""

    def __init__(self, source: str, parsed: Rendering) -> None:
        self.source = source
        self._parsed = parsed

    @classmethod
    def parse(cls, source: str, *, html: bool) -> "Template":
        """Read *source*; with *html*, values are escaped where they are printed.

        Raises `TemplateError`.
        """
        marks(source)
        engine = HTML if html else TEXT
        try:
            parsed = engine.read(source)
        except LiquidError as error:
            raise from_engine(error, source) from None
        _check_filters(source, parsed, engine)
        return cls(source, parsed)

    def render(self, values: Mapping[str, object]) -> str:
        """Fill *values* in: JSON's types, dates and UUIDs. What they lack prints as nothing.

        Raises `TemplateError`, also when the template wants more than it may have.
        """
        try:
            return self._parsed.fill(values)
        except LiquidError as error:
            raise from_engine(error, self.source) from None
        except _STUMBLES as error:
            raise _stumbled(self.source, error) from error

    def names(self) -> tuple[Name, ...]:
        """The values it asks for, each once, in the order in which it asks. What a template makes
        itself (loops, assign, capture) is not among them."""
        found: dict[tuple[str | int, ...], int] = {}
        for variables in self._parsed.analyze().globals.values():
            for variable in variables:
                if path := _known(variable.segments):
                    at = variable.span.index
                    found[path] = min(at, found.get(path, at))
        ordered = sorted(found.items(), key=lambda item: item[1])
        return tuple(Name(path, *located(self.source, at)) for path, at in ordered)


def _known(segments: Sequence[object]) -> tuple[str | int, ...]:
    """The path up to what only rendering tells: ``profile[key]`` is ``profile``."""
    path: list[str | int] = []
    for segment in segments:
        if not isinstance(segment, str | int):
            break
        path.append(segment)
    return tuple(path)


def _check_filters(source: str, parsed: Rendering, engine: Engine) -> None:
    """The engine would say so when somebody's mail is rendered."""
    for name, spans in parsed.analyze().filters.items():
        if name not in engine.filters:
            raise TemplateError(
                f"There is no filter {name!r}. Mend its name, or leave it out.",
                *located(source, spans[0].index),
            )


def _stumbled(source: str, error: Exception) -> TemplateError:
    """The engine's own words for a value that it cannot handle, without a place."""
    return TemplateError(
        f"A value cannot be used like this ({type(error).__name__}). Print less of it.",
        *located(source, 0),
    )
