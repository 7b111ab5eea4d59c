"""All contracts of a revision against all contracts of another."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from martech.kernel.published.gate.breach import Breach, Broken, breach
from martech.kernel.published.gate.events import events
from martech.kernel.published.gate.names import names
from martech.kernel.published.gate.places import Document
from martech.kernel.published.gate.ports import ports
from martech.kernel.published.gate.rest import rest


def _asynchronous(then: Document, now: Document) -> Iterator[Broken]:
    return chain(events(then, now), names(then, now))


def _golden(then: Document, now: Document) -> Iterator[Broken]:
    """What was told once is what it was; whoever reads it has changed, if anything may."""
    if then != now:
        yield Broken("golden-changed", "", then, now)


Judge = Callable[[Document, Document], Iterator[Broken]]

JUDGES: Mapping[str, Judge] = {
    "asyncapi.json": _asynchronous,
    "openapi.json": rest,
    "port.json": ports,
}
"""By the name of the file; whatever else lies in contracts/ is judged elsewhere."""


def judge_of(path: str) -> Judge | None:
    """Who judges ``contracts/<module>/<what>.json`` and ``contracts/<module>/golden/<type>.json``;
    None for any other file."""
    match path.split("/"):
        case [_, _, what]:
            return JUDGES.get(what)
        case [_, _, "golden", _]:
            return _golden
        case _:
            return None


def verdict(then: Mapping[str, Document], now: Mapping[str, Document]) -> list[Breach]:
    """Every promise of *then* that *now* breaks, once, by file and pointer; path -> document."""
    found: dict[tuple[str, str, str], Breach] = {}
    for path, document in then.items():
        judge = judge_of(path)
        if judge and path in now:
            broken = judge(document, now[path])
        else:
            broken = iter([Broken("contract-removed", "", path, None)])
        for one in broken:
            found.setdefault((path, one.pointer, one.rule), breach(path, one))
    return [found[key] for key in sorted(found)]
