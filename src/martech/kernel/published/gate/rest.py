"""openapi.json: a request may widen and an answer may grow; nothing that was there goes."""

from collections.abc import Iterator, Mapping

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.places import Document, Place, root
from martech.kernel.published.gate.promises import changed, given, taken

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def rest(then: Document, now: Document) -> Iterator[Broken]:
    """The promises of *then* that *now* does not keep."""
    old, new = root(then).at("paths"), root(now).at("paths")
    for path, item in (old.here or {}).items():
        for method in METHODS & set(item):
            operation, beside = old.at(path, method), new.at(path, method)
            if beside.here is None:
                yield Broken("operation-removed", operation.pointer, _name(operation), None)
            else:
                yield from _operation(operation, beside)


def _name(operation: Place) -> str:
    return str(operation.here.get("operationId", "without an id"))


def _operation(then: Place, now: Place) -> Iterator[Broken]:
    for word, rule in (("operationId", "operation-renamed"), ("x-scope", "scope-changed")):
        if then.here.get(word) != now.here.get(word):
            yield changed(rule, then.at(word), now.at(word))
    yield from _security(then, now)
    yield from _parameters(then, now)
    yield from _body(then.at("requestBody"), now.at("requestBody"))
    yield from _answers(then.at("responses"), now.at("responses"))


def _security(then: Place, now: Place) -> Iterator[Broken]:
    """Whoever came in comes in: none of the ways is gone, and no door has got its first lock."""
    ways = now.here.get("security") or [{}]
    if {} not in ways and not all(way in ways for way in then.here.get("security") or [{}]):
        yield changed("security-changed", then.at("security"), now.at("security"))


def _parameters(then: Place, now: Place) -> Iterator[Broken]:
    old, new = _by_name(then), _by_name(now)
    for key, parameter in old.items():
        if key not in new:
            yield Broken("parameter-removed", parameter.pointer, parameter.here["name"], None)
            continue
        beside = new[key]
        if beside.here.get("required") and not parameter.here.get("required"):
            yield Broken("newly-required", beside.pointer, "optional", "required")
        schemas = parameter.at("schema"), beside.at("schema")
        defaults = [(schema.here or {}).get("default") for schema in schemas]
        if not parameter.here.get("required") and defaults[0] != defaults[1]:
            yield changed("default-changed", *(schema.at("default") for schema in schemas))
        yield from taken(*schemas)
    for key in new.keys() - old.keys():
        if new[key].here.get("required"):
            yield Broken("newly-required", new[key].pointer, None, "required")


def _by_name(operation: Place) -> Mapping[tuple[str, str], Place]:
    """Each parameter by where it is said and its name; a header's name has no case."""
    found = {}
    for index in range(len(operation.here.get("parameters", ()))):
        place = operation.at("parameters", index).followed()
        name = place.here["name"]
        found[place.here["in"], name.lower() if place.here["in"] == "header" else name] = place
    return found


def _body(then: Place, now: Place) -> Iterator[Broken]:
    if now.here is None:
        if then.here is not None:
            yield changed("body-removed", then, now)
        return
    was = None if then.here is None else "optional"
    then, now = then.followed(), now.followed()
    if now.here.get("required") and not then.here.get("required"):
        yield Broken("newly-required", now.pointer, was, "required")
    for media in then.here.get("content", {}):
        old, new = then.at("content", media), now.at("content", media)
        if new.here is None:
            yield Broken("content-removed", old.pointer, media, None)
        else:
            yield from taken(old.at("schema"), new.at("schema"))


def _answers(then: Place, now: Place) -> Iterator[Broken]:
    for status in then.here or {}:
        if now.at(status).here is None:
            yield Broken("status-removed", then.at(status).pointer, status, None)
            continue
        old, new = then.at(status).followed(), now.at(status).followed()
        for header in old.here.get("headers", {}):
            if new.at("headers", header).here is None:
                yield Broken("header-removed", old.at("headers", header).pointer, header, None)
        for media in old.here.get("content", {}):
            was, beside = old.at("content", media), new.at("content", media)
            if beside.here is None:
                yield Broken("content-removed", was.pointer, media, None)
            else:
                yield from given(was.at("schema"), beside.at("schema"))
