"""The outbox of a peer, read over HTTP.

    read      GET /_outbox/<module>?after=&types=&items=      a page, as MessagePack
    head      GET /_outbox/<module>/head?types=
    waiting   GET /_outbox/<module>/waiting?after=&types=
    watch     GET /_outbox/<module>/news?after=&wait=         stays open until there is any

Every question says behind which position it asks: the peer keeps nothing of its listeners, and
whoever was cut off asks again. A page carries data as bytes: what stands in an outbox comes
as it stands, even if it is no JSON, and is parked by whoever cannot read it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import MsgspecError, Raw, msgpack
from msgspec.structs import replace

from martech.kernel.errors import Unavailable
from martech.kernel.outbox import Recorded
from martech.kernel.remote import Peer

WITHIN = 15.0  # seconds for a page, however large
WAIT = 20.0  # seconds that a question for news stays open
REST = 0.05  # seconds until the next one: what is told meanwhile is one piece of news
AGAIN = 2.0  # seconds until a peer that is away is asked for news again

UNREADABLE = MsgspecError, UnicodeDecodeError
"""Msgspec looks at the encoding of a text only when it comes to it, and says so by the second."""

T = TypeVar("T")


class Head(msgspec.Struct, frozen=True):
    position: int


class Waiting(msgspec.Struct, frozen=True):
    items: int


class Refusal(msgspec.Struct, frozen=True):
    """What we read of a problem."""

    detail: str = ""


def packed(records: Sequence[Recorded]) -> bytes:
    """A page of an outbox."""
    return msgpack.encode([replace(r, data=Raw(msgpack.encode(bytes(r.data)))) for r in records])


def unpacked(page: bytes) -> list[Recorded]:
    """Raises one of `UNREADABLE` for what is no page."""
    records = msgpack.decode(page, type=list[Recorded])
    return [replace(r, data=Raw(msgpack.decode(r.data, type=bytes))) for r in records]


class HttpFeed:
    def __init__(self, source: str, peer: Peer) -> None:
        self.source = source
        self._peer = peer

    async def read(self, *, after: int, types: Sequence[str], items: int = 500) -> list[Recorded]:
        asked = {"after": str(after), "types": ",".join(types), "items": str(items)}
        return await self._get("", asked, unpacked)

    async def head(self, types: Sequence[str]) -> int:
        return (await self._get("/head", {"types": ",".join(types)}, _head)).position

    async def waiting(self, *, after: int, types: Sequence[str]) -> int:
        asked = {"after": str(after), "types": ",".join(types)}
        return (await self._get("/waiting", asked, _waiting)).items

    async def watch(self, wake: Callable[[], None]) -> None:
        position = 0
        while True:
            try:
                asked = {"after": str(position), "wait": f"{WAIT:g}"}
                latest = await self._get("/news", asked, _head, within=WAIT + WITHIN)
            except Unavailable:  # whoever reads says so
                position = 0  # once it is back, everybody is to go on
                await asyncio.sleep(AGAIN)
                continue
            if latest.position != position:
                position = latest.position
                wake()
                await asyncio.sleep(REST)

    async def close(self) -> None:
        """The peer is its host's."""

    async def _get(
        self, path: str, asked: dict[str, str], read: Callable[[bytes], T], within: float = WITHIN
    ) -> T:
        target = f"/_outbox/{self.source}{path}"
        status, body, _ = await self._peer.call("GET", target, params=asked, within=within)
        said = f"{self._peer.url} answered {status} for the outbox of {self.source}"
        if status != 200:
            raise Unavailable(f"{said}: {_detail(body)}")
        try:
            return read(body)
        except UNREADABLE as exc:
            raise Unavailable(
                f"{said}, but nothing that can be read ({exc}). Is a martech of another version "
                "there, or something else? Check MARTECH_PEERS."
            ) from exc


def _head(body: bytes) -> Head:
    return msgspec.json.decode(body, type=Head)


def _waiting(body: bytes) -> Waiting:
    return msgspec.json.decode(body, type=Waiting)


def _detail(body: bytes) -> str:
    """What the peer says is wrong."""
    try:
        return msgspec.json.decode(body, type=Refusal).detail
    except UNREADABLE:
        return "what answers there is no martech. Check MARTECH_PEERS."
