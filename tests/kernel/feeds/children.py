"""What runs in processes that are killed: who serves the shop, and who keeps the ledger."""

import logging
import socket
from collections.abc import Callable, Sequence

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
    with socket.create_server((settings.host, settings.port)) as listener:
        await _Server(config, say).serve([listener])


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
