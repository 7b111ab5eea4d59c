"""When a fruit is ripe. Pure: values in, values out."""

from datetime import datetime, timedelta

RIPENING = timedelta(days=30)


def is_ripe(planted: datetime, now: datetime) -> bool:
    return now - planted >= RIPENING
