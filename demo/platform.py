"""The platform as a child process: SQLite files in one folder, and nothing else is running."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException

from demo.children import Child, end_survivor, free_port, hold
from demo.failure import Failure
from demo.state import Home, State

START_SECONDS = 60
LAST_SECONDS = 1.0  # for a process that hung up to end
SENDER = "The Complete Journey <news@journey.example>"


class Platform:
    """A running server. `check` raises when it is not running any more."""

    def __init__(self, child: Child, port: int) -> None:
        self._child = child
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def check(self) -> None:
        if not self._child.alive:
            raise Failure(
                f"The platform stopped ({self._child.ending()}\n"
                "Run it again: it goes on from what was accepted."
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            self.check()
            if time.monotonic() > deadline:
                raise Failure(
                    f"The platform is not ready after {START_SECONDS} s ({self._child.ending()}"
                )
            time.sleep(0.05)

    def _ready(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def peak_memory(self) -> int:
        """Bytes resident at most so far; 0 where the system does not tell."""
        return self._child.peak_memory()

    def stop(self) -> None:
        """Gracefully: what it has begun, it finishes."""
        self._child.stop()


@contextmanager
def only_one(home: Home) -> Iterator[None]:
    """One demo a folder, and nothing that outlived an earlier one."""
    with (home.folder / "demo.lock").open("a") as lock:
        if not hold(lock.fileno()):
            raise Failure(f"Another demo is running in {home.folder}. Wait for it, or use --home.")
        for name in ("server", "mailserver", "people"):
            end_survivor(home.folder, name)
        yield


@contextmanager
def serving(home: Home, state: State, smtp_url: str) -> Iterator[Platform]:
    """The platform, ready; stopped at the end. On the port of the first start if it is still free:
    the links in mails that were sent lead there."""
    state.port = port = free_port(state.port)
    home.save(state)
    command = [sys.executable, "-m", "martech", "serve"]
    child = Child(home.folder, "server", command, _environment(home, port, smtp_url))
    platform = Platform(child, port)
    try:
        platform.wait_until_ready()
        yield platform
    except Failure:
        child.wait(LAST_SECONDS)  # whoever is killed hangs up some time before it has ended
        platform.check()
        raise
    finally:
        platform.stop()


def command(home: Home, *arguments: str) -> str:
    """Run `martech` on the demo's databases; what it printed, or a `Failure` with what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "martech", *arguments],
        env=_environment(home, 0, "console:"),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise Failure(f"`martech {' '.join(arguments)}` failed:\n{said}")
    return done.stdout


def _environment(home: Home, port: int, smtp_url: str) -> dict[str, str]:
    """Embedded, whatever the shell was set up for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MARTECH_")}
    return kept | {
        "MARTECH_DATABASE_URL": f"sqlite:///{home.data.resolve()}",
        "MARTECH_HOST": "127.0.0.1",
        "MARTECH_PORT": str(port),
        "MARTECH_LOG_LEVEL": "warning",
        "MARTECH_DELIVERY_SMTP_URL": smtp_url,
        "MARTECH_DELIVERY_SENDER": SENDER,
        "MARTECH_DELIVERY_RETRY_SECONDS": "1",
    }
