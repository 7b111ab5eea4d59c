"""The composition root: from settings to a running application."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from litestar.types import ASGIApp

from martech import __version__
from martech.kernel import migrate
from martech.kernel.auth import Follower, Keyring
from martech.kernel.auth.revocation import NEWS_TYPES
from martech.kernel.bus import Bus
from martech.kernel.clock import Clock
from martech.kernel.db.engines import is_sqlite, sqlite_file
from martech.kernel.feeds.relay import Relays
from martech.kernel.files import alone, faces, installed
from martech.kernel.host import Host
from martech.kernel.http import server
from martech.kernel.http.application import application, described
from martech.kernel.http.front import Front
from martech.kernel.http.health import Pulse
from martech.kernel.jobs import Jobs
from martech.kernel.module import Module
from martech.kernel.process import Process
from martech.kernel.settings import Settings, SettingsError
from martech.kernel.telemetry import recording

log = logging.getLogger(__name__)


def load(names: Sequence[str]) -> list[Module]:
    """The manifests of *names*. Raises `SettingsError` for one that is not installed."""
    there = installed()
    for name in names:
        if name not in there and name in faces():
            raise SettingsError(
                f"{name} has left: only its contract is here. Say this where its code is now, or "
                "bring that back first (`git revert` of its removal)."
            )
        if name not in there:
            raise SettingsError(f"There is no module {name!r}; installed are {', '.join(there)}.")
    return [import_module(f"martech.modules.{name}.module").module for name in names]


def settings_of(env: Mapping[str, str]) -> Settings:
    """The kernel's settings and every installed module's. Raises `SettingsError`."""
    known = {module.name: module.settings for module in load(installed())}
    settings = Settings.from_env(env, known)
    for peer in settings.peers:
        if peer not in faces():
            raise SettingsError(
                f"MARTECH_PEERS names {peer}, which has no contract here: {', '.join(faces())} do."
            )
    return settings


def warnings(settings: Settings) -> list[str]:
    """What a person should know before the hosted modules begin, by their own settings."""
    own = [settings.of(module.settings) for module in hosted(settings) if module.settings]
    asked = [each.warning(settings.public) for each in own if hasattr(each, "warning")]
    return [said for said in asked if said]


def _warn(settings: Settings) -> None:
    for warning in warnings(settings):
        log.warning(warning)


def hosted(settings: Settings) -> list[Module]:
    """The modules that this process is to run: those it is told, or all that no peer runs."""
    return load(settings.modules or [name for name in installed() if name not in settings.peers])


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    process: Process | None = None,
    pulse: Pulse | None = None,
    modules: Sequence[Module] | None = None,
) -> ASGIApp:
    """What uvicorn serves: every hosted module's routes, and what any host answers.

    *process* is shared with the bus in the other thread, *pulse* is how it shows that it lives.
    Raises `ManifestError` or `SettingsError` if something does not fit together.
    """
    host = Host(modules or hosted(settings), settings, clock=clock, process=process)
    keyring = Keyring(settings.issuer_keys)
    follower = Follower(keyring, host.issuer(), host.clock, snapshot=settings.key_snapshot)
    return application(host, keyring, follower, pulse, front=front())


def front() -> Front:
    """The page at `/`: static files that speak to the REST API of every module there is."""
    return Front(files("martech").joinpath("console"))


def describe(modules: Sequence[str] = ()) -> dict[str, Any]:
    """The OpenAPI document of a host with *modules*, or every one that is installed. Opens no
    database, and asks nobody: of modules that live elsewhere it is enough that they could be."""
    here = modules or installed()
    elsewhere = {name: "http://peer.invalid" for name in faces() if name not in here}
    return described(Host(load(here), Settings(peers=elsewhere)))


@asynccontextmanager
async def opened(
    settings: Settings, process: Process | None = None, modules: Sequence[Module] | None = None
) -> AsyncIterator[Host]:
    """A host of *modules*, or of all of *settings*, for as long as it is needed."""
    async with Host(modules or hosted(settings), settings, process=process) as host:
        yield host


async def check(settings: Settings) -> None:
    """Raise `DatabaseUnfit` unless every module's schema is what this code needs, and its data
    lives there. Changes nothing."""
    for module in hosted(settings):
        await migrate.check(module, settings.database_of(module.name))


async def prepare(settings: Settings) -> None:
    """Raise `DatabaseUnfit` or `Unavailable` unless every module's schema and store are what this
    code needs.

    Nothing is ever migrated here, but for one case: SQLite files of which none is there yet.
    """
    with _alone(settings):
        await _prepare(settings)


async def _prepare(settings: Settings) -> None:
    modules = [(module, settings.database_of(module.name)) for module in hosted(settings)]
    if not any(_is_there(url, module.name) for module, url in modules):
        for module, url in modules:
            await migrate.upgrade(module, url)
    await check(settings)
    for module, _ in modules:
        await _try_store(module, settings)


async def _try_store(module: Module, settings: Settings) -> None:
    """Open it once: somebody else's, or one that another process holds, is said now."""
    if module.store:
        async with Host([replace(module, subscriptions=())], settings) as host:
            await host.stores[module.name].place("")


