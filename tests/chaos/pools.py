"""Connections that are kept too long. Each is what somebody might well have written."""

from typing import Any

from asyncpg import Connection
from redis.asyncio import Connection as RedisConnection
from sqlalchemy import event
from sqlalchemy.engine.interfaces import ExceptionContext

from martech.kernel.db.engines import _still_there
from martech.kernel.db.scoped import ScopedConnection
from martech.kernel.feeds.redis import RedisBroker
from martech.kernel.host import Host
from martech.kernel.tenancy import SETTING, Scope


class KeepsWhatIsDead(Host):
    """A connection that was made once is good for ever: it is not asked before it is used, and not
    dropped when it has failed (M17)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for database in self.databases.values():
            engine = database.engine.sync_engine
            event.remove(engine, "checkout", _still_there)
            event.listen(engine, "handle_error", _is_well)


def _is_well(context: ExceptionContext) -> None:
    context.is_disconnect = False


async def reuse_after_cancel(host: Host) -> None:
    """A connection whose user gave up in the middle goes back to the pool as it is; and it says
    for whom it works only when that changes (X5)."""
    for database in host.databases.values():
        engine = database.engine.sync_engine
        event.listen(engine, "handle_error", _is_well)
        event.listen(engine, "do_connect", _remembering)
        await database.engine.dispose()


def _remembering(dialect: object, record: object, args: object, given: dict[str, Any]) -> None:
    given["connection_class"] = RemembersForWhom


class RemembersForWhom(ScopedConnection):
    """Spares the server what it was told before. Who gives up while it is told leaves the
    connection with one scope and this memory with another."""

    told: Scope | None = None

    async def execute(self, query: str, *arguments: object, **options: Any) -> str:
        begins = query.startswith("BEGIN") and self.scope is not None
        if begins and self.scope != self.told:
            said = f"SELECT set_config('{SETTING}', '{self.scope}', false)"
            await Connection.execute(self, said)
            self.told = self.scope
        status: str = await Connection.execute(self, query, *arguments, **options)
        return status


class ReadsOn(RedisBroker):
    """A connection whose user gave up waiting is the next one's, and so is the answer (X5)."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._redis.connection_pool.connection_class = Unbroken


class Unbroken(RedisConnection):
    async def read_response(self, *args: Any, **options: Any) -> Any:
        return await super().read_response(*args, **{**options, "disconnect_on_error": False})
