"""The product in as many processes as one likes: `martech serve`, each with databases of its own.

A topology says which modules share a process. They find each other by `MARTECH_PEERS`; the world
finds them by their paths, as a proxy in front of them would.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from litestar import Router

from martech.app import installed
from martech.kernel.auth import Keyring
from martech.kernel.host import Host
from martech.kernel.http.routes import routes
from martech.kernel.settings import Settings
from tests import databases, servers
from tests.chaos.wire import Wire, before
from tests.commands import Command
from tests.sinks.smtp import Sink

ROOT = Path(__file__).parents[2]
SECRET = "peers-of-a-test-0123456789abcdef"
PATIENCE = 90.0  # seconds until a process that is not ready counts as failed
LOOK = 0.05  # seconds between looks

KEPT = httpx.Limits(keepalive_expiry=None)
"""A connection that expires between being chosen and being used is closed by whoever looks next,
and httpx calls that a read error: nobody over there has done anything."""

Topology = Sequence[Sequence[str]]
"""The modules of each process."""


def monolith() -> Topology:
    return [installed()]


def all_apart() -> Topology:
    return [[module] for module in installed()]


def one_outside(module: str) -> Topology:
    return [[name for name in installed() if name != module], [module]]


@dataclass
class Node:
    """One process, its modules, and where they are kept."""

    modules: Sequence[str]
    port: int
    url: str
    """How the world and its peers reach it: by way of its wire, if it has one."""

    database: str
    stores: Mapping[str, str]
    """Of its modules that keep something beside their tables, the URL of that."""

    environment: dict[str, str]
    log: Path
    source: Path
    """The tree whose code it runs."""

    wire: Wire | None = None
    first: Callable[[], None] | None = None
    """What is wrong with its process, which does it first."""

    process: "subprocess.Popen[bytes] | Command | None" = field(default=None, repr=False)

    def start(self) -> None:
        if self.source == ROOT:
            self.process = Command(
                ["serve"], self.environment, self.log.parent, self.log, self.first
            )
            return
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "martech", "serve"],
                env=self.environment,
                cwd=self.log.parent,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    async def ready(self, client: httpx.AsyncClient) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PATIENCE
        while loop.time() < give_up:
            assert self.process is not None
            assert self.process.poll() is None, f"{self.modules} ended:\n{self.said()[-4000:]}"
            try:
                if (await client.get(f"http://127.0.0.1:{self.port}/health/ready")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(LOOK)
        raise AssertionError(f"{self.modules} is not ready:\n{self.said()[-4000:]}")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.ended()

    def ended(self) -> int:
        """Its exit code, when it has one."""
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def said(self) -> str:
        return self.log.read_text()


class Nodes:
    """All processes of one installation, and how the world calls them."""

    def __init__(self, nodes: Sequence[Node], client: httpx.AsyncClient) -> None:
        self.nodes = nodes
        self.client = client
        self.of = {module: node for node in nodes for module in node.modules}
        self.secret_key = self.write_key = ""

    async def start(self) -> None:
        for node in self.nodes:
            node.start()
        await asyncio.gather(*(node.ready(self.client) for node in self.nodes))
        said = self.of["access"].said()
        self.write_key, self.secret_key = _key("mtw_", said), _key("mts_", said)

    @property
    def databases(self) -> dict[str, str]:
        """Of each module, the URL."""
        return {module: node.database for module, node in self.of.items()}

    @property
    def stores(self) -> dict[str, str]:
        """Of each module that has one, the URL."""
        return {module: url for node in self.nodes for module, url in node.stores.items()}

    def stop(self) -> list[int]:
        """Ask all to end; their exit codes."""
        running = [node for node in self.nodes if node.process and node.process.poll() is None]
        for node in running:
            node.signal(signal.SIGCONT)  # one that is paused hears nothing else
            node.signal(signal.SIGTERM)
        return [node.ended() for node in running]

    async def call(
        self, method: str, path: str, body: object = None, key: str | None = None, **more: Any
    ) -> httpx.Response:
        """With the owner's key, unless another is given; an empty one is none."""
        shown = self.secret_key if key is None else key
        headers = {**more.pop("headers", {}), **_shows(shown)}
        url = self.of[owner(path)].url + path
        return await self.client.request(method, url, json=body, headers=headers, **more)

    async def do(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer = await self.call(method, path, body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    async def visit(self, method: str, url: str, **more: Any) -> httpx.Response:
        """What stands in a mail, as its reader's program follows it."""
        split = urlsplit(url)
        path = split.path + (f"?{split.query}" if split.query else "")
        answer = await self.call(method, path, key="", follow_redirects=False, **more)
        assert answer.status_code < 400, answer.text
        return answer

    async def behind(self) -> int:
        """Items and commands on their way, all over the place; what is parked counts too."""
        asked = (
            self.client.get(f"{node.url}/", headers={"accept": "application/json"})
            for node in self.nodes
        )
        landings = [answer.json() for answer in await asyncio.gather(*asked)]
        modules = [module for landing in landings for module in landing["modules"]]
        return sum(
            module["due"]
            + module["parked"]
            + sum(
                (1 if s["behind"] is None else s["behind"]) + s["waiting"] + s["parked"]
                for s in module["subscriptions"]
            )
            for module in modules
        )


@asynccontextmanager
async def nodes(
    topology: Topology,
    kind: str,
    folder: Path,
    sink: Sink,
    *,
    wires: Callable[[Sequence[int]], Sequence[Wire | None]] = lambda ports: [None] * len(ports),
    sources: Mapping[str, Path] = {},
    **more: str,
) -> AsyncIterator[Nodes]:
    """The product, started and ready; *wires* makes what stands before each process, from the
    ports of all. *sources* are the trees of modules that do not run this one's code. *more* are
    settings of all processes."""
    async with AsyncExitStack() as stack:
        made: list[Node] = []
        ports = [servers.free_port() for _ in topology]
        for modules, port, wire in zip(topology, ports, wires(ports), strict=True):
            seen = await stack.enter_async_context(before(wire)) if wire else port
            home = folder / modules[0]
            home.mkdir(parents=True)
            source = sources.get(modules[0], ROOT)
            database = await asyncio.to_thread(_database, kind, home, source)
            url = f"http://127.0.0.1:{seen}"
            stores = _stores(modules, home)
            made.append(Node(modules, port, url, database, stores, {}, home / "log", source, wire))
        urls = {module: node.url for node in made for module in node.modules}
        for node in made:
            node.environment = {**_environment(node, urls, sink), **more}
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30, limits=KEPT))
        platform = Nodes(made, client)
        try:
            await platform.start()
            yield platform
        finally:
            platform.stop()


