"""Have a subscription hear its source again, as a replay: nothing is told, or done outside."""

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


async def replay(host: Host, name: str, since: int | datetime, *, in_place: bool = False) -> int:
    """Rewind ``<module>.<subscription>`` to position *since*, or so far that it hears again all
    that was told since then; which position that is: where it stands, if it has not come so far.
    What its handler wrote is still there: empty the projection first, or know that the handler
    writes again. Whoever reads it meanwhile reads what was so long ago, and acts on it; so what can
    be made anew in a shadow is refused, unless it is to be done *in_place* all the same.

    Raises `NotFound`, `Invalid`, and `Unavailable` while the cursor stands in the middle of an
    event.
    """
    delivery = _delivery(host, name)
    if not in_place:
        _refuse_projection(host, delivery)
    to = since if isinstance(since, int) else await _before(host, delivery, since)
    async with delivery.database.across() as connection:
        reached = await delivery.cursors.rewind(connection, to)
    if reached is None:
        raise Unavailable(f"{name} is in the middle of an event. Try again in a moment.")
    host.process.signals.wake(delivery.feed.source)
    return reached


def _refuse_projection(host: Host, delivery: Delivery) -> None:
    projections = host.modules[delivery.module].projections
    if delivery.subscription in [projection.of for projection in projections]:
        raise Invalid(
            f"While {delivery.name} hears the past again in place, what it keeps is as it was "
            "then, and others act on it. Make it anew beside the one in use: --shadow (by API "
            '"shadow": true). Or say that you want it in place: --in-place ("in_place": true).',
            field="from",
        )


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
