"""Mails to the mail server of postfix's own tests, which takes them and forgets them.

    python -m benchmarks.mails sqlite:////tmp/bench 2525 20000     the sender alone; prints JSON

`smtp-sink` and `smtp-source` come with postfix (`apt-get install --no-install-recommends postfix`;
nothing of it needs to run). The limit is `smtp-source` to the same sink, with as many connections.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import msgspec
import psutil
import uvloop

from benchmarks.platform import run
from benchmarks.questions import Answer
from martech.app import load
from martech.kernel import migrate
from martech.kernel.bus import Bus
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.settings import Settings
from martech.modules.content.contract import ContentPublished
from martech.modules.delivery.adapters.post import Post
from martech.modules.delivery.domain import writing
from martech.modules.delivery.domain.outcomes import Accepted, Outcome, Posted
from martech.modules.delivery.domain.settings import DeliverySettings
from martech.modules.delivery.service import writing as writer
from martech.modules.profiles.contract import Identity, ProfileChange
from tests import servers

T = TypeVar("T")

BAR = 1000
MAILS = int(os.environ.get("BENCH_MAILS", "20000"))
CONNECTIONS = 4
PLACES = (None, "/usr/sbin", "/usr/lib/postfix/sbin")
MISSING = "postfix's smtp-sink is not there; apt-get install --no-install-recommends postfix"

ROW = (
    '<tr><td style="font-family:Helvetica,Arial,sans-serif;font-size:14px;color:#333333;'
    'padding:10px 25px">For {{ profile.traits.name }}: a pair of boots, number %d</td>'
    '<td><a href="https://shop.example/boots/%d?from=mail&amp;to={{ profile.traits.city }}" '
    'style="color:#ffffff;background:#0b5c8a;padding:10px">Look</a></td></tr>'
)
HTML = (
    "<!doctype html><html><body><table>"
    + "".join(ROW % (number, number) for number in range(8))
    + '</table>{% if profile.traits.city == "Ulm" %}<p>Come by, we are in Ulm.</p>{% endif %}'
    '<p><a href="{{ unsubscribe_url }}">No more of these</a></p></body></html>'
)
TEXT = "Dear {{ profile.traits.name }},\n\nhttps://shop.example/boots\n\n{{ unsubscribe_url }}\n"


class Missing(Exception):
    """What is measured against is not on this machine; the message says how it gets there."""


def found(program: str) -> str:
    for place in PLACES:
        if path := shutil.which(program, path=place):
            return path
    raise Missing(MISSING)


@contextmanager
def smtp_sink() -> Iterator[int]:
    """Its port."""
    port = servers.free_port()
    sink = subprocess.Popen(
        [found("smtp-sink"), "-u", "nobody", f"127.0.0.1:{port}", "1024"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _listening(psutil.Process(sink.pid), port)
        yield port
    finally:
        sink.terminate()
        sink.wait(10)


def _listening(process: psutil.Process, port: int) -> None:
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        if any(c.laddr.port == port for c in process.net_connections() if c.status == "LISTEN"):
            return
        time.sleep(0.05)
    raise RuntimeError("smtp-sink did not start")


def limit(port: int, size: int) -> float:
    """Mails a second of *size* bytes that `smtp-source` gets rid of."""
    command = [found("smtp-source"), "-s", str(CONNECTIONS), "-m", str(MAILS), "-l", str(size)]
    addresses = ["-f", "news@shop.example", "-t", "ada@example.com", f"127.0.0.1:{port}"]
    began = time.perf_counter()
    subprocess.run([*command, *addresses], check=True, capture_output=True)
    return MAILS / (time.perf_counter() - began)


def measured(kind: str) -> dict[str, Any]:
    """What `main` prints, and the limit. Raises `Missing`."""
    with tempfile.TemporaryDirectory(prefix="martech-bench-") as folder, smtp_sink() as port:
        url = f"sqlite:///{folder}/data" if kind == "sqlite" else servers.fresh_database()
        said = run("benchmarks.mails", url, str(port), str(MAILS), environment=dict(os.environ))
        report: dict[str, Any] = json.loads(said)
        report["limit"] = round(limit(port, report["bytes"]))
        return report


def mails(kind: str, seconds: float) -> Answer:
    """From claim to settlement, `MAILS` of them however long that takes."""
    question = "mails rendered, claimed, sent and settled to postfix's smtp-sink"
    bar = f"≥ {BAR:,} mails/s a process"
    try:
        report = measured(kind)
    except Missing as exc:
        return Answer(question, kind, bar, f"not measured: {exc}", met=False)
    shares = report["microseconds_a_mail"]
    spent = ", ".join(f"{name} {part / sum(shares.values()):.0%}" for name, part in shares.items())
    return Answer(
        question,
        kind,
        bar,
        f"{report['mails_per_second']:,} mails/s ({spent})",
        report["mails_per_second"] >= BAR and report["delivered"] == MAILS,
        f"{report['limit']:,} mails/s (smtp-source, {CONNECTIONS} connections, same size)",
        report,
    )


# --- the sender ---------------------------------------------------------------------------------


class Spent:
    """CPU that named parts take, of functions that await nothing."""

    def __init__(self) -> None:
        self.seconds = Counter[str]()

    def on(self, name: str, function: Callable[..., T]) -> Callable[..., T]:
        def timed(*args: Any, **kwargs: Any) -> T:
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += time.thread_time() - began

        return timed


async def people(host: Host, tenant: UUID, count: int) -> list[UUID]:
    ids = [uuid4() for _ in range(count)]
    for start in range(0, count, 500):
        changes = [
            ProfileChange(
                profile_id=id_,
                traits={
                    "name": msgspec.Raw(b'"Person %d"' % number),
                    "city": msgspec.Raw(b'"Ulm"' if number % 3 else b'"Bonn"'),
                    "email": msgspec.Raw(b'"person-%d@example.com"' % number),
                },
                identities=[Identity("user_id", f"person-{number}")],
            )
            for number, id_ in enumerate(ids[start : start + 500], start)
        ]
        async with host.unit("delivery", tenant) as service:
            await service.remember(changes)
    return ids


async def prepared(host: Host, tenant: UUID, count: int) -> UUID:
    """A send to *count* people, complete and paused."""
    content_id, send_id = uuid4(), uuid4()
    published = ContentPublished(
        content_id=content_id,
        name="Winter",
        version=1,
        subject="{{ profile.traits.name }}, it is winter",
        html=HTML,
        text=TEXT,
        published_at=datetime.now(UTC),
    )
    async with host.unit("delivery", tenant) as service:
        await service.keep_content([published])
    async with host.unit("delivery", tenant) as service:
        await service.open_send(
            send_id,
            source="campaign:bench",
            occasion="1",
            name="Winter",
            content_id=content_id,
            content_version=1,
        )
    async with host.unit("delivery", tenant) as service:
        await service.pause_send(send_id)
    ids = await people(host, tenant, count)
    for start in range(0, count, 1000):
        async with host.unit("delivery", tenant) as service:
            await service.add_recipients(send_id, ids[start : start + 1000])
    async with host.unit("delivery", tenant) as service:
        await service.seal_send(send_id)
    return send_id


async def sent(host: Host, tenant: UUID, send_id: UUID) -> Any:
    """The send, when it is over."""
    async with host.unit("delivery", tenant) as service:
        await service.resume_send(send_id)
    while True:
        async with host.unit("delivery", tenant, write=False) as service:
            send = await service.send(send_id)
        if send.status == "completed":
            return send
        await asyncio.sleep(0.05)


async def smtp_alone(settings: DeliverySettings, mails: Sequence[Posted]) -> tuple[float, float]:
    """CPU and wall seconds of handing over what is made already."""
    post, told = Post(settings), Counter[type[Outcome]]()
    cpu, wall = time.process_time(), time.perf_counter()
    await post.send(mails, lambda _, outcome: told.update([type(outcome)]), within=600)
    spent = time.process_time() - cpu, time.perf_counter() - wall
    await post.close()
    assert told == {Accepted: len(mails)}, told
    return spent


def watched(spent: Spent, kept: list[Posted]) -> None:
    """Have the CPU of writing mails counted, and the mails kept."""

    def posted(**fields: Any) -> Posted:
        kept.append(Posted(**fields))
        return kept[-1]

    put: Any = writing
    put.build = spent.on("build", writing.build)
    put.rewrite = spent.on("build", writing.rewrite)
    put.Posted = posted
    put = writer
    put.write = spent.on("write", writing.write)


async def drained(host: Host, tenant: UUID, send_id: UUID) -> tuple[Any, float, float]:
    """The send when it is over, and the CPU and wall seconds it took."""
    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(each.run()) for each in (Bus(host), Jobs(host))]
        cpu, wall = time.process_time(), time.perf_counter()
        send = await sent(host, tenant, send_id)
        spent = time.process_time() - cpu, time.perf_counter() - wall
        for each in working:
            each.cancel()
    return send, *spent


async def main(url: str, port: int, count: int) -> None:
    modules = load(["tracking", "profiles", "content", "delivery"])
    for module in modules:
        await migrate.upgrade(module, url)
    own = DeliverySettings(
        smtp_url=f"smtp://127.0.0.1:{port}?tls=none",
        sender="Shop <news@shop.example>",
        connections=CONNECTIONS,
    )
    spent, kept, tenant = Spent(), list[Posted](), uuid4()
    watched(spent, kept)
    settings = Settings(database_url=url, of_modules={DeliverySettings: own})
    async with Host(modules, settings) as host:
        send_id = await prepared(host, tenant, count)
        send, cpu, wall = await drained(host, tenant, send_id)
    smtp, smtp_wall = await smtp_alone(own, kept[:count])
    each = 1e6 / count
    parts = {
        "render": (spent.seconds["write"] - spent.seconds["build"]) * each,
        "build": spent.seconds["build"] * each,
        "SMTP": smtp * each,
    }
    parts["database and the rest"] = cpu * each - sum(parts.values())
    report = {
        "mails_per_second": round(count / wall),
        "delivered": send.counts.delivered,
        "made": len(kept),
        "bytes": sum(len(mail.data) for mail in kept) // len(kept),
        "cpu_share": round(cpu / wall, 2),
        "microseconds_a_mail": {name: round(value) for name, value in parts.items()},
        "smtp_alone_per_second": round(count / smtp_wall),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measured"]:
        print(json.dumps(measured(sys.argv[2]), indent=2))
    else:
        uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
