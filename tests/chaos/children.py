"""What runs in processes that are killed: a server of the shop, and a bus."""

import logging
import socket

import uvicorn

from martech.kernel import failpoints
from martech.kernel.auth import Follower, Keyring
from martech.kernel.bus import Bus, Delivery
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.outbox import Publisher
from martech.kernel.settings import Settings
from tests import databases
from tests.chaos.processes import Say
from tests.sample.shop.module import module as shop


async def serve_shop(
    say: Say, url: str, issuer: str, plan: str, publisher: type[Publisher] | None
) -> None:
    """Say the port, and answer; fail as *plan* says from the first request on."""
    logging.disable()
    settings = Settings(database_url=url, issuer_keys=(issuer,))
    host = Host([shop], settings, publisher=publisher() if publisher else None)
    keyring = Keyring(settings.issuer_keys)
    keyring.read_at = host.clock.now()
    app = application(host, keyring, Follower(keyring, None, host.clock))
    config = uvicorn.Config(app, lifespan="on", log_config=None, access_log=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Server(config, say, plan)
        await server.serve([listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, say: Say, plan: str) -> None:
        super().__init__(config)
        self._say, self._plan = say, plan

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        failpoints.arm(self._plan)
        assert sockets
        self._say(sockets[0].getsockname()[1])


async def carry(say: Say, url: str, plan: str, batch: int, delivery: type[Delivery]) -> None:
    """The bus of the sample, for ever, or until *plan* or somebody else ends it."""
    logging.disable()
    async with Host(databases.SAMPLE, Settings(database_url=url)) as host:
        failpoints.arm(plan)
        say("carrying")
        await Bus(host, delivery=delivery, batch=batch).run()
