"""What mail servers write into their logs."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from martech.kernel.errors import Invalid


class Span(NamedTuple):
    """What a log covers: every mail that the server accepted from *since* up to *until*."""

    since: datetime
    until: datetime


def span(since: datetime | None, until: datetime | None, now: datetime) -> Span | None:
    """None when nobody says what the log covers. Raises `Invalid` for half of it, and for what no
    log can cover."""
    if since is None and until is None:
        return None
    if since is None or until is None:
        raise Invalid(
            "Send since and until together: from when and up to when the log has everything. To "
            "have nothing sent again, send neither.",
            field="since" if since is None else "until",
        )
    if until > now:
        raise Invalid("A log cannot have been read up to then yet.", field="until")
    if since > until:
        raise Invalid(
            "A log begins before it ends: send a since that is before until.", field="since"
        )
    return Span(since, until)


def message_ids(logged: Iterable[str]) -> frozenset[UUID]:
    """Our messages among logged Message-IDs; what is not ours is passed over."""
    found = set()
    for line in logged:
        local = line.strip().removeprefix("<").partition("@")[0]
        try:
            found.add(UUID(local))
        except ValueError:
            continue
    return frozenset(found)
