"""Replays by API, below ``/_replays``, with the secret of the installation: a replay concerns every
tenant, so no tenant's key is enough.

A replay that rewinds is asked for and answered: the subscription's own deliveries do the rest. One
in a shadow is work of the process that was asked, beside the loop that answers. It goes on after
the answer, says how far it is, and ends with the process; what is in use is untouched until its
last moment.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

from litestar import Litestar, Router, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, field

from martech.kernel import shadow
from martech.kernel.bus.replay import beginning, replay
from martech.kernel.errors import Error, Invalid, NotFound
from martech.kernel.host import Host
from martech.kernel.http.mounted import Mounted
from martech.kernel.http.peers import PEERS, only_peers
from martech.kernel.messages import Request, View

log = logging.getLogger(__name__)


class Replay(Request, frozen=True, kw_only=True):
    """Either from where, or a shadow."""

    subscription: Annotated[str, Meta(min_length=1, max_length=200)]
    """``<module>.<handler>``."""

    since: Annotated[str, Meta(min_length=1, max_length=40)] | None = field(
        name="from", default=None
    )
    """A position (0 is everything), or a time with its zone."""

    shadow: bool = False
    """Make its projection anew, from the beginning, beside the one in use."""

    in_place: bool = False
    """With ``from``: even if a shadow would do. Meanwhile what is in use is as it was long ago."""


State = Literal["running", "done", "failed", "stopped"]


class Replaying(View, frozen=True, kw_only=True):
    subscription: str
    position: int
    """Everything behind it is heard again; of a shadow, what it has heard."""

    shadow: State | None = None
    end: int | None = None
    """Where the subscription in use stands, which a shadow has to reach."""

    dropped: int | None = None
    """Commands of a shadow that is done which were not given outside again."""

    detail: str | None = None
    """Why a shadow failed. What is in use was not touched."""


@dataclass
class Making:
    """A shadow that this process makes, or made."""

    name: str
    task: asyncio.Task[int]
    reached: int = 0
    end: int = 0

    @property
    def view(self) -> Replaying:
        state, dropped, detail = _state(self.task)
        return Replaying(
            subscription=self.name,
            position=self.reached,
            shadow=state,
            end=self.end,
            dropped=dropped,
            detail=detail,
        )


def _state(task: asyncio.Task[int]) -> tuple[State, int | None, str | None]:
    if not task.done():
        return "running", None, None
    if task.cancelled():
        return "stopped", None, None
    match task.exception():
        case None:
            return "done", task.result(), None
        case Error() as error:
            return "failed", None, error.detail
        case error:
            return "failed", None, f"{type(error).__name__}; the log says more."


class Shadows:
    """The shadows of this process, the last of each subscription."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._made: dict[str, Making] = {}

    async def make(self, name: str) -> Replaying:
        """Begin one; returns when it is on its way. Raises `NotFound`, and `Conflict` while the
        module's is made already, here or elsewhere."""
        begun = asyncio.Event()

        def seen(reached: int, end: int) -> None:
            making.reached, making.end = reached, end
            begun.set()

        task = asyncio.create_task(self._make(name, seen), name=f"shadow of {name}")
        making = Making(name, task)
        first = asyncio.create_task(begun.wait())
        try:
            await asyncio.wait((task, first), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # who asked is gone and will never hear of it
            task.cancel()
            raise
        finally:
            first.cancel()
        if not begun.is_set():
            await task  # it did not come to that, and says why
        self._made[name] = making
        return making.view

    async def _make(self, name: str, seen: shadow.Seen) -> int:
        try:
            return await shadow.rebuild_apart(self._host, name, seen)
        except Error:
            raise  # its view says it
        except Exception:
            log.exception("the shadow of %s failed", name)
            raise

    def all(self) -> list[Replaying]:
        return [making.view for making in self._made.values()]

    def one(self, name: str) -> Replaying:
        return self._find(name).view

    async def stop(self, name: str) -> Replaying:
        """Give it up; what is in use stays."""
        making = self._find(name)
        making.task.cancel()
        await asyncio.wait((making.task,))
        return making.view

    def _find(self, name: str) -> Making:
        if name not in self._made:
            raise NotFound(f"This process has made no shadow of {name!r} since its start.")
        return self._made[name]

    @asynccontextmanager
    async def opened(self, app: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            for name in self._made:
                await self.stop(name)


def replay_routes(host: Host, shadows: Shadows) -> Router:
    @post("/", opt=PEERS, status_code=202)
    async def ask(data: JSONBody[Replay]) -> Replaying:
        if (data.since is None) != data.shadow or (data.shadow and data.in_place):
            raise Invalid("Say from where, or shadow: true (from the beginning).", field="from")
        if data.since is None:
            return await shadows.make(data.subscription)
        start = beginning(data.since)
        position = await replay(host, data.subscription, start, in_place=data.in_place)
        return Replaying(subscription=data.subscription, position=position)

    @get("/", opt=PEERS)
    async def every() -> list[Replaying]:
        return shadows.all()

    @get("/{subscription:str}", opt=PEERS)
    async def one(subscription: FromPath[str]) -> Replaying:
        return shadows.one(subscription)

    @delete("/{subscription:str}", opt=PEERS, status_code=200)
    async def stop(subscription: FromPath[str]) -> Replaying:
        return await shadows.stop(subscription)

    return Mounted(
        path="/_replays",
        route_handlers=[ask, every, one, stop],
        guards=[only_peers(host.settings.peer_secret)],
        include_in_schema=False,
    )
