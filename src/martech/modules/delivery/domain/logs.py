"""What mail servers write into their logs."""

from collections.abc import Iterable
from uuid import UUID


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
