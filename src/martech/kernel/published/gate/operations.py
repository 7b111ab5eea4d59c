"""One operation of an OpenAPI document: what it takes, in which form, and what it answers.

A route and a question of a port are both; who calls them, and what it may send, differs.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.doors import entrances
from martech.kernel.published.gate.places import Place, root
from martech.kernel.published.gate.promises import changed, given, unknown

Promise = Callable[[Place, Place], Iterator[Broken]]

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

STYLES = {"query": "form", "cookie": "form", "path": "simple", "header": "simple"}
"""How a parameter is written if nobody says so; `form` says every value by itself."""

EASED = ("allowReserved", "allowEmptyValue")
"""Words of a parameter that let more through."""


@dataclass(frozen=True)
class Operation:
    path: str
    item: Place
    """What stands at the path; some of it holds for all of its methods."""

    method: str

    @property
    def place(self) -> Place:
        return self.item.at(self.method)

    def said(self, word: str) -> Place:
        """Where *word* is said of it: by itself, by its path, or by the document for all."""
        holders = [self.place, self.item, root(self.item.document)]
        return next((at.at(word) for at in holders if word in at.here), self.place.at(word))


def operation(then: Operation, now: Operation, taken: Promise) -> Iterator[Broken]:
    """The promises of *then* that *now* does not keep; *taken* is the promise to its callers."""
    old, new = then.place, now.place
    if old.here.get("operationId") != new.here.get("operationId"):
        yield changed("operation-renamed", old.at("operationId"), new.at("operationId"))
    yield from entrances(then.said("security"), now.said("security"))
    yield from _servers(then.said("servers"), now.said("servers"))
    yield from _parameters(_by_name(then), _by_name(now), taken)
    yield from _body(old.at("requestBody"), new.at("requestBody"), taken)
    yield from _answers(old.at("responses"), new.at("responses"))
    compared = {"operationId", "security", "servers", "parameters", "requestBody", "responses"}
    yield from unknown(old, new, compared | {"tags"})


def _servers(then: Place, now: Place) -> Iterator[Broken]:
    """Every address at which it was is one at which it is."""
    there = [server["url"] for server in now.here or ({"url": "/"},)]
    for server in then.here or ({"url": "/"},):
        if server["url"] not in there:
            place = then if now.here is None else now
            yield Broken("server-removed", place.pointer, server["url"], there)


def _by_name(asked: Operation) -> Mapping[tuple[str, str | int], Place]:
    """Each parameter by where it is said and its name; the operation's own before its path's. A
    header's name has no case, and of a placeholder only its place in the path counts."""
    placeholders = PLACEHOLDER.findall(asked.path)
    found: dict[tuple[str, str | int], Place] = {}
    for holder in (asked.item, asked.place):
        for index in range(len(holder.here.get("parameters", ()))):
            place = holder.at("parameters", index).followed()
            name, where = place.here["name"], place.here["in"]
            if where == "path" and name in placeholders:
                found[where, placeholders.index(name)] = place
            else:
                found[where, name.lower() if where == "header" else name] = place
    return found


def _parameters(
    old: Mapping[tuple[str, str | int], Place],
    new: Mapping[tuple[str, str | int], Place],
    taken: Promise,
) -> Iterator[Broken]:
    for key, parameter in old.items():
        if key in new:
            yield from _parameter(parameter, new[key], taken)
        else:
            yield Broken("parameter-removed", parameter.pointer, parameter.here["name"], None)
    for key in new.keys() - old.keys():
        if new[key].here.get("required"):
            yield Broken("newly-required", new[key].pointer, None, "required")


def _parameter(then: Place, now: Place, taken: Promise) -> Iterator[Broken]:
    if now.here.get("required") and not then.here.get("required"):
        yield Broken("newly-required", now.pointer, "optional", "required")
    for word in EASED:
        if then.here.get(word) and not now.here.get(word):
            yield changed("style-changed", then.at(word), now.at(word))
    schemas = then.at("schema"), now.at("schema")
    defaults = [(schema.here or {}).get("default") for schema in schemas]
    if not then.here.get("required") and defaults[0] != defaults[1]:
        yield changed("default-changed", *(schema.at("default") for schema in schemas))
    yield from _written(then, now, taken)
    yield from unknown(then, now, {"name", "in", "required", "schema", "content", *FORM, *EASED})


FORM = ("style", "explode")


def _written(then: Place, now: Place, promise: Promise) -> Iterator[Broken]:
    """A parameter or header: how it stands on the wire, and what may stand there."""
    if _form(then.here) != _form(now.here):
        yield Broken("style-changed", now.pointer, _form(then.here), _form(now.here))
    elif "content" in then.here:
        yield from _content(then, now, promise)
    else:
        yield from promise(then.at("schema"), now.at("schema"))


def _form(said: Mapping[str, Any]) -> Mapping[str, Any]:
    if "content" in said:
        return {"content": list(said["content"])}
    style = said.get("style", STYLES[said.get("in", "header")])
    return {"style": style, "explode": said.get("explode", style == "form")}


def _body(then: Place, now: Place, taken: Promise) -> Iterator[Broken]:
    if now.here is None:
        if then.here is not None:
            yield changed("body-removed", then, now)
        return
    was = None if then.here is None else "optional"
    then, now = then.followed(), now.followed()
    if now.here.get("required") and not then.here.get("required"):
        yield Broken("newly-required", now.pointer, was, "required")
    most = [(place.here or {}).get("x-max-bytes", inf) for place in (then, now)]
    if most[1] < most[0] < inf:
        yield Broken("body-lessened", now.at("x-max-bytes").pointer, *most)
    yield from _content(then, now, taken)


def _content(then: Place, now: Place, promise: Promise) -> Iterator[Broken]:
    for media in then.here.get("content", {}):
        old, new = then.at("content", media), now.at("content", media)
        if new.here is None:
            yield Broken("content-removed", old.pointer, media, None)
        else:
            yield from promise(old.at("schema"), new.at("schema"))
            yield from unknown(old, new, {"schema"})


def _answers(then: Place, now: Place) -> Iterator[Broken]:
    """Each answer is read as the one that its status was covered by; one that nobody knew of yet
    (`304`, where only `2XX` was said) has promised nothing."""
    covered = {status: _covering(status, then.here or {}) for status in now.here or {}}
    for status in (then.here or {}).keys() - covered.values():
        yield Broken("status-removed", then.at(status).pointer, status, None)
    for status, known in covered.items():
        if known:
            yield from _answer(then.at(known).followed(), now.at(status).followed())


def _covering(status: str, said: Mapping[str, Any]) -> str | None:
    """What is said of *status*: by its number, its hundred, or for all that is not said."""
    ways = (status, f"{status[0]}XX", "default")
    return next((way for way in ways if way in said), None)


def _answer(then: Place, now: Place) -> Iterator[Broken]:
    for name in then.here.get("headers", {}):
        old, new = then.at("headers", name), _header(now, name)
        if new.here is None:
            yield Broken("header-removed", old.pointer, name, None)
            continue
        old, new = old.followed(), new.followed()
        if old.here.get("required") and not new.here.get("required"):
            yield Broken("newly-optional", new.pointer, "required", "optional")
        yield from _written(old, new, given)
        yield from unknown(old, new, {"required", "schema", "content", *FORM})
    yield from _content(then, now, given)
    yield from unknown(then, now, {"headers", "content"})


def _header(answer: Place, name: str) -> Place:
    """The one of this name, however its letters are written."""
    there = {said.lower(): said for said in answer.here.get("headers", {})}
    return answer.at("headers", there.get(name.lower(), name))