def _database(kind: str, home: Path, source: Path) -> str:
    """A database that fits the code of *source*, which alone knows how to make it."""
    if source == ROOT:
        return databases.fresh(kind, databases.product(), home)
    url = servers.fresh_database() if kind == "postgresql" else f"sqlite:///{home / 'databases'}"
    subprocess.run(
        [sys.executable, "-m", "martech", "migrate"],
        env={**os.environ, "PYTHONPATH": str(source / "src"), "MARTECH_DATABASE_URL": url},
        cwd=home,
        check=True,
        capture_output=True,
    )
    return url


def _stores(modules: Sequence[str], home: Path) -> dict[str, str]:
    return {
        module.name: f"{engine}:///{home / module.name}.{engine}"
        for module in databases.product()
        for engine in list(module.engines)[:1]
        if module.name in modules
    }


def _environment(node: Node, urls: Mapping[str, str], sink: Sink) -> dict[str, str]:
    peers = {name: url for name, url in urls.items() if name not in node.modules}
    stores = {f"MARTECH_{name.upper()}_STORE_URL": url for name, url in node.stores.items()}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MARTECH_")},
        **stores,
        "PYTHONPATH": str(node.source / "src"),
        "COLUMNS": "1000",
        "MARTECH_DATABASE_URL": node.database,
        "MARTECH_PORT": str(node.port),
        "MARTECH_MODULES": ",".join(node.modules),
        "MARTECH_PEERS": ",".join(f"{name}={url}" for name, url in peers.items()),
        "MARTECH_PEER_SECRET": SECRET,
        "MARTECH_PUBLIC_URL": urls["delivery"],
        "MARTECH_DELIVERY_SMTP_URL": f"smtp://{sink.host}:{sink.port}?tls=none",
        "MARTECH_DELIVERY_SENDER": "Shop <news@shop.example>",
        "MARTECH_LOG_LEVEL": "info",
    }


def _shows(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def _key(prefix: str, said: str) -> str:
    found = re.search(rf"{prefix}[\w-]+", said)
    assert found, f"no {prefix} key was printed:\n{said}"
    return found[0]


def owner(path: str) -> str:
    """The module that serves *path*: its own under ``/<module>/v1``, else a protocol's."""
    first = path.split("/")[1]
    if first in installed():
        return first
    return _protocols()[first]


def _protocols() -> dict[str, str]:
    """The first step of each path that a protocol fixes, and the module that serves it."""
    host = Host(databases.product(), Settings())
    found: dict[str, str] = {}
    for module in host.modules.values():
        for router in routes(host, module, Keyring()):
            found |= dict.fromkeys(_steps(router), module.name)
    return found


def _steps(router: Router) -> set[str]:
    return {route.path.split("/")[1] for route in router.routes} - set(installed())
