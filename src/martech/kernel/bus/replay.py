"""Have a subscription hear its source again, as a replay: without effects outside."""

from martech.kernel.bus import Bus
from martech.kernel.errors import NotFound, Unavailable
from martech.kernel.host import Host


async def replay(host: Host, name: str, to: int) -> None:
    """Rewind ``<module>.<subscription>`` to position *to*. What its handler wrote is still there:
    empty the projection first, or know that the handler writes again.

    Raises `NotFound`, and `Unavailable` while the cursor stands in the middle of an event.
    """
    deliveries = {delivery.name: delivery for delivery in Bus(host).deliveries}
    if name not in deliveries:
        there = ", ".join(sorted(deliveries))
        raise NotFound(f"There is no subscription {name!r}. There are {there}.")
    delivery = deliveries[name]
    async with delivery.database.across() as connection:
        if not await delivery.cursors.rewind(connection, to):
            raise Unavailable(f"{name} is in the middle of an event. Try again in a moment.")
    host.process.signals.wake(delivery.feed.source)
