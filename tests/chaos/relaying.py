"""Relays that copy little at a time, and what is wrong with some."""

from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import delete

from martech.kernel.columns import table
from martech.kernel.db import Database
from martech.kernel.feeds.broker import Broker, Mark
from martech.kernel.feeds.relay import Relay
from martech.kernel.outbox import Recorded

NOTED = "noted"
"""Where `MarksFirst` keeps how far it is."""


class SmallRelay(Relay):
    """Has much to do, however little there is."""

    def __init__(self, database: Database, broker: Broker) -> None:
        super().__init__(database, broker, batch=5)


class MarksFirst(SmallRelay):
    """Writes down how far it is, then publishes (M5)."""

    def __init__(self, database: Database, broker: Any) -> None:
        super().__init__(database, Noting(broker))
        self._noting = Noting(broker)

    async def _publish(self, mark: Mark | None, records: list[Recorded], after: int) -> bool:
        await self._noting.note(records[-1])
        return await super()._publish(mark, records, after)


class Noting:
    """A broker that is not asked how far it is, but what was noted."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self._redis: Redis = broker._redis

    async def note(self, record: Recorded) -> None:
        await self._redis.set(NOTED, f"{record.position} {record.id}")

    async def mark(self, source: str) -> Mark | None:
        noted = await self._redis.get(NOTED)
        if noted is None:
            return None
        position, id_ = noted.decode().split()
        return Mark(int(position), UUID(id_))

    async def append(self, source: str, mark: Mark | None, records: Any, *, after: int) -> bool:
        end = await self._broker.mark(source)
        return bool(await self._broker.append(source, end, records, after=after))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


class TrimsOnPublish(SmallRelay):
    """What the broker has is not kept any longer (M14)."""

    async def _publish(self, mark: Mark | None, records: list[Recorded], after: int) -> bool:
        taken = await super()._publish(mark, records, after)
        outbox = table(self._database.metadata, "outbox")
        copied = outbox.c.position.in_([record.position for record in records])
        async with self._database.across() as connection:
            await connection.execute(delete(outbox).where(copied))
        return taken

    async def _check(self, connection: Any, mark: Mark) -> None:
        """The outbox has it no more."""
