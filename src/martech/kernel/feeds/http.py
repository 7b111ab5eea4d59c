"""The outbox of a peer, read over HTTP."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from martech.kernel.errors import Unavailable
from martech.kernel.outbox import Recorded
from martech.kernel.remote import Peer

log = logging.getLogger(__name__)

WITHIN = 15.0  # seconds for a page, however large
WAIT = 20.0  # seconds that a question for news stays open
AGAIN = 2.0  # seconds until a peer that is away is asked for news again


class Head(msgspec.Struct, frozen=True):
    position: int


class Waiting(msgspec.Struct, frozen=True):
    items: int


class HttpFeed:
    def __init__(self, source: str, peer: Peer) -> None:
        self.source = source
        self._peer = peer

    async def read(self, *, after: int, types: Sequence[str], items: int = 500) -> list[Recorded]:
        asked = {"after": str(after), "types": ",".join(types), "items": str(items)}
        return msgspec.json.decode(await self._get("", asked), type=list[Recorded])

    async def head(self, types: Sequence[str]) -> int:
        said = await self._get("/head", {"types": ",".join(types)})
        return msgspec.json.decode(said, type=Head).position

    async def waiting(self, *, after: int, types: Sequence[str]) -> int:
        said = await self._get("/waiting", {"after": str(after), "types": ",".join(types)})
        return msgspec.json.decode(said, type=Waiting).items

    async def watch(self, wake: Callable[[], None]) -> None:
        position = 0
        while True:
            try:
                asked = {"after": str(position), "wait": f"{WAIT:g}"}
                said = await self._get("/news", asked, within=WAIT + WITHIN)
                latest = msgspec.json.decode(said, type=Head).position
            except Unavailable:
                await asyncio.sleep(AGAIN)
                continue
            if latest != position:
                position = latest
                wake()

    async def close(self) -> None:
        """The peer is its host's."""

    async def _get(self, path: str, asked: dict[str, str], within: float = WITHIN) -> bytes:
        target = f"/_outbox/{self.source}{path}"
        status, body = await self._peer.call("GET", target, params=asked, within=within)
        if status != 200:
            raise Unavailable(
                f"{self._peer.name} at {self._peer.url} answered {status} for the outbox of "
                f"{self.source}."
            )
        return body
