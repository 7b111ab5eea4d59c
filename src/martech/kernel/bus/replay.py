"""Have a subscription hear its source again, as a replay: without effects outside."""

from contextlib import suppress
from datetime import datetime

from martech.kernel import outbox
from martech.kernel.bus import Bus, Delivery
from martech.kernel.errors import Invalid, NotFound, Unavailable
from martech.kernel.host import Host

HIGHEST = 2**63 - 1


def beginning(text: str) -> int | datetime:
    """A position, or a time, as it is written. Raises `Invalid`."""
    if text.isdecimal() and int(text) <= HIGHEST:
        return int(text)
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment
    raise Invalid(
        f"{text[:80]!r} is neither a position nor a time with its zone. Write 1042, or "
        "2027-01-31T09:00:00Z.",
        field="from",
    )


async def replay(host: Host, name: str, since: int | datetime) -> int:
    """Rewind ``<module>.<subscription>`` to position *since*, or so far that it hears again all
    that was told since then; which position that is: where it stands, if it has not come so far.
    What its handler wrote is still there: empty the projection first, or know that the handler
    writes again, or make it anew in a shadow.

    Raises `NotFound`, `Invalid`, and `Unavailable` while the cursor stands in the middle of an
    event.
    """
    delivery = _delivery(host, name)
    to = since if isinstance(since, int) else await _before(host, delivery, since)
    async with delivery.database.across() as connection:
        reached = await delivery.cursors.rewind(connection, to)
    if reached is None:
        raise Unavailable(f"{name} is in the middle of an event. Try again in a moment.")
    host.process.signals.wake(delivery.feed.source)
    return reached


def _delivery(host: Host, name: str) -> Delivery:
    deliveries = {delivery.name: delivery for delivery in Bus(host).deliveries}
    if name not in deliveries:
        there = ", ".join(sorted(deliveries))
        raise NotFound(
            f"There is no subscription {name!r}. There are {there}.", field="subscription"
        )
    return deliveries[name]


async def _before(host: Host, delivery: Delivery, moment: datetime) -> int:
    source = host.databases.get(delivery.feed.source)
    if source is None:
        raise Invalid(
            f"When {delivery.feed.source} told what is known to its own host. Give a position.",
            field="from",
        )
    async with source.across(write=False) as connection:
        return await outbox.before(connection, source.metadata, moment)
