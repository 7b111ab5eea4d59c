"""A platform of its own, as a user would start it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60.0


@dataclass(frozen=True)
class Platform:
    port: int
    write_key: str
    secret_key: str

    def get(self, path: str) -> dict[str, object]:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            headers={"authorization": f"Bearer {self.secret_key}"},
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            told = json.load(answer)
            assert isinstance(told, dict)
            return told


@contextmanager
def platform(folder: Path) -> Iterator[Platform]:
    """`martech serve` on a free port, with its databases in *folder*."""
    port, log = _free_port(), folder / "log"
    environment = {
        **os.environ,
        "MARTECH_DATABASE_URL": f"sqlite:///{folder / 'data'}",
        "MARTECH_PORT": str(port),
        "MARTECH_LOG_LEVEL": "warning",
        "COLUMNS": "1000",
    }
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "martech", "serve"],
            env=environment,
            cwd=Path(__file__).parent.parent,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(port, server, log)
        said = log.read_text()
        yield Platform(port, _key("mtw_", said), _key("mts_", said))
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
