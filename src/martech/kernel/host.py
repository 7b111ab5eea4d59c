"""A host runs some of the modules. All of them in one process is the monolith.

`Host` opens their databases, makes their services and answers their ports. It belongs to the
event loop that opened it; a process that has two loops has two hosts and one `Process`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Protocol, Self
from uuid import UUID

from martech.kernel import outbox, resources, telemetry
from martech.kernel.asking import Asking, refuse_late
from martech.kernel.auth import Principal
from martech.kernel.clock import Clock, SystemClock
from martech.kernel.cursors import UNKNOWN, Cursors
from martech.kernel.db import Database, Transaction
from martech.kernel.feeds import Feed
from martech.kernel.feeds.brokers import broker
from martech.kernel.feeds.http import HttpFeed
from martech.kernel.feeds.local import LocalFeed
from martech.kernel.files import face, faces, installed
from martech.kernel.grouping import Groups
from martech.kernel.messages import is_issuer, is_read, owner
from martech.kernel.module import ManifestError, Module, Subscription
from martech.kernel.outbox import Origin, Publisher
from martech.kernel.process import Process
from martech.kernel.remote import Peer, RemotePort
from martech.kernel.settings import Settings, SettingsError, shown
from martech.kernel.store import Engine, StoredCursors

HERE_OR_THERE = "Add it to MARTECH_MODULES, or say in MARTECH_PEERS where it is."
ONLY_THERE = "Its code is elsewhere: say in MARTECH_PEERS where it runs."


class LocalPort:
    """A module of this host, asked as if it were remote: in a unit of work of its own.

    *asking* is on whose behalf it is asked, if on anybody's.
    """

    def __init__(self, host: "Host", port: type, asking: Asking | None, tenant: UUID) -> None:
        self._host, self._port, self._asking, self._tenant = host, port, asking, tenant
        self._name = owner(port)

    def __getattr__(self, method: str) -> Any:
        write = not is_read(getattr(self._port, method))

        async def call(*args: Any, **kwargs: Any) -> Any:
            refuse_late(self._asking, f"{self._name}.{method}")
            principal = self._asking.principal if self._asking else None
            named = {"rpc.service": self._name, "rpc.method": method}
            with telemetry.span(f"{self._name}.{method}", "internal", named):
                origin = (self._asking.origin if self._asking else Origin()).here()
                async with self._host.unit(
                    self._name, self._tenant, write=write, principal=principal, origin=origin
                ) as service:
                    return await getattr(service, method)(*args, **kwargs)

        return call


class Host:
    def __init__(
        self,
        modules: Sequence[Module],
        settings: Settings,
        *,
        clock: Clock | None = None,
        process: Process | None = None,
        publisher: Publisher | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.process = process or Process()
        self.modules = {module.name: module for module in modules}
        self.peers = {
            name: Peer(name, url, settings.peer_secret)
            for name, url in settings.peers.items()
            if name not in self.modules
        }
        self._check()
        self.databases = {
            module.name: Database(
                settings.database_of(module.name),
                module.tables,
                clock=self.clock,
                process=self.process,
                publisher=publisher,
                inward=[job.command for job in module.jobs if job.inward],
            )
            for module in modules
        }
        self.resources: dict[str, dict[type, object]] = {}
        self.stores: dict[str, Engine] = {}
        """The engines of modules that have one; shared with the other hosts of the process."""

        self.broker = broker(settings.broker_url) if settings.broker_url else None
        self._feeds: dict[str, Feed] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for peer in self.peers.values():
            self._stack.push_async_callback(peer.close)
            self._stack.enter_context(self.process.calls.watching(peer))
        if self.broker:
            self._stack.push_async_callback(self.broker.close)
        for name, module in self.modules.items():
            self._stack.push_async_callback(self.databases[name].close)
            if module.store:
                self._open_store(module)
            self.resources[name] = self._make(module)
            for resource in self.resources[name].values():
                self._stack.push_async_callback(resources.close, resource)
        for name, module in self.modules.items():
            for subscription in module.subscriptions:
                await self._subscribe(name, subscription)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def feed(self, name: str) -> Feed:
        """What module *name* has said."""
        if name in self.databases:
            return self.record(name)
        if name not in self._feeds:
            record = self.record(name)
            feed = self._feeds[name] = self.broker.feed(record) if self.broker else record
            self._stack.push_async_callback(feed.close)
        return self._feeds[name]

    def record(self, name: str) -> Feed:
        """The outbox of module *name* itself, past any broker, which may forget."""
        if name in self.databases:
            return LocalFeed(self.databases[name])
        return HttpFeed(name, self.peers[name])

    async def told(self, name: str) -> int:
        """The last position of what module *name*, which is hosted here, has said."""
        database = self.databases[name]
        async with database.across(write=False) as connection:
            return await outbox.last(connection, database.metadata)

    def issuer(self) -> Feed | None:
        """The outbox that tells of keys, if its module is hosted here or by a peer."""
        names = [name for name, module in self.modules.items() if module.issuer]
        names += [name for name in self.peers if name in faces() and is_issuer(face(name))]
        return self.record(names[0]) if names else None

    def port(self, port: type, tenant: UUID, asking: Asking | None = None) -> Any:
        """Whoever answers *port*, for *tenant*; *asking* is on whose behalf."""
        name = owner(port)
        if name in self.modules:
            return LocalPort(self, port, asking, tenant)
        return RemotePort(self.peers[name], port, tenant, asking, self.process.calls)

    def service(self, name: str, tx: Transaction, store: object = None) -> Any:
        """The module's service in *tx*, with the ports it asks and its store: the engine, unless
        it is to write in one of the engine's transactions, *store*."""
        module = self.modules[name]
        given = {key: self.port(port, tx.tenant, tx) for key, port in module.needs.items()}
        if module.stored_as:
            given[module.stored_as] = store or self.stores[name]
        return module.service(tx, **given)

    def cursors(self, name: str, subscription: Subscription) -> Cursors:
        """Where a subscription of module *name* keeps its place."""
        metadata = self.databases[name].metadata
        if self.modules[name].store:
            return StoredCursors(metadata, subscription.name, lambda: self.stores[name])
        return Cursors(metadata, subscription.name)

    @asynccontextmanager
    async def unit(
        self,
        name: str,
        tenant: UUID,
        *,
        write: bool = True,
        principal: Principal | None = None,
        origin: Origin | None = None,
    ) -> AsyncIterator[Any]:
        """One unit of work: a module's service in a transaction of one tenant."""
        database = self.databases[name]
        async with database.transaction(
            tenant, write=write, principal=principal, origin=origin
        ) as tx:
            yield self.service(name, tx)

    async def _subscribe(self, name: str, subscription: Subscription) -> None:
        """Give a new subscription its cursor, before anything can be told behind its back. Where a
        peer's outbox ends is asked when it is first heard: it may be away now."""
        head = UNKNOWN
        if subscription.source in self.modules:
            head = await self.feed(subscription.source).head(list(subscription.types))
        database = self.databases[name]
        async with database.across() as connection:
            await self.cursors(name, subscription).create(connection, head)

    def _open_store(self, module: Module) -> None:
        url = self.settings.store_of(module.name, next(iter(module.engines)))
        engine = module.engines.get(url.partition(":")[0])
        wrong = f"MARTECH_{module.name.upper()}_STORE_URL is {shown(url)!r}"
        if engine is None:
            raise SettingsError(f"{wrong}; it must begin with {' or '.join(module.engines)}://.")
        try:
            self.stores[module.name] = self.process.stores.take(url, engine)
        except ValueError as exc:
            raise SettingsError(f"{wrong}: {exc}") from None
        self._stack.push_async_callback(self.process.stores.leave, url)

    def _make(self, module: Module) -> dict[type, object]:
        groups = Groups(self.databases[module.name], partial(self.service, module.name))
        self._stack.push_async_callback(groups.close)
        given: dict[type, object] = {
            Groups: groups,
            Clock: self.clock,
            Settings: self.settings,
            Process: self.process,
        }
        if module.settings is not None:
            given[module.settings] = self.settings.of(module.settings)
        return resources.make(module, given)

    def _check(self) -> None:
        """Whatever is missing, say so now and not at the first request."""
        for name, module in self.modules.items():
            module.check()
            resources.check(module)
            for port in module.needs.values():
                self._check_port(name, port)
            for job in module.jobs:
                for kind in job.takes.values():
                    if kind not in module.resources:
                        self._check_port(f"{name}.{job.run.__name__}", kind)
            for subscription in module.subscriptions:
                if not self.reaches(subscription.source):
                    raise ManifestError(
                        f"{name}.{subscription.name} listens to {subscription.source}, which is "
                        f"not hosted here. {_cure(subscription.source)}"
                    )

    def _check_port(self, who: str, kind: type) -> None:
        if Protocol not in getattr(kind, "__bases__", ()):
            raise ManifestError(f"{who} takes {kind}, which is neither a port nor a resource.")
        if not self.answers(kind):
            missing = owner(kind)
            raise ManifestError(f"{who} asks {missing}, which is not hosted here. {_cure(missing)}")

    def reaches(self, name: str) -> bool:
        """Whether module *name* runs here, or it is known where it does."""
        return name in self.modules or name in self.peers

    def answers(self, kind: object) -> bool:
        """Whether *kind* is a port that can be asked here."""
        if not isinstance(kind, type):
            return False
        name = owner(kind)
        if name in self.modules:
            return self.modules[name].port is kind
        return name in self.peers and Protocol in kind.__bases__


def _cure(missing: str) -> str:
    """Whoever is known by a contract alone cannot be added."""
    return ONLY_THERE if missing in faces() and missing not in installed() else HERE_OR_THERE
