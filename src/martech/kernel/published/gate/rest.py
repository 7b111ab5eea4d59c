"""openapi.json: a request may widen and an answer may grow; nothing that was there goes."""

import json
from collections.abc import Iterator
from functools import partial

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.operations import PLACEHOLDER, Operation, operation
from martech.kernel.published.gate.places import Document, Place, root
from martech.kernel.published.gate.promises import changed, taken, unknown

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def rest(then: Document, now: Document) -> Iterator[Broken]:
    """The promises of *then* that *now* does not keep."""
    old, new = root(then).at("paths"), root(now).at("paths")
    promise = partial(taken, by_anyone=_says_what_it_refuses(then))
    beside = {_blank(path): path for path in new.here or {}}
    for path in old.here or {}:
        there = path if path in (new.here or {}) else beside.get(_blank(path), path)
        item, other = old.at(path).followed(), new.at(there).followed()
        for method in METHODS & set(item.here):
            if other.at(method).here is None:
                yield Broken(
                    "operation-removed", item.at(method).pointer, _name(item, method), None
                )
                continue
            was, is_ = Operation(path, item, method), Operation(there, other, method)
            yield from _scope(was.place, is_.place)
            yield from operation(was, is_, promise)
        yield from unknown(item, other, METHODS | {"parameters", "servers"})
    compared = {"openapi", "info", "paths", "components", "security", "servers", "tags"}
    yield from unknown(root(then), root(now), compared)


def _blank(path: str) -> str:
    """The same for all names of its placeholders: on the wire they do not stand."""
    return PLACEHOLDER.sub("{}", path)


def _name(item: Place, method: str) -> str:
    return str(item.here[method].get("operationId", "without an id"))


def _scope(then: Place, now: Place) -> Iterator[Broken]:
    if then.here.get("x-scope") != now.here.get("x-scope"):
        yield changed("scope-changed", then.at("x-scope"), now.at("x-scope"))


def _says_what_it_refuses(document: Document) -> bool:
    """Whether a shape of it that says nothing of undeclared fields lets them in. Files that were
    written before any shape said that it lets in none have promised nothing by their silence."""
    return '"additionalProperties": false' in json.dumps(document)
