"""A platform of its own, as a user would start it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import free_port

PATIENCE = 60.0


@dataclass(frozen=True)
class Platform:
    port: int
    write_key: str
    secret_key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> dict[str, object]:
        return self._ask("GET", path, self.secret_key)

    def post(self, path: str, body: object = None) -> dict[str, object]:
        return self._ask("POST", path, self.secret_key, body)

    def send(self, messages: Sequence[object]) -> None:
        """As a tracking client does, with the write key."""
        self._ask("POST", "/v1/batch", self.write_key, {"batch": messages})

    def _ask(self, method: str, path: str, key: str, body: object = None) -> dict[str, object]:
        asked = urllib.request.Request(
            f"{self.url}{path}",
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {key}", "content-type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{method} {path}: {refused.read().decode()}") from refused
        assert isinstance(told, dict)
        return told


@contextmanager
def platform(folder: Path, port: int | None = None, **settings: str) -> Iterator[Platform]:
    """`martech serve` on a free port or on *port*, with its databases in *folder*. Again with the
    same folder it is the same platform."""
    port = port or free_port()
    with serving(folder, port, **settings) as log:
        said = log.read_text()
        yield Platform(port, _key("mtw_", said), _key("mts_", said))


@contextmanager
def serving(folder: Path, port: int, **settings: str) -> Iterator[Path]:
    """`martech serve`, perhaps of some modules only, as soon as it is ready; what it prints."""
    log = folder / "log"
    environment = {
        **os.environ,
        "MARTECH_DATABASE_URL": f"sqlite:///{folder / 'data'}",
        "MARTECH_PORT": str(port),
        "MARTECH_LOG_LEVEL": "warning",
        "COLUMNS": "1000",
        **settings,
    }
    with log.open("ab") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "martech", "serve"],
            env=environment,
            cwd=Path(__file__).parent.parent,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(port, server, log)
        yield log
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)


def _await(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"martech serve did not begin to serve:\n{log.read_text()[-4000:]}")


def _key(prefix: str, said: str) -> str:
    found = re.search(rf"{prefix}[\w-]+", said)
    assert found, f"martech serve printed no {prefix} key:\n{said}"
    return found[0]
