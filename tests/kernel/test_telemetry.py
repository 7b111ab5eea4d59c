"""Which span comes of which: what is written in rows is told on both databases, and everything is
asked of a collector that decodes what it is sent."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from uuid import UUID, uuid4

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from martech.kernel import telemetry
from martech.kernel.bus import Bus
from martech.kernel.grouping import Groups
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.messages import Command
from martech.kernel.module import job
from martech.kernel.outbox import Origin, Recorded
from martech.kernel.process import Process
from martech.kernel.settings import Settings
from martech.kernel.telemetry.export import Exporter
from tests import databases, servers
from tests.kitchen import order
from tests.sample.kitchen.domain import Bake, Deliver
from tests.sample.kitchen.jobs import bake
from tests.sample.kitchen.module import module as kitchen_module
from tests.sample.kitchen.service import KitchenService
from tests.sample.shop.service import ShopService
from tests.serving import Served, serve
from tests.sinks.otlp import Collector, Exported, collector, exporting

pytestmark = pytest.mark.anyio

TENANT = uuid4()
one_is_enough = pytest.mark.parametrize("kind", ["sqlite"])


def parent(number: int, *, sampled: bool = True) -> str:
    """Of a trace of its own."""
    return f"00-{number:032x}-{number:016x}-{'01' if sampled else '00'}"


@pytest.fixture
async def heard() -> AsyncIterator[Collector]:
    async with collector() as made:
        yield made


@asynccontextmanager
async def recorded(url: str, heard: Collector, ratio: float = 0.0) -> AsyncIterator[Host]:
    async with exporting(heard.url, ratio) as exporter:
        settings = Settings(database_url=url)
        async with Host(databases.SAMPLE, settings, process=Process(exporter)) as host:
            yield host


async def sell(host: Host, number: int, traceparent: str | None) -> None:
    origin = Origin(UUID(int=number), None, traceparent)
    async with host.unit("shop", TENANT, origin=origin) as shop:
        await shop.sell([number])


def ids(span: Exported) -> tuple[str, str]:
    return span.trace, span.id


async def told(host: Host) -> list[Recorded]:
    return await host.feed("shop").read(after=0, types=["shop.sold.v1"])


async def test_what_is_heard_comes_of_what_was_told(sample_url: str, heard: Collector) -> None:
    async with recorded(sample_url, heard) as host:
        await sell(host, 7, parent(7))
        await Bus(host).settle()
    (sent,), (processed,) = heard.named("send shop.sold.v1"), heard.named(PROCESS)
    assert (sent.trace, sent.parent, sent.kind) == (f"{7:032x}", f"{7:016x}", "producer")
    assert (processed.trace, processed.parent, processed.kind) == (*ids(sent), "consumer")
    assert processed.links == []
    assert processed.attributes["martech.tenant"] == str(TENANT)
    assert processed.attributes["messaging.batch.message_count"] == 1


PROCESS = "process ledger.write_sales_down"


async def test_where_traces_meet_none_is_the_parent_of_all(
    sample_url: str, heard: Collector
) -> None:
    async with recorded(sample_url, heard) as host:
        for number, sampled in ((1, True), (2, False), (3, True)):
            await sell(host, number, parent(number, sampled=sampled))
        await sell(host, 4, None)
        await Bus(host).settle()
    sent = heard.named("send shop.sold.v1")
    (processed,) = heard.named(PROCESS)
    assert processed.parent == ""
    assert processed.trace not in {span.trace for span in sent}
    assert sorted(processed.links) == sorted(map(ids, sent))
    assert len(sent) == 2


async def test_one_trace_told_twice_is_still_one(sample_url: str, heard: Collector) -> None:
    async with recorded(sample_url, heard) as host:
        await sell(host, 1, parent(9))
        await sell(host, 2, parent(9))
        await Bus(host).settle()
    first, second = heard.named("send shop.sold.v1")
    (processed,) = heard.named(PROCESS)
    assert (processed.trace, processed.parent) == ids(first)
    assert processed.links == [ids(second)]


async def test_who_hears_one_at_a_time_does_each_in_its_own_trace(
    sample_url: str, heard: Collector
) -> None:
    async with recorded(sample_url, heard) as host:
        for number in (1, 2):
            origin = Origin(None, None, parent(number))
            async with host.unit("shop", TENANT, origin=origin) as shop:
                await shop.change_price(f"article {number}")
        await Bus(host).settle()
    sent = heard.named("send shop.price_changed.v1")
    processed = heard.named("process ledger.write_price_down")
    assert [(span.trace, span.parent) for span in processed] == [ids(span) for span in sent]
    assert [span.links for span in processed] == [[], []]


async def test_what_nobody_samples_is_passed_on_as_it_came(
    sample_url: str, heard: Collector
) -> None:
    async with recorded(sample_url, heard) as host:
        await sell(host, 1, parent(1, sampled=False))
        await Bus(host).settle()
        (record,) = await told(host)
    assert record.traceparent == parent(1, sampled=False)
    assert heard.spans == []


async def test_a_commit_of_several_requests_is_linked_to_theirs(
    sample_url: str, heard: Collector
) -> None:
    async with recorded(sample_url, heard) as host:
        groups = Groups(host.databases["shop"], lambda tx: host.service("shop", tx))
        group = groups.of(ShopService.sell_each, linger=60.0, most=2)

        async def request(number: int) -> None:
            telemetry.current.set(telemetry.Trace(None, parent(number), host.process.recorder))
            await group.submit(TENANT, number)

        await asyncio.gather(request(1), request(2))
        await groups.close()
        (record,) = await told(host)
    (commit,), (sent,) = heard.named("shop: group commit"), heard.named("send shop.sold.v1")
    assert commit.parent == ""
    assert [trace for trace, _ in commit.links] == [f"{1:032x}", f"{2:032x}"]
    assert (sent.trace, sent.parent) == ids(commit)
    assert record.traceparent == f"00-{sent.trace}-{sent.id}-01"


async def test_a_job_and_what_it_asks_come_of_who_ordered_it(
    sample_url: str, heard: Collector
) -> None:
    async with recorded(sample_url, heard, ratio=1.0) as host:
        with telemetry.taking_up(host.process.recorder, "ordering", "internal", [], {}) as trace:
            origin = Origin(None, None, trace.traceparent)
            async with host.unit("kitchen", TENANT, origin=origin) as kitchen:
                await kitchen.order(Deliver(number=1))
        await Jobs(host).settle()
    (asked,) = heard.named("shop.stock")
    assert heard.path_to(asked) == [
        "ordering",
        "send kitchen.deliver.v1",
        "process kitchen.deliver.v1",
        "shop.stock",
    ]


class BakeTwice(Command, frozen=True):
    number: int


async def test_what_a_job_orders_comes_of_the_job(sample_url: str, heard: Collector) -> None:
    @job(BakeTwice, inward=True)
    async def bake_twice(command: BakeTwice, kitchen: KitchenService) -> None:
        await kitchen.order(Bake(number=1), Bake(number=2))

    modules = [replace(kitchen_module, jobs=[bake_twice, bake]), *databases.SAMPLE[:2]]
    async with exporting(heard.url, ratio=1.0) as exporter:
        settings = Settings(database_url=sample_url)
        async with Host(modules, settings, process=Process(exporter)) as host:
            with telemetry.taking_up(exporter, "ordering", "internal", [], {}) as trace:
                origin = Origin(None, None, trace.traceparent)
                async with host.unit("kitchen", TENANT, origin=origin) as service:
                    await service.order(BakeTwice(number=1))
            await Jobs(host).settle()
    baked = heard.named("process kitchen.bake.v1")
    assert [heard.path_to(span)[2:] for span in baked] == 2 * [
        ["process kernel.bake_twice.v1", "send kitchen.bake.v1", "process kitchen.bake.v1"]
    ]


async def test_a_job_that_fails_says_so_and_not_what_with(
    sample_url: str, heard: Collector
) -> None:
    async with recorded(sample_url, heard, ratio=1.0) as host:
        await order(host, Bake(number=-1))
        await Jobs(host).settle()
    (failed,) = heard.named("process kitchen.bake.v1")
    assert failed.failed
    assert failed.attributes["error.type"] == "ValueError"
    assert b"less than nothing" not in b"".join(heard.bodies)


async def test_a_port_writes_in_the_trace_of_who_asks(sample_url: str, heard: Collector) -> None:
    async with recorded(sample_url, heard, ratio=1.0) as host:
        with telemetry.taking_up(host.process.recorder, "asking", "internal", [], {}):
            async with host.unit("ledger", TENANT) as ledger:
                await ledger.stock_first()
    (asked,) = heard.named("shop.stock")
    assert heard.path_to(asked) == ["asking", "shop.stock"]
    assert asked.attributes["rpc.method"] == "stock"


@asynccontextmanager
async def answering(url: str, heard: Collector, ratio: float) -> AsyncIterator[Served]:
    async with exporting(heard.url, ratio) as exporter:
        settings = Settings(database_url=url)
        async with serve(databases.SAMPLE, settings, process=Process(exporter)) as served:
            yield served


@one_is_enough
async def test_a_request_is_named_by_its_route(sample_url: str, heard: Collector) -> None:
    async with answering(sample_url, heard, ratio=1.0) as served:
        await served.client.get("/shop/v1/stock?limit=7", headers=served.headers("shop:read"))
        await served.client.put("/shop/v1/prices/glass", headers=served.headers())
        await served.client.get("/nowhere/secret-name", headers=served.headers())
    stock, glass, nowhere = sorted(
        (span for span in heard.spans if span.kind == "server"), key=lambda span: span.began
    )
    assert (stock.name, stock.failed) == ("GET /shop/v1/stock", False)
    assert stock.attributes == {
        "http.request.method": "GET",
        "http.route": "/shop/v1/stock",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "martech.tenant": str(served.tenant),
    }
    assert (glass.failed, glass.attributes["error.type"]) == (True, "500")
    assert (nowhere.failed, nowhere.attributes["http.response.status_code"]) == (False, 404)
    said = b"".join(heard.bodies)
    assert not [word for word in (b"secret-name", b"glass", b"limit") if word in said]


@one_is_enough
async def test_who_asks_how_we_are_is_no_story(sample_url: str, heard: Collector) -> None:
    async with answering(sample_url, heard, ratio=1.0) as served:
        for path in ("/health/live", "/metrics", "/_outbox/shop/news"):
            await served.client.get(path)
        await served.client.get("/v1/ping")
    assert [span.name for span in heard.spans] == ["GET /v1/ping"]


async def test_a_collector_that_is_away_costs_spans_and_nothing_else(sample_url: str) -> None:
    nobody = f"http://127.0.0.1:{servers.free_port()}"
    async with exporting(nobody, ratio=1.0) as exporter:
        settings = Settings(database_url=sample_url)
        async with serve(databases.SAMPLE, settings, process=Process(exporter)) as served:
            for number in range(20):
                answer = await served.client.post(
                    "/shop/v1/sales", headers=served.headers(), json={"numbers": [number]}
                )
                assert answer.status_code == 201
            await Bus(served.host).settle()
            async with served.host.unit("ledger", served.tenant, write=False) as ledger:
                assert [number for _, number in await ledger.read()] == list(range(20))


async def test_a_collector_that_says_nothing_is_left_before_it_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        exporter = Exporter(f"http://127.0.0.1:{port}", 1.0, modules=["shop"], version="1")
        with telemetry.taking_up(exporter, "work", "internal", [], {}):
            pass
        leaving = asyncio.create_task(asyncio.to_thread(exporter.close))
        asked, _ = await asyncio.to_thread(silent.accept)
        with asked:
            await asyncio.to_thread(asked.recv, 1)
            await leaving
            asked.setblocking(False)
            with pytest.raises(BlockingIOError):  # the request is still under way
                while asked.recv(65_536):
                    continue


async def test_more_spans_than_a_queue_holds_are_dropped(
    heard: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "50")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "50")
    async with exporting(heard.url, ratio=1.0) as exporter:
        for number in range(1000):  # and nobody else has a turn on this loop meanwhile
            with telemetry.taking_up(exporter, f"work {number}", "internal", [], {}):
                continue
    assert 50 <= len(heard.spans) < 1000


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.5, 1.0])
async def test_everybody_samples_the_same_traces(ratio: float) -> None:
    dice, oracle = Random(4), TraceIdRatioBased(ratio)
    async with exporting("http://127.0.0.1:1", ratio) as exporter:
        for _ in range(2000):
            trace = dice.getrandbits(128) or 1
            theirs = oracle.should_sample(None, trace, "x").decision is Decision.RECORD_AND_SAMPLE
            assert exporter.samples(f"{trace:032x}") == theirs


async def test_a_process_says_who_it_is_unless_the_environment_does(
    heard: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def name(*modules: str) -> object:
        exporter = Exporter(heard.url, 1.0, modules=modules, version="1")
        with telemetry.taking_up(exporter, "work", "internal", [], {}):
            pass
        await asyncio.to_thread(exporter.close)
        return heard.spans[-1].process["service.name"]

    assert await name("shop", "ledger") == "martech"
    assert await name("shop") == "martech-shop"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "till")
    assert await name("shop") == "till"


def test_without_an_endpoint_nothing_of_the_export_is_loaded() -> None:
    loaded = "import martech.app"
    assert imported(loaded) == []
    assert "opentelemetry.exporter" in imported(f"{loaded}\nimport martech.kernel.telemetry.export")


def imported(statements: str) -> Sequence[str]:
    """What they load of the exporter. (The SDK itself is loaded by redis, if it is there.)"""
    wanted = "{'opentelemetry.exporter', 'google.protobuf', 'martech.kernel.telemetry.export'}"
    script = f"{statements}\nimport sys\nprint(*({wanted} & set(sys.modules)))"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return said.stdout.split()
