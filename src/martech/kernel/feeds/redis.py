"""Outboxes in Redis (or Valkey) Streams: ``martech:outbox:<module>``, an entry for each event.

An entry's id is ``<position>-0``: reading behind a position is a range, and Redis itself refuses
an event that it has. `before` is the position of the event told before it: who reads on from a
position behind which something is missing sees the hole, and waits instead of stepping over it.

Streams are never trimmed: that drops what nobody has read, while every lag reads 0.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from martech.kernel.errors import Unavailable
from martech.kernel.feeds import Feed
from martech.kernel.feeds.broker import ANEW, Mark
from martech.kernel.outbox import Recorded
from martech.kernel.trouble import Trouble

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds for one answer
AGAIN = 2.0  # seconds until a lost connection is tried again
NONE: Final = msgspec.Raw(b"null")
SIZE = 4_000_000  # bytes of a page, as in an outbox
LOOKS = 2_000  # entries that one question may look at: meanwhile Redis serves nobody else
TURN = 1.0  # seconds until a page ends in which nothing was found

# KEYS[1] the stream. ARGV: the position it must end at ("" when empty, "anew" when it is to be
# emptied), then of each event its before, position, id, type, items, attributes, data. One script:
# of two relays one adds nothing.
APPEND: Final = """
if ARGV[1] == 'anew' then
  redis.call('UNLINK', KEYS[1])
  ARGV[1] = ''
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local at = last and string.match(last[1], '^%d+') or ''
if at ~= ARGV[1] then return 0 end
if not last then redis.call('DEL', KEYS[1]) end -- emptied, but it would remember its last id
for i = 2, #ARGV, 7 do
  redis.call('XADD', KEYS[1], ARGV[i + 1] .. '-0', 'before', ARGV[i], 'id', ARGV[i + 2],
             'type', ARGV[i + 3], 'items', ARGV[i + 4], 'event', ARGV[i + 5],
             'data', ARGV[i + 6])
end
redis.call('PUBLISH', KEYS[1], '')
return 1
"""

# ARGV: after, the id of the event there ("" if that is not asked), items, size, looks, types….
# What is not waited for stays here, and a page is as large as its limits allow, whatever an event
# weighs. Returns nothing if another event stands there; else how far was looked, the id of the
# event there, what comes behind a hole that ends the page, and of each event its attributes and its
# data.
READ: Final = """
local at, id, items, size = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local looks, count, wanted, found = tonumber(ARGV[5]), 2, {}, {}
for i = 6, #ARGV do wanted[ARGV[i]] = true end
if id ~= '' then
  local entry = redis.call('XRANGE', KEYS[1], at .. '-0', at .. '-0')[1]
  if not entry or entry[2][4] ~= id then return {} end
end
while looks > 0 do
  count = math.min(2 * count, 64)
  local entries = redis.call('XRANGE', KEYS[1], '(' .. at .. '-0', '+', 'COUNT', count)
  for _, entry in ipairs(entries) do
    local position, fields = string.match(entry[1], '^%d+'), entry[2]
    if tonumber(fields[2]) > tonumber(at) then return {at, id, position, found} end
    if wanted[fields[6]] then
      items, size = items - tonumber(fields[8]), size - #fields[12]
      if #found > 0 and (items < 0 or size < 0) then return {at, id, '', found} end
      found[#found + 1], found[#found + 2] = fields[10], fields[12]
    end
    at, id = position, fields[4]
  end
  if #entries < count then break end
  looks = looks - count
end
return {at, id, '', found}
"""

# The whole entry is large: only its id and the event's come back.
MARK: Final = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return last and {string.match(last[1], '^%d+'), last[2][4]} or {}
"""


def stream(source: str) -> str:
    return f"martech:outbox:{source}"


class RedisBroker:
    def __init__(self, url: str) -> None:
        self._place = urlsplit(url)._replace(query="").geturl().rpartition("@")[2]
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 1),  # a kept connection may be that to a Redis of yesterday
        )
        self._append = self._redis.register_script(APPEND)
        self._mark = self._redis.register_script(MARK)

    def feed(self, record: Feed) -> Feed:
        return RedisFeed(self._redis, record)

    async def mark(self, source: str) -> Mark | None:
        with reached(source):
            last = await self._mark(keys=[stream(source)])
        return Mark(int(last[0]), UUID(last[1].decode())) if last else None

    async def append(
        self, source: str, mark: Mark | None, records: Sequence[Recorded], *, after: int
    ) -> bool:
        end = "anew" if mark is ANEW else mark.position if mark else ""
        arguments: list[str | int | bytes] = [end]
        for record in records:
            arguments += [after, record.position, str(record.id), record.type, record.items]
            arguments += [msgspec.json.encode(replace(record, data=NONE)), bytes(record.data)]
            after = record.position
        with reached(source):
            return bool(await self._append(keys=[stream(source)], args=arguments))

    async def forget(self, source: str) -> None:
        with reached(source):
            await self._redis.delete(stream(source))

    async def warning(self) -> str | None:
        with reached("all"):
            try:
                kept = await self._redis.config_get("appendonly", "maxmemory-policy")
            except ResponseError:
                return None  # where Redis is a service, its settings are often not to be asked
        reasons = list(_reasons(kept))
        if not reasons:
            return None
        return (
            f"Redis at {self._place} may forget what it carries: {', and '.join(reasons)}. Nothing "
            "is lost by that, since the outboxes keep everything: what Redis lacks is copied "
            "again. But until it is, modules on other hosts wait."
        )

    async def close(self) -> None:
        await self._redis.aclose()


