"""Questions about the first story: how soon a segment knows, how fast a status is read."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.platform import ROOT, Platform, load, platform
from benchmarks.questions import Answer, percentile
from benchmarks.segments import conditions
from tests import servers

AUDIENCE = 20_000
APART = "access,tracking,profiles,content,personalization,delivery,campaigns"
"""Who can be served and worked apart: DuckDB lets one process in, so analytics cannot."""

RATE = 200
"""Mails a second while the status is read: it goes on for longer than the question."""


def entering(kind: str, seconds: float) -> Answer:
    """From an event's receipt to a listener that hears of the entry into a segment."""
    return _entering(kind, seconds, "access,tracking,profiles,personalization", "")


def entering_beside(kind: str, seconds: float) -> Answer:
    """The same, in a process that does everything else with the same events."""
    return _entering(kind, seconds, None, ", every module at work")


def _entering(kind: str, seconds: float, modules: str | None, beside: str) -> Answer:
    with platform(kind, modules=modules, counter=True) as running:
        made = [
            running.ask(
                "POST",
                "/personalization/v1/segments",
                {"name": f"segment {number}", "condition": condition},
            )
            for number, condition in enumerate(conditions())
        ]
        load_now = load(running, "newcomers", seconds=seconds, rate=50, connections=16)
        report = asyncio.run(load_now)
        running.caught_up()
        times = running.lags(f"entry {made[0]['id']}")  # that of everybody's first event
        before = percentile(running.lags("activity"), 0.99)
    p99 = percentile(times, 0.99)
    report["entries"], report["lag_p50_ms"] = sum(times.values()), percentile(times, 0.5)
    return Answer(
        f"event → SegmentChanged heard, 5,000 events/s, 50 segments{beside}",
        kind,
        "p99 ≤ 1 s",
        f"p50 {report['lag_p50_ms']} ms, p99 {p99} ms",
        p99 <= 1000 and not report["misses"] and report["entries"] > 0,
        limit=f"p99 {before} ms (the same events, heard from profiles by the same listener)",
        details=report,
    )


def status(kind: str, seconds: float) -> Answer:
    """A campaign's status, read as fast as it goes while its mails are sent."""
    return _status(kind, seconds)


def status_apart(kind: str, seconds: float) -> Answer:
    """The same, where `martech worker` sends them."""
    return _status(kind, seconds, APART, ", by a worker beside")


def _status(kind: str, seconds: float, modules: str | None = None, by: str = "") -> Answer:
    apart = modules is not None
    with (
        _sink() as port,
        platform(kind, modules=modules, apart=apart, settings=_mailing(port)) as running,
    ):
        path = _launched(running)
        before = running.get(path)["counts"]["sent"]
        report = asyncio.run(
            load(running, "get", seconds=seconds, path=path, key=running.secret_key, connections=8)
        )
        sent = running.get(path)["counts"]["sent"] - before
        bare = asyncio.run(load(running, "get", seconds=3, path="/health/live", connections=8))
    rate, p99 = report["requests_per_second"], report["p99_ms"]
    report["sent_meanwhile"] = sent
    times = f"p50 {report['p50_ms']} ms, p99 {p99} ms"
    return Answer(
        "a campaign's status, read as fast as it goes while its mails are sent"
        f"{by} (up to {RATE}/s)",
        kind,
        "≥ 2,000 reads/s, p99 ≤ 10 ms",
        f"{rate:,.0f} reads/s, {times}; {sent / seconds:.0f} mails/s",
        rate >= 2000 and p99 <= 10 and sent > 0 and not report["misses"],
        limit=f"{bare['requests_per_second']:,.0f} reads/s (/health/live, mails still being sent)",
        details=report,
    )


def _mailing(port: int) -> dict[str, str]:
    return {
        "MARTECH_DELIVERY_SMTP_URL": f"smtp://127.0.0.1:{port}?tls=none",
        "MARTECH_DELIVERY_SENDER": "Shop <news@shop.example>",
    }


@contextmanager
def _sink() -> Iterator[int]:
    port = servers.free_port()
    command = [sys.executable, "-m", "tests.sinks.smtp", "--port", str(port)]
    with tempfile.TemporaryDirectory(prefix="martech-bench-") as folder:
        log = ["--log", str(Path(folder) / "mails.jsonl")]
        sink = subprocess.Popen([*command, *log], cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            yield port
        finally:
            sink.terminate()
            sink.wait(10)


def _launched(running: Platform) -> str:
    """The path of the status of a campaign that is being sent."""
    people = [_person(number) for number in range(AUDIENCE)]
    for start in range(0, AUDIENCE, 500):
        body = {"batch": people[start : start + 500], "writeKey": running.write_key}
        running.ask("POST", "/v1/batch", body)
    running.caught_up()
    template = {
        "name": "Winter",
        "subject": "{{ profile.name }}, it is winter",
        "html": '<p>Hello {{ profile.name }}</p><a href="{{ unsubscribe_url }}">no more</a>',
    }
    content = running.ask("POST", "/content/v1/templates", template)["id"]
    running.ask("POST", f"/content/v1/templates/{content}/publish")
    everybody = {"name": "Everybody", "condition": {"trait": "email", "is": "exists"}}
    segment = running.ask("POST", "/personalization/v1/segments", everybody)["id"]
    _until(running, f"/personalization/v1/segments/{segment}", lambda s: bool(s["ready"]))
    plan = {"name": "Winter", "segment_id": segment, "content_id": content, "rate": RATE}
    campaign = running.ask("POST", "/campaigns/v1/campaigns", plan)["id"]
    running.ask("POST", f"/campaigns/v1/campaigns/{campaign}/launch")
    path = f"/campaigns/v1/campaigns/{campaign}/status"
    _until(running, path, lambda s: s["sealed"] and s["counts"]["sent"] > 0)
    return path


def _person(number: int) -> dict[str, Any]:
    return {
        "type": "identify",
        "userId": f"person-{number}",
        "messageId": f"person-{number}",
        "traits": {"email": f"person-{number}@example.com", "name": f"Person {number}"},
    }


def _until(running: Platform, path: str, done: Any, patience: float = 120) -> None:
    give_up = time.monotonic() + patience
    while not done(running.get(path)):
        if time.monotonic() > give_up:
            raise TimeoutError(f"{path}: {running.get(path)}")
        time.sleep(0.1)
