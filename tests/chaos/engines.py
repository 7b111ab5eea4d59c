"""Template engines as somebody might well have chosen them (E15, E16)."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from liquid import Environment, FileSystemLoader
from liquid.utils import ReadOnlyChainMap

from martech.kernel.templates import Template
from martech.kernel.templates.context import Context


class Parsed(Protocol):
    def render(self, values: Mapping[str, object]) -> str: ...


class Engine(Protocol):
    def parse(self, source: str, *, html: bool) -> Parsed: ...


class Formats:
    """Python's own: ``str.format`` walks from any value to wherever it likes."""

    def __init__(self, source: str) -> None:
        self._source = re.sub(r"\{\{\s*(.*?)\s*\}\}", r"{\1}", source)

    @classmethod
    def parse(cls, source: str, *, html: bool) -> "Formats":
        return cls(source)

    def render(self, values: Mapping[str, object]) -> str:
        return self._source.format(**values)


class Unlimited:
    """The right language, as it comes out of the box, and with files to include."""

    def __init__(self, source: str) -> None:
        self._template = Environment(extra=True, loader=FileSystemLoader(Path("/"))).from_string(
            source
        )

    @classmethod
    def parse(cls, source: str, *, html: bool) -> "Unlimited":
        return cls(source)

    def render(self, values: Mapping[str, object]) -> str:
        return self._template.render(values)


class SharesItsContext(Template):
    """Keeps what a rendering needs, for the next one: making it anew costs a few microseconds."""

    _kept: Context | None = None

    def render(self, values: Mapping[str, object]) -> str:
        context = self._kept = self._kept or Context(self._parsed, {})
        context.scope = ReadOnlyChainMap(context.locals, values, context.counters)
        written = context.get_buffer()
        for node in self._parsed.nodes:
            node.render(context, written)
        return written.getvalue()