def _reasons(kept: Mapping[str | None, str | None]) -> Iterator[str]:
    if kept.get("appendonly") == "no":
        yield "it writes nothing down (set `appendonly yes`)"
    policy = kept.get("maxmemory-policy") or ""
    if policy.startswith("allkeys"):
        yield f"it drops what it likes when full ({policy}; set `maxmemory-policy noeviction`)"


class Passed(NamedTuple):
    """Behind *since* and up to *at*, where the event *id* stands, there is nothing that is waited
    for. Whoever finds another event there looks anew: the outbox was copied from another past."""

    since: int
    at: int
    id: bytes = b""


class RedisFeed:
    def __init__(self, redis: Redis, record: Feed) -> None:
        self.source = record.source
        self._record = record
        self._redis = redis
        self._read = redis.register_script(READ)
        self._wake: Callable[[], None] = lambda: None
        self._passed: dict[tuple[str, ...], Passed] = {}
        """By types. A cursor stays where the last of them was; what others heard since is not
        looked through each time."""

    async def read(self, *, after: int, types: Sequence[str], items: int = 500) -> list[Recorded]:
        waited, until = tuple(types), monotonic() + TURN
        while True:
            since, at, id_ = self._begin(waited, after)
            limits: list[int | bytes] = [at, id_, items, SIZE, LOOKS]
            with reached(self.source):
                looked = await self._read(keys=[stream(self.source)], args=[*limits, *waited])
            if not looked:
                self._passed.pop(waited, None)
                continue
            end, id_, hole, found = looked
            if found:
                return [_recorded(*both) for both in zip(found[::2], found[1::2], strict=True)]
            if hole:
                raise Unavailable(_missing(self.source, int(end), int(hole)))
            self._passed[waited] = Passed(since, int(end), id_)
            if int(end) == at:
                return []
            if monotonic() >= until:
                self._wake()  # to go on where this page has ended
                return []

    def _begin(self, waited: tuple[str, ...], after: int) -> Passed:
        passed = self._passed.get(waited)
        if passed and passed.since <= after < passed.at:
            return passed._replace(since=after)
        return Passed(after, after)

    async def head(self, types: Sequence[str]) -> int:
        return await self._record.head(types)

    async def waiting(self, *, after: int, types: Sequence[str]) -> int:
        return await self._record.waiting(after=after, types=types)

    async def watch(self, wake: Callable[[], None]) -> None:
        self._wake, trouble = wake, Trouble(log)
        while True:
            try:
                async with self._redis.pubsub() as told:
                    await told.subscribe(stream(self.source))
                    async for _ in told.listen():  # that it listens is the first it hears
                        trouble.ends(f"{self.source} is watched in Redis again")
                        wake()
            except (RedisError, OSError) as exc:
                trouble.begins(f"cannot watch {self.source} in Redis, polling instead", str(exc))
            await asyncio.sleep(AGAIN)

    async def close(self) -> None:
        await self._record.close()


def _recorded(attributes: bytes, data: bytes) -> Recorded:
    """Data comes as it stands in the outbox, even if it is no JSON: who cannot read it parks it."""
    return replace(msgspec.json.decode(attributes, type=Recorded), data=msgspec.Raw(data))


def _missing(source: str, after: int, hole: int) -> str:
    return (
        f"Redis lacks what {source} told behind position {after} and before {hole}: the stream was "
        f"trimmed, or copied from there only. `martech republish {source}`, on the host that "
        "serves it, copies all of it again."
    )


@contextmanager
def reached(source: str) -> Iterator[None]:
    """Whatever is wrong with Redis, what was told is still in its outbox: it waits."""
    try:
        yield
    except (RedisError, OSError) as exc:
        raise Unavailable(f"Redis does not carry the outbox of {source}: {exc}") from exc
