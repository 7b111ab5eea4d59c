"""port.json: what may be asked, by whoever was deployed before the answerer.

A word that the file did not say then (`x-reads` is younger than ports are) has promised nothing.
"""

from collections.abc import Iterator

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.operations import Operation, operation
from martech.kernel.published.gate.places import Document, Place, root
from martech.kernel.published.gate.promises import changed, taken


def ports(then: Document, now: Document) -> Iterator[Broken]:
    """The promises of *then* that *now* does not keep. Both ends are ours: who asks writes the
    arguments and headers of the file that it knows, and no others."""
    old, new = root(then).at("paths"), root(now).at("paths")
    for path in old.here or {}:
        then_asked, now_asked = _asked(old, path), _asked(new, path)
        question, beside = then_asked.place, now_asked.place
        if beside.here is None:
            name = question.here["operationId"]
            yield Broken("question-removed", question.pointer, name, None)
            continue
        if question.here.get("x-reads") and not beside.here.get("x-reads"):
            yield changed("reads-changed", question.at("x-reads"), beside.at("x-reads"))
        yield from operation(then_asked, now_asked, taken)


def _asked(paths: Place, path: str) -> Operation:
    return Operation(path, paths.at(path).followed(), "post")
