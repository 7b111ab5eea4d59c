"""Work for the sample shop, and a publisher as slow as a busy machine."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import MetaData, select
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel.columns import table
from martech.kernel.host import Host
from martech.kernel.outbox import Publisher

TENANT = UUID(int=7)


class TakenBack(Exception):
    """The writer changed its mind after the outbox was written."""


class SlowPublisher(Publisher):
    """Between the outbox and the commit lie up to *longest* seconds, and *share* never commit."""

    def __init__(self, seed: int, longest: float, share: float = 0.0) -> None:
        self._random = random.Random(seed)
        self._longest = longest
        self._share = share

    async def append(
        self, connection: AsyncConnection, metadata: MetaData, rows: Sequence[dict[str, Any]]
    ) -> None:
        await super().append(connection, metadata, rows)
        await asyncio.sleep(self._random.uniform(0, self._longest))  # the work, not a wait
        if self._random.random() < self._share:
            raise TakenBack


async def lines(host: Host) -> list[tuple[str, int]]:
    """What the ledger has written, in the order of writing."""
    async with host.unit("ledger", TENANT, write=False) as ledger:
        written: list[tuple[str, int]] = await ledger.read()
        return written


async def set_aside(host: Host, name: str = "ledger") -> list[Any]:
    """What the bus has set aside or parked, in the order of the source."""
    database = host.databases[name]
    parked = table(database.metadata, "parked")
    async with database.across(write=False) as connection:
        rows = await connection.execute(select(parked).order_by(parked.c.position, parked.c.item))
        return list(rows.all())
