"""Answers are kept for a day and then forgotten, in modules without jobs, too.

By portions, in transactions of their own: nobody's request waits for what others left behind.
"""

import asyncio
import logging

from martech.kernel import idempotency
from martech.kernel.db import Database
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host

log = logging.getLogger(__name__)

PAUSE = 60.0
"""Seconds between looks."""


async def forget_answers(host: Host) -> None:
    """Forget what is kept for retries longer than `idempotency.KEPT`, until cancelled."""
    while True:
        await asyncio.sleep(PAUSE)
        for database in host.databases.values():
            try:
                await _forget(database)
            except Unavailable as exc:
                log.warning("old answers of %s stay for now: %s", database.name, exc.detail)
            except Exception:
                log.exception("old answers of %s stay for now", database.name)


async def _forget(database: Database) -> None:
    more = True
    while more:
        async with database.unit() as unit:
            more = await idempotency.forget(unit, database.metadata)
