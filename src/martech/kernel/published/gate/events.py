"""asyncapi.json, what is told: an event never changes, except for a field that can be filled in."""

from collections.abc import Iterator

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.places import Document, Place, root, unescaped
from martech.kernel.published.gate.promises import changed, told, unknown

ON_THE_WIRE = {
    "name": "event-renamed",
    "contentType": "content-removed",
    "x-folded": "folded-changed",
    "x-subject": "subject-changed",
}
SHAPES = {"headers", "payload"}
LIFTED = "x-reads-as"
"""The later versions as which it is heard; that they grow is no breach."""


def events(then: Document, now: Document) -> Iterator[Broken]:
    """The promises of *then* that *now* does not keep. What is heard is its teller's promise. Files
    say ``x-inward`` since they say ``x-asks``; the silence of older ones has promised nothing."""
    old, new = (root(document).at("components", "messages") for document in (then, now))
    for name, message in (old.here or {}).items():
        if "payload" not in message:
            continue
        event, beside = old.at(name), new.at(name)
        if beside.at("payload").here is None:
            yield Broken("event-removed", event.pointer, name, None)
            continue
        for word, rule in ON_THE_WIRE.items():
            if event.here.get(word) != beside.here.get(word):
                yield changed(rule, event.at(word), beside.at(word))
        yield from _heard(event, beside)
        for part in sorted(SHAPES):
            yield from told(event.at(part), beside.at(part))
        yield from unknown(event, beside, ON_THE_WIRE.keys() | SHAPES)
    for name, operation in (root(then).at("operations").here or {}).items():
        if operation["action"] == "send":
            yield from _telling(*(root(one).at("operations", name) for one in (then, now)))


def _heard(then: Place, now: Place) -> Iterator[Broken]:
    """By whom, and as what, it is heard."""
    silent = "x-asks" not in then.document
    if now.here.get("x-inward") and not (then.here.get("x-inward") or silent):
        yield changed("newly-inward", then.at("x-inward"), now.at("x-inward"))
    if set(then.here.get(LIFTED, ())) - set(now.here.get(LIFTED, ())):
        yield changed("upcaster-removed", then.at(LIFTED), now.at(LIFTED))


def _telling(then: Place, now: Place) -> Iterator[Broken]:
    """Where it is told. An event that is gone altogether has been named already."""
    old, new = then.at("channel").followed(), now.at("channel").followed()
    events = root(now.document).at("components", "messages")
    left = {name for name in _carried(old) if events.at(name, "payload").here is not None}
    if left and (now.here or {}).get("action") != "send":
        yield Broken("event-removed", then.pointer, then.here, now.here)
    elif left:
        for name in sorted(left - _carried(new)):
            yield Broken("event-removed", new.pointer, name, None)
        if old.here.get("address") != new.here.get("address"):
            yield changed("event-renamed", old.at("address"), new.at("address"))
        yield from unknown(old, new, {"address", "messages"})
        yield from unknown(then, now, {"action", "channel"})


def _carried(channel: Place) -> set[str]:
    """The events that go over it."""
    messages = channel.here.get("messages", {})
    ways = [channel.at("messages", name).followed().pointer for name in messages]
    return {unescaped(way.rpartition("/")[2]) for way in ways}
