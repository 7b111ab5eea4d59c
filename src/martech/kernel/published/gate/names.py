"""asyncapi.json, what is stored under a name: cursors and commands. Renaming one is a migration."""

from collections.abc import Iterator, Mapping

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.places import Document, escaped


def names(then: Document, now: Document) -> Iterator[Broken]:
    """The names of *then* that *now* does not know, or has given to something else."""
    known = _subscriptions(now)
    for subscription, (operation, source) in _subscriptions(then).items():
        pointer = f"/operations/{escaped(operation)}"
        if subscription not in known:
            yield Broken("subscription-removed", pointer, subscription, None)
        elif known[subscription][1] != source:
            yield Broken("source-changed", pointer, source, known[subscription][1])
    for command in then.get("x-commands", {}):
        if command not in now.get("x-commands", {}):
            yield Broken("command-removed", f"/x-commands/{escaped(command)}", command, None)


def _subscriptions(document: Document) -> Mapping[str, tuple[str, str]]:
    """Of ``hear.<subscription>.<source>.…``: subscription -> its first operation, and its source,
    which is the same in all: only the events of one have an order."""
    found: dict[str, tuple[str, str]] = {}
    for name in document.get("operations", {}):
        action, *what = name.split(".")
        if action == "hear":
            found.setdefault(what[0], (name, what[1]))
    return found
