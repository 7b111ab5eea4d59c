"""What time it is: a value handed in, so that a test can move it. And which times there are."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

from martech.kernel.errors import Invalid


class Clock(Protocol):
    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def reachable(moment: datetime, field: str) -> datetime:
    """*moment*, an aware one, in UTC. Raises `Invalid`: the first day and the last have moments,
    ``9999-12-31T23:59:59-14:00`` is one, that no UTC reaches."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Invalid(
            "In UTC there is no such time. Send one of the years 2 to 9998.", field=field
        ) from None


class TestClock:
    """Stands still until it is moved: for rehearsals of what the future brings."""

    __test__ = False  # the name is the field's; pytest must not collect it

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("A clock starts at an aware time, for example datetime.now(UTC).")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def move(self, by: timedelta) -> None:
        self._now += by
