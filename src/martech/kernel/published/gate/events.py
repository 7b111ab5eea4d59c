"""asyncapi.json, what is told: an event never changes, except for a field that can be filled in."""

from collections.abc import Iterator

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.places import Document, root
from martech.kernel.published.gate.promises import changed, told

ON_THE_WIRE = {
    "contentType": "content-removed",
    "x-folded": "folded-changed",
    "x-subject": "subject-changed",
}


def events(then: Document, now: Document) -> Iterator[Broken]:
    """The promises of *then* that *now* does not keep. What is heard is its teller's promise."""
    old, new = root(then).at("components", "messages"), root(now).at("components", "messages")
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
        for part in ("headers", "payload"):
            yield from told(event.at(part), beside.at(part))
