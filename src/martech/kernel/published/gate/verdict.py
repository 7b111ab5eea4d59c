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


JUDGES: Mapping[str, Callable[[Document, Document], Iterator[Broken]]] = {
    "asyncapi.json": _asynchronous,
    "openapi.json": rest,
    "port.json": ports,
}
"""By the name of the file; whatever else lies in contracts/ is judged elsewhere."""


def verdict(then: Mapping[str, Document], now: Mapping[str, Document]) -> list[Breach]:
    """Every promise of *then* that *now* breaks, once, by file and pointer; path -> document."""
    found: dict[tuple[str, str, str], Breach] = {}
    for path, document in then.items():
        judge = JUDGES[path.rpartition("/")[2]]
        if path in now:
            broken = judge(document, now[path])
        else:
            broken = iter([Broken("contract-removed", "", path, None)])
        for one in broken:
            found.setdefault((path, one.pointer, one.rule), breach(path, one))
    return [found[key] for key in sorted(found)]
