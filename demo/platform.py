"""The platform as a child process, embedded: SQLite files in one folder and nothing else running.

Nobody is left behind: the child dies with its parent (on Linux by the kernel's hand), and where it
did not, the next run finds it by the lock it still holds. A lock on a file, not the number in a pid
file, says who is alive: numbers are given out again.
"""

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO

from demo.failure import Failure
from demo.state import Home

START_SECONDS = 60
STOP_SECONDS = 30
PR_SET_PDEATHSIG = 1


class Platform:
    """A running server. `check` raises when it is not running any more."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    def check(self) -> None:
        if (code := self.process.poll()) is not None:
            raise Failure(
                f"The platform stopped ({_ending(code)}). The end of {self._log}:\n"
                f"{_tail(self._log)}\nRun it again: it goes on from what was accepted."
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            self.check()
            if time.monotonic() > deadline:
                raise Failure(
                    f"The platform is not ready after {START_SECONDS} s. The end of {self._log}:\n"
                    f"{_tail(self._log)}"
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
        status = Path(f"/proc/{self.process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))

    def stop(self) -> None:
        """Gracefully: what it has begun, it finishes."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def only_one(home: Home) -> Iterator[None]:
    """One demo a folder, and no server that outlived an earlier one."""
    with (home.folder / "demo.lock").open("a") as lock, _lock_of_server(home) as server:
        if not hold(lock.fileno()):
            raise Failure(f"Another demo is running in {home.folder}. Wait for it, or use --home.")
        end_stale(server.fileno(), home.folder / "server.pid")
        server.close()
        yield


@contextmanager
def serving(home: Home) -> Iterator[Platform]:
    """The platform on a free port, ready; stopped at the end."""
    pid, log = home.folder / "server.pid", home.folder / "server.log"
    with _lock_of_server(home) as lock:
        hold(lock.fileno())
        port = _free_port()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "martech", "serve"],
                env=_environment(home, port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[lock.fileno()],
                preexec_fn=die_with_parent,  # noqa: PLW1509 - before any thread is started
            )
    pid.write_text(str(process.pid))
    platform = Platform(process, port, log)
    try:
        platform.wait_until_ready()
        yield platform
    finally:
        platform.stop()
        pid.unlink(missing_ok=True)


def _lock_of_server(home: Home) -> IO[str]:
    """Held by the server, from its birth to its end, whoever opened it."""
    return (home.folder / "server.lock").open("a")


def command(home: Home, *arguments: str) -> str:
    """Run `martech` on the demo's databases; what it printed, or a `Failure` with what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "martech", *arguments],
        env=_environment(home, 0),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise Failure(f"`martech {' '.join(arguments)}` failed:\n{said}")
    return done.stdout


def _environment(home: Home, port: int) -> dict[str, str]:
    """Embedded, whatever the shell was set up for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MARTECH_")}
    return kept | {
        "MARTECH_DATABASE_URL": f"sqlite:///{home.data.resolve()}",
        "MARTECH_HOST": "127.0.0.1",
        "MARTECH_PORT": str(port),
        "MARTECH_LOG_LEVEL": "warning",
    }


def die_with_parent() -> None:
    """Runs in the child. Elsewhere than on Linux the next run finds the server by its lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_stale(lock: int, pid: Path) -> None:
    """A server that outlived its killed demo still holds the lock; its pid file names it."""
    for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5)):
        if hold(lock):
            return
        os.kill(_number(pid), number)
        deadline = time.monotonic() + patience
        while not hold(lock) and time.monotonic() < deadline:
            time.sleep(0.05)
    if not hold(lock):
        raise Failure(f"The server of an earlier run (pid {_number(pid)}) does not end.")


def _number(pid: Path) -> int:
    try:
        return int(pid.read_text())
    except (FileNotFoundError, ValueError):
        raise Failure(
            f"A server of an earlier run still holds {pid.with_suffix('.lock')}. Stop it by hand."
        ) from None


def hold(descriptor: int) -> bool:
    """Take the lock of an open file until everybody has closed it; False where it is taken."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ending(code: int) -> str:
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:].strip() or "(nothing)"
