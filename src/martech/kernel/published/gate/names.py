"""asyncapi.json, what is stored under a name: cursors and commands. Renaming one is a migration."""

from collections.abc import Iterator

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.places import Document, escaped


def names(then: Document, now: Document) -> Iterator[Broken]:
    """The names of *then* that *now* does not know."""
    known = set(_subscriptions(now).values())
    for operation, subscription in _subscriptions(then).items():
        if subscription not in known:
            known.add(subscription)
            pointer = f"/operations/{escaped(operation)}"
            yield Broken("subscription-removed", pointer, subscription, None)
    for command in then.get("x-commands", {}):
        if command not in now.get("x-commands", {}):
            yield Broken("command-removed", f"/x-commands/{escaped(command)}", command, None)


def _subscriptions(document: Document) -> dict[str, str]:
    """``hear.<subscription>.<event>`` -> subscription."""
    heard = (name for name in document.get("operations", {}) if name.startswith("hear."))
    return {name: name.split(".")[1] for name in heard}
