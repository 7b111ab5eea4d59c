"""The planted defects. Each is what somebody might well have written."""

import asyncio
import gzip
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, MetaData, Row, insert, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel import failpoints
from martech.kernel.bus.delivery import Delivery
from martech.kernel.bus.unfold import Heard
from martech.kernel.columns import table
from martech.kernel.cursors import Cursor, Place
from martech.kernel.db import Database, Unit
from martech.kernel.errors import Unavailable
from martech.kernel.messages import Fact
from martech.kernel.outbox import Origin, Publisher, Recorded
from martech.kernel.shadow.delivery import ShadowDelivery
from tests.chaos.loads import SlowPublisher


class PublishesAfterCommit(Publisher):
    """Writes what was told as soon as the transaction has committed (M1)."""

    def __init__(self) -> None:
        self._later = set[asyncio.Task[None]]()

    async def append(
        self, connection: AsyncConnection, metadata: MetaData, rows: Sequence[dict[str, Any]]
    ) -> None:
        task = asyncio.create_task(self._after(connection, metadata, rows))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _after(
        self, connection: AsyncConnection, metadata: MetaData, rows: Sequence[dict[str, Any]]
    ) -> None:
        while not connection.closed and connection.in_transaction():  # noqa: ASYNC110 - planted
            await asyncio.sleep(0.001)
        async with connection.engine.connect() as another:
            await another.execution_options(scope="*", write=True)
            if another.dialect.name == "postgresql":
                await another.execute(text("SELECT set_config('martech.tenant', '*', true)"))
            await another.execute(insert(table(metadata, "outbox")), rows)
            await another.commit()


class TakesNoLock(SlowPublisher):
    """Trusts the sequence: positions are handed out in an order, so they commit in it (M2)."""

    async def lock(self, connection: AsyncConnection, metadata: MetaData) -> None:
        """Nothing."""


class OrdersByXid(Delivery):
    """Follows transaction ids behind the oldest open one, needing no lock (M3)."""

    def __init__(self, *args: Any, **limits: Any) -> None:
        super().__init__(*args, **limits)
        self.feed = XidFeed(self.host.databases[self.feed.source])


class XidFeed:
    def __init__(self, database: Database) -> None:
        self.source = database.name
        self._database = database
        self._outbox = table(database.metadata, "outbox")
        self._xid: ColumnElement[int] = literal_column("outbox.xmin::text::bigint")
        self._behind_the_oldest: ColumnElement[bool] = literal_column(
            "outbox.xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        )

    async def read(self, *, after: int, types: Sequence[str], items: int = 500) -> list[Recorded]:
        query = (
            select(self._outbox, self._xid.label("xid"))
            .where(self._outbox.c.type.in_(types), self._xid > after, self._behind_the_oldest)
            .order_by(self._xid)
            .limit(items)
        )
        async with self._database.across(write=False) as connection:
            rows = (await connection.execute(query)).all()
        return [self._at_xid(row) for row in rows]

    def _at_xid(self, row: Row[Any]) -> Recorded:
        return Recorded(
            position=row.xid,
            id=row.id,
            source=self.source,
            type=row.type,
            tenant=row.tenant,
            subject=row.subject,
            time=row.time,
            data=msgspec.Raw(row.data),
        )

    async def head(self, types: Sequence[str]) -> int:
        return 0

    async def waiting(self, *, after: int, types: Sequence[str]) -> int:
        return len(await self.read(after=after, types=types))


class MovesCursorAlone(Delivery):
    """Handles in one transaction and moves the cursor in another (M4)."""

    async def _together(self, heard: Sequence[Heard], place: Place, replaying: bool) -> Place:
        async with self.database.unit(replaying=replaying) as unit:
            connection = await self._at(unit, place)
            ready = await self._hold_back(unit, connection, heard, place)
            await failpoints.reach("bus.before_handle")
            for h in ready:
                assert h.fact is not None
                await self._call(unit, h.tenant, [h.fact], Origin())
        await failpoints.reach("bus.before_cursor")
        async with self.database.across() as connection:
            await self.cursors.move(connection, heard[-1].next)
        return heard[-1].next


class NeverHalves(Delivery):
    """A batch that fails is set aside whole (M8)."""

    async def _handle(self, heard: Sequence[Heard], place: Place, replaying: bool) -> Place:
        try:
            return await self._together(heard, place, replaying)
        except Unavailable:
            raise
        except Exception as exc:  # noqa: BLE001
            for h in heard:
                place = await self._set_aside(h, place, exc)
            return place


class ClaimsWhatIsTaken(Delivery):
    """Tries again what has failed as it has read it, whoever else has begun to (M8)."""

    async def _claim(self, rows: Sequence[Row[Any]]) -> int:
        if not rows[0].attempts:  # or portions are taken away as well, and healthy ones wait
            return await super()._claim(rows)
        async with self.database.across() as connection:
            cursor = await self.cursors.load(connection, lock=True)
            late = self.host.clock.now() + timedelta(days=1)
            items = [Place(row.position, row.item) for row in rows]
            return await self.cursors.claim(connection, items, late, cursor.place, late)


class CountsUnavailable(Delivery):
    """What needs something that is away has failed like any other (M10)."""

    async def _call(self, unit: Unit, tenant: UUID, facts: Sequence[Fact], origin: Origin) -> None:
        try:
            await super()._call(unit, tenant, facts, origin)
        except Unavailable as exc:
            raise RuntimeError(exc.detail) from exc


class ActsWhileReplaying(Delivery):
    """History is handled like news, commands to the outside included (M11)."""

    async def _together(self, heard: Sequence[Heard], place: Place, replaying: bool) -> Place:
        return await super()._together(heard, place, False)


class NeverHeard(Cursor):
    """Takes all that comes for new."""

    def has_heard(self, position: int) -> bool:
        return False


class TellsWhileReplaying(Delivery):
    """What follows from history is told as news (M11)."""

    async def _next_batch(self, cursor: Cursor) -> int:
        return await super()._next_batch(NeverHeard(*cursor))


class ActingShadow(ShadowDelivery):
    """A shadow to which nothing is the past (M11)."""

    async def begin(self) -> None:
        async with self.database.across() as connection:
            await self.cursors.create(connection, 0, 0)


class InflatesFirst:
    """Takes gzip off a body, however much comes out, and looks at the limit afterwards (X13)."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", []))
        if headers.get(b"content-encoding") != b"gzip":
            await self._app(scope, receive, send)
            return
        body = (await receive())["body"]
        with suppress(OSError, EOFError):
            body = gzip.decompress(body)
        kept = [pair for pair in scope["headers"] if pair[0] not in PLAIN]

        async def plain() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app({**scope, "headers": kept}, plain, send)


PLAIN = (b"content-encoding", b"content-length")
