"""Starts and stops what is measured, and reads its accounts: a process of its own, always."""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil

from tests import servers

ROOT = Path(__file__).parents[1]
PATIENCE = 30.0  # seconds for a server to start


@dataclass
class Platform:
    """A running server."""

    process: psutil.Process
    port: int
    write_key: str = ""
    secret_key: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    modules: str | None = None
    """Names, as in MARTECH_MODULES; None is all of them."""

    counter: bool = False
    """Whether a module listens that is there for the benchmark only."""

    apart: bool = False
    """Whether bus and jobs are in a process of their own, `martech worker`."""

    worker: subprocess.Popen[bytes] | None = None

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        request = Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "accept": "application/json",
                "authorization": f"Bearer {self.secret_key}",
                "content-type": "application/json",
            },
        )
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def behind(self) -> dict[str, int]:
        """How many items each subscription has yet to handle."""
        modules = self.get("/")["modules"]
        return {s["name"]: s["behind"] for m in modules for s in m["subscriptions"]}

    def caught_up(self, patience: float = 120) -> float:
        """Seconds until nobody is behind."""
        began = time.perf_counter()
        while any(self.behind().values()):
            if time.perf_counter() - began > patience:
                raise TimeoutError(f"still behind: {self.behind()}")
            time.sleep(0.05)
        return time.perf_counter() - began

    def lags(self, what: str = "activity") -> dict[int, int]:
        """How late the counter heard: upper edge in milliseconds -> how many."""
        said = run("benchmarks.server", "--lags", environment=self.environment)
        return {int(edge): count for edge, count in json.loads(said)[what].items()}

    def memory(self) -> int:
        """Resident megabytes."""
        return int(self.process.memory_info().rss // 1_000_000)

    def cpu(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def platform(
    kind: str,
    *,
    bare: bool = False,
    modules: str | None = None,
    counter: bool = False,
    apart: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Platform]:
    """A fresh platform on a fresh database of *kind* (``sqlite``, ``postgresql``)."""
    with tempfile.TemporaryDirectory(prefix="martech-bench-") as folder:
        url = f"sqlite:///{folder}" if kind == "sqlite" else servers.fresh_database()
        port = servers.free_port()
        environment = {
            **os.environ,
            "MARTECH_DATABASE_URL": url,
            "MARTECH_PORT": str(port),
            "MARTECH_LOG_LEVEL": "warning",
            "MARTECH_ANALYTICS_STORE_URL": f"duckdb:///{folder}/analytics.duckdb",
            **(settings or {}),
        }
        running = Platform(
            psutil.Process(), port, environment=environment, counter=counter, apart=apart
        )
        if not bare:
            run("benchmarks.server", "--migrate", environment=environment)
            said = run("martech", "tenant", "create", "bench", environment=environment)
            running.write_key = _key(said, "mtw_")
            running.secret_key = _key(said, "mts_")
        _start(running, modules, bare=bare)
        try:
            yield running
        finally:
            _stop(running)


@contextmanager
def restarted(running: Platform, *, modules: str | None) -> Iterator[None]:
    """The same platform on the same data, started again, perhaps with other modules."""
    _stop(running)
    _start(running, modules)
    yield


def _start(running: Platform, modules: str | None, *, bare: bool = False) -> None:
    running.modules = modules
    chosen = {"MARTECH_MODULES": modules} if modules else {}
    flags = [
        *(["--bare"] if bare else []),
        *(["--counter"] if running.counter else []),
        *(["--http-only"] if running.apart else []),
    ]
    command, env = [sys.executable, "-m"], {**running.environment, **chosen}
    started = subprocess.Popen([*command, "benchmarks.server", *flags], cwd=ROOT, env=env)
    running.process = psutil.Process(started.pid)
    if running.apart:
        running.worker = subprocess.Popen([*command, "martech", "worker"], cwd=ROOT, env=env)
    _wait(running, "/v1/track" if bare else "/health/live")


def _stop(running: Platform) -> None:
    if running.worker:
        running.worker.terminate()
        running.worker.wait(60)
    if running.process.is_running():
        running.process.terminate()
    running.process.wait(60)


def run(module: str, *arguments: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


async def load(platform: Platform, shape: str, *, seconds: float, **options: object) -> Any:
    """Run the load process beside; its report."""
    more = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.load",
        "--port",
        str(platform.port),
        "--key",
        options.pop("key", None) or platform.write_key or "none",
        "--shape",
        shape,
        "--seconds",
        str(seconds),
        *more,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return json.loads(out)


def _key(said: str, prefix: str) -> str:
    found = re.search(prefix + r"[\w-]+", said)
    if found is None:
        raise RuntimeError(f"no {prefix} key in:\n{said}")
    return found[0]


def _wait(running: Platform, path: str) -> None:
    """Until it answers. (Not until it is ready: the counter has no migrations in the tree.)"""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        if not running.process.is_running() or running.process.status() == "zombie":
            raise RuntimeError("the server did not start")
        try:
            with urlopen(f"http://127.0.0.1:{running.port}{path}", timeout=2):
                return
        except OSError as exc:
            if getattr(exc, "code", None) in (404, 405):
                return
            time.sleep(0.1)
    raise TimeoutError(f"the server did not answer within {PATIENCE:.0f} s")
