"""port.json: what may be asked, by whoever was deployed before the answerer.

A word that the file did not say then (`reads` is younger than ports are) has promised nothing.
"""

from collections.abc import Iterator

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.places import Document, Place, root
from martech.kernel.published.gate.promises import changed, given, taken


def ports(then: Document, now: Document) -> Iterator[Broken]:
    """The promises of *then* that *now* does not keep."""
    old, new = root(then).at("questions"), root(now).at("questions")
    for name in old.here or {}:
        question, beside = old.at(name), new.at(name)
        if beside.here is None:
            yield Broken("question-removed", question.pointer, name, None)
            continue
        if question.here.get("reads") and not beside.here.get("reads"):
            yield changed("reads-changed", question.at("reads"), beside.at("reads"))
        yield from _arguments(question.at("arguments"), beside.at("arguments"))
        yield from given(question.at("answer"), beside.at("answer"))


def _arguments(then: Place, now: Place) -> Iterator[Broken]:
    for name, argument in then.here.items():
        old, new = then.at(name), now.at(name)
        if new.here is None:
            yield Broken("argument-removed", old.pointer, name, None)
            continue
        if new.here["required"] and not argument["required"]:
            yield Broken("newly-required", new.pointer, "optional", "required")
        elif not argument["required"] and old.here.get("default") != new.here.get("default"):
            yield changed("default-changed", old.at("default"), new.at("default"))
        yield from taken(old.at("schema"), new.at("schema"))
    for name in now.here.keys() - then.here.keys():
        if now.at(name).here["required"]:
            yield Broken("newly-required", now.at(name).pointer, None, "required")
