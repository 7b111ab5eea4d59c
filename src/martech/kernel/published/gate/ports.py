"""port.json: what may be asked, by whoever was deployed before the answerer.

A word that the file did not say then (`x-reads` is younger than ports are) has promised nothing.
"""

from collections.abc import Iterator

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.places import Document, root
from martech.kernel.published.gate.promises import changed, given, taken

ARGUMENTS = ("requestBody", "content", "application/json", "schema")
ANSWER = ("responses", "200", "content", "application/json", "schema")


def ports(then: Document, now: Document) -> Iterator[Broken]:
    """The promises of *then* that *now* does not keep."""
    old, new = root(then).at("paths"), root(now).at("paths")
    for path in old.here or {}:
        question, beside = old.at(path, "post"), new.at(path, "post")
        if beside.here is None:
            name = question.here["operationId"]
            yield Broken("question-removed", question.pointer, name, None)
            continue
        if question.here.get("x-reads") and not beside.here.get("x-reads"):
            yield changed("reads-changed", question.at("x-reads"), beside.at("x-reads"))
        yield from taken(question.at(*ARGUMENTS), beside.at(*ARGUMENTS))
        yield from given(question.at(*ANSWER), beside.at(*ANSWER))