def _is_there(url: str, module: str) -> bool:
    return not is_sqlite(url) or sqlite_file(url, module).exists()


async def is_unused(host: Host) -> bool:
    """Whether nobody has ever been given a key by the issuer hosted here."""
    feed = host.issuer() if any(module.issuer for module in host.modules.values()) else None
    return feed is not None and not await feed.read(after=0, types=list(NEWS_TYPES), items=1)


async def work(
    settings: Settings, process: Process | None = None, modules: Sequence[Module] | None = None
) -> None:
    """Bus and jobs, and relays where there is a broker, until cancelled; then what has begun is
    finished. SQLite files are this process's alone (`serve` sees to that)."""
    async with opened(settings, process, modules) as host, asyncio.TaskGroup() as tasks:
        alone = {name for name in host.modules if is_sqlite(settings.database_of(name))}
        tasks.create_task(Bus(host).run(), name="bus")
        tasks.create_task(Jobs(host).run(alone), name="jobs")
        if host.broker:
            relays = Relays(host.databases, host.broker, host.process.signals)
            tasks.create_task(relays.run(), name="relays")
        await asyncio.Event().wait()  # some modules hear nothing and have nothing to do


def serve(
    settings: Settings,
    *,
    http_only: bool,
    started: Callable[[], None],
    modules: Sequence[Module] | None = None,
) -> int:
    """HTTP, and bus and jobs beside it, until SIGTERM; the exit code.

    *modules* are those of *settings*, unless given (a benchmark adds one of its own).

    Raises `SettingsError` if the work is to be done elsewhere and the databases cannot be shared.
    """
    if http_only:
        _refuse_unshareable(settings)
    _warn(settings)
    with (
        _alone(settings),
        server.listening(settings) as listener,
        recorded(settings) as process,
    ):
        pulse = Pulse()
        beside = None if http_only else partial(work, settings, process, modules)
        shown = None if http_only else pulse
        app = create_app(settings, process=process, pulse=shown, modules=modules)
        return server.serve(app, settings, listener, process, started, beside, pulse)


@contextmanager
def recorded(settings: Settings) -> Iterator[Process]:
    """A process whose spans go to the collector of *settings*, if there is one."""
    names = [module.name for module in hosted(settings)]
    endpoint, ratio = settings.otlp_endpoint, settings.trace_ratio
    with recording(endpoint, ratio, modules=names, version=__version__) as recorder:
        yield Process(recorder)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """SQLite files are one process's: two that deliver from the same ones would each do half."""
    urls = [(settings.database_of(module.name), module.name) for module in hosted(settings)]
    try:
        with alone(_folders(urls)):
            yield
    except ValueError as exc:
        raise SettingsError(str(exc)) from None


def _folders(urls: Sequence[tuple[str, str]]) -> list[Path]:
    return [sqlite_file(url, name).parent for url, name in urls if is_sqlite(url)]


def work_alone(settings: Settings) -> int:
    """Bus and jobs in a process of their own, until SIGTERM; the exit code."""
    _refuse_unshareable(settings)
    _warn(settings)
    with recorded(settings) as process:
        return server.work_alone(partial(work, settings, process))


def _refuse_unshareable(settings: Settings) -> None:
    for module in hosted(settings):
        if is_sqlite(settings.database_of(module.name)):
            raise SettingsError(
                f"{module.name} is kept in SQLite, and serving and working apart needs PostgreSQL. "
                "Set MARTECH_DATABASE_URL, or run `martech serve`, which does both."
            )
        scheme = settings.store_of(module.name, next(iter(module.engines), "")).partition(":")[0]
        if scheme in module.engines and not module.engines[scheme].shareable:
            raise SettingsError(
                f"The store of {module.name} is a {scheme} file, which lets one process in. Run "
                "`martech serve`, which serves and works, or leave that module out "
                "(MARTECH_MODULES names those that are hosted)."
            )
