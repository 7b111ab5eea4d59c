"""Whether this process is alive, whether it can serve, and its numbers."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from time import monotonic

import msgspec
from litestar import Response, Router, get
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from martech.kernel import migrate
from martech.kernel.admission import Admission
from martech.kernel.auth import Keyring
from martech.kernel.errors import Error
from martech.kernel.host import Host
from martech.kernel.http.mounted import Mounted
from martech.kernel.migrate import DatabaseUnfit
from martech.kernel.standing import ModuleStanding, Standing
from martech.kernel.telemetry import RequestTimes

LONGEST_LOOK = 5.0
"""Seconds in which a store is to answer."""

UNHEARD = "Nobody's key can be verified: it was not heard yet who issues them."
SILENT = "The store does not answer."


class Pulse:
    """Set by a loop that works beside this one, so that its standstill can be seen."""

    LONGEST = 10.0
    """Seconds without a beat after which the loop counts as standing still."""

    def __init__(self) -> None:
        self.beaten = monotonic()
        self.stopping = False

    def beat(self) -> None:
        self.beaten = monotonic()

    def age(self) -> float:
        return monotonic() - self.beaten


class Readiness(msgspec.Struct, frozen=True):
    ready: bool
    checks: dict[str, str]
    """What was looked at, and ``ok`` or what is wrong with it."""


class Readier:
    def __init__(self, host: Host, keyring: Keyring, pulse: Pulse | None) -> None:
        self._host = host
        self._keyring = keyring
        self._pulse = pulse
        self._migrated: set[str] = set()
        self._asking: dict[str, asyncio.Task[str]] = {}
        """Which stores are being asked. One that hangs holds a thread; so nobody asks it again
        before it has answered."""

    async def look(self) -> Readiness:
        checks = {name: await self._database(name) for name in self._host.modules}
        checks |= {f"{name}.store": await self._store(name) for name in self._host.stores}
        checks["keys"] = "ok" if self._keyring.knows_somebody else UNHEARD
        if self._pulse is not None:
            age = self._pulse.age()
            checks["bus"] = "ok" if age < Pulse.LONGEST else f"stands still for {age:.0f} s"
            if self._pulse.stopping:
                checks["process"] = "is stopping"
        return Readiness(all(said == "ok" for said in checks.values()), checks)

    async def _store(self, name: str) -> str:
        asking = self._asking.get(name)
        if asking is None or asking.done():
            asking = self._asking[name] = asyncio.create_task(self._ask(name))
        try:
            async with asyncio.timeout(LONGEST_LOOK):
                return await asyncio.shield(asking)
        except TimeoutError:
            return SILENT

    async def _ask(self, name: str) -> str:
        try:
            await self._host.stores[name].check()
        except (Error, OSError):
            return SILENT
        return "ok"

    async def _database(self, name: str) -> str:
        database = self._host.databases[name]
        try:
            if name not in self._migrated:
                await migrate.check(self._host.modules[name], database.url)
                self._migrated.add(name)
            async with database.unit(write=False) as unit:
                await unit.across(select(1))
        except DatabaseUnfit as unfit:
            return str(unfit)
        except (Error, OSError, SQLAlchemyError):
            return "The database does not answer."
        return "ok"


class Numbers(Collector):
    """The standing of the last look, as gauges."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self.modules: list[ModuleStanding] = []
        self.now: datetime | None = None
        self.admission: Admission | None = None

    def collect(self) -> Iterable[Metric]:
        heard = _gauge("bus_source_available", "Whether a subscription's source answers.", _WHICH)
        behind = _gauge("bus_behind_items", "Items a subscription has yet to handle.", _WHICH)
        waiting = _gauge("bus_waiting_items", "Items set aside, to be tried again.", _WHICH)
        parked = _gauge("bus_parked_items", "Items set aside for a person.", _WHICH)
        told = _gauge("outbox_head", "The last position of an outbox.", ["module"])
        due = _gauge("commands_due", "Commands whose time has come.", ["module"])
        failed = _gauge("commands_parked", "Commands that failed to the end.", ["module"])
        up = _gauge("module_available", "Whether a module's database answers.", ["module"])
        for module in self.modules:
            up.add_metric([module.name], float(module.available))
            if not module.available:
                continue
            told.add_metric([module.name], module.told)
            due.add_metric([module.name], module.due)
            failed.add_metric([module.name], module.parked)
            for subscription in module.subscriptions:
                labels = [subscription.name, subscription.source]
                heard.add_metric(labels, float(subscription.behind is not None))
                if subscription.behind is not None:
                    behind.add_metric(labels, subscription.behind)
                waiting.add_metric(labels, subscription.waiting)
                parked.add_metric(labels, subscription.parked)
        yield from (heard, behind, waiting, parked, told, due, failed, up)
        yield from self._of_this_process()

    def _of_this_process(self) -> Iterable[Metric]:
        age = self.keyring.age(self.now) if self.now else None
        if age is not None:
            yield GaugeMetricFamily(
                "martech_key_list_age_seconds",
                "How old the knowledge of revoked keys is.",
                value=age.total_seconds(),
            )
        if self.admission is not None:
            yield GaugeMetricFamily(
                "martech_http_inside", "Requests in progress.", value=self.admission.inside
            )
            yield GaugeMetricFamily(
                "martech_http_shed", "Requests told to come back.", value=self.admission.shed
            )


_WHICH = ["subscription", "source"]


def _gauge(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"martech_{name}", text, labels=labels)


def health_routes(
    host: Host, standing: Standing, numbers: Numbers, times: RequestTimes, pulse: Pulse | None
) -> Router:
    readier = Readier(host, numbers.keyring, pulse)
    registry = CollectorRegistry()
    registry.register(numbers)
    registry.register(times)
    registry.register(host.process.calls)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)

    @get("/health/live", opt={"public": True}, sync_to_thread=False)
    def live() -> dict[str, bool]:
        return {"live": True}

    @get("/health/ready", opt={"public": True})
    async def ready() -> Response[Readiness]:
        readiness = await readier.look()
        return Response(readiness, status_code=200 if readiness.ready else 503)

    @get("/metrics", opt={"public": True})
    async def metrics() -> Response[bytes]:
        numbers.modules, numbers.now = await standing.look(), host.clock.now()
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    return Mounted(path="/", route_handlers=[live, ready, metrics], include_in_schema=False)
