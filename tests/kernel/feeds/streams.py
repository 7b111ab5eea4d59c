"""A Redis of a test's own, which can be killed and can forget; and who copies the shop to it."""

import asyncio
import logging
import os
import signal
from uuid import UUID

from redis.asyncio import Redis

from martech.kernel import failpoints
from martech.kernel.feeds.broker import Mark
from martech.kernel.feeds.redis import stream
from martech.kernel.feeds.relay import Relay, Relays
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import servers, watchers
from tests.chaos.processes import Say
from tests.sample.shop.module import module as shop

NOTHING = Mark(0, UUID(int=0))


class OwnRedis:
    """Keeps nothing on disk, as a default Redis does."""

    def __init__(self) -> None:
        self._program, self._port = servers.find_redis(), servers.free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._server: servers.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.to_thread(servers.start_redis, self._program, self._port)

    async def kill(self) -> None:
        assert self._server
        assert self._server.pid
        os.kill(self._server.pid, signal.SIGKILL)
        await self.stop()

    async def stop(self) -> None:
        if self._server:
            await asyncio.to_thread(watchers.stop, self._server)
            self._server = None

    async def forget(self) -> None:
        async with Redis.from_url(self.url) as client:
            await client.flushall()


async def copied(url: str, source: str = "shop") -> list[tuple[int, bytes]]:
    """Position and id of every event that Redis has of *source*, in its order."""
    async with Redis.from_url(url) as client:
        entries = await client.xrange(stream(source))
    return [(int(entry.partition(b"-")[0]), fields[b"id"]) for entry, fields in entries]


async def relay(say: Say, settings: Settings, plan: str, kind: type[Relay]) -> None:
    """Copy the shop's outbox, for ever, or until *plan* or somebody else ends it."""
    logging.disable()
    async with Host([shop], settings) as host:
        assert host.broker
        failpoints.arm(plan)
        say("relaying")
        await Relays(host.databases, host.broker, host.process.signals, relay=kind).run()


async def settled(settings: Settings, kind: type[Relay] = Relay) -> None:
    """Copy what the shop told until now, beside whoever copies it already."""
    async with Host([shop], settings) as host:
        assert host.broker
        last = await host.told("shop")
        one = kind(host.databases["shop"], host.broker)
        while (await host.broker.mark("shop") or NOTHING).position < last:
            await one.step()
