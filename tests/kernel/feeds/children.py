"""What runs in processes that are killed: who serves the shop, and who keeps the ledger."""

import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from martech.kernel.auth import Follower, Keyring
from martech.kernel.bus import Bus, Delivery
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.module import Module
from martech.kernel.settings import Settings
from tests.chaos.processes import Say
from tests.sample.shop.module import module as shop

SECRET = "the peers of a test, and nobody else"

Making = Callable[[], Sequence[Module]]
"""The shop and a ledger; a function of a module, so that another process can call it."""


async def serve(say: Say, settings: Settings, peer: type[Host]) -> None:
    """Serve the shop to its peers, for ever."""
    logging.disable()
    host = peer([shop], settings)
    app = application(host, Keyring(), Follower(Keyring(), None, host.clock))
    config = uvicorn.Config(app, lifespan="on", log_config=None, access_log=False)
    with listener(settings) as taken:
        await _Server(config, say).serve([taken])


@contextmanager
def listener(settings: Settings) -> Iterator[socket.socket]:
    """A socket that is said to be TCP: for others asyncio, unlike the product's uvloop, lets
    Nagle wait for acknowledgements, 40 ms an answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((settings.host, settings.port))
        yield taken


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, say: Say) -> None:
        super().__init__(config)
        self._say = say

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say("serving")


async def listen(say: Say, settings: Settings, hosted: Sequence[str], making: Making) -> None:
    """Keep the ledger, for ever; say so whenever something was done."""
    logging.disable()

    class Audible(Delivery):
        async def step(self) -> int:
            handled = await super().step()
            if handled:
                say(handled)
            return handled

    modules = [module for module in making() if module.name in hosted]
    async with Host(modules, settings) as host:
        say(0)
        await Bus(host, delivery=Audible).run()
