"""Programs that the demo starts, one of each kind a folder, and none left behind.

A child dies with its parent (on Linux by the kernel's hand), and where it did not, the next run
finds it by the lock it still holds. A lock on a file, not the number in a pid file, says who is
alive: numbers are given out again.
"""

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from demo.failure import Failure

STOP_SECONDS = 30
PR_SET_PDEATHSIG = 1
ROOT = Path(__file__).parent.parent


class Child:
    """A running program. Its lock, its number and what it prints lie in *folder* by its name."""

    def __init__(
        self, folder: Path, name: str, command: Sequence[str], env: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._pid = folder / f"{name}.pid"
        with lock_of(folder, name) as lock:
            hold(lock.fileno())
            with self.log.open("wb") as output:
                self.process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=[lock.fileno()],
                    preexec_fn=die_with_parent,  # noqa: PLW1509 - it touches nothing of ours
                )
        self._pid.write_text(str(self.process.pid))

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait(self, seconds: float) -> None:
        """Until it has ended, but no longer."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def ending(self) -> str:
        """How it ended, and the end of what it said."""
        code = self.process.poll()
        how = "it is running"
        if code is not None:
            how = f"exit {code}" if code >= 0 else signal.Signals(-code).name
        said = self.log.read_text(errors="replace")[-2000:].strip() or "(nothing)"
        return f"{how}). The end of {self.log}:\n{said}"

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
        self._pid.unlink(missing_ok=True)


def lock_of(folder: Path, name: str) -> IO[str]:
    """Held by the child, from its birth to its end, whoever opened it."""
    return (folder / f"{name}.lock").open("a")


def end_survivor(folder: Path, name: str) -> None:
    """End the child of that name that outlived an earlier, killed run."""
    with lock_of(folder, name) as lock:
        end_stale(lock.fileno(), folder / f"{name}.pid")


def die_with_parent() -> None:
    """Runs in the child. Elsewhere than on Linux the next run finds the child by its lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_stale(lock: int, pid: Path) -> None:
    """Who outlived its killed demo still holds the lock; the pid file names it."""
    for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5)):
        if hold(lock):
            return
        os.kill(_number(pid), number)
        deadline = time.monotonic() + patience
        while not hold(lock) and time.monotonic() < deadline:
            time.sleep(0.05)
    if not hold(lock):
        raise Failure(f"What an earlier run started (pid {_number(pid)}) does not end.")


def _number(pid: Path) -> int:
    try:
        return int(pid.read_text())
    except (FileNotFoundError, ValueError):
        raise Failure(
            f"A program of an earlier run still holds {pid.with_suffix('.lock')}. Stop it by hand."
        ) from None


def hold(descriptor: int) -> bool:
    """Take the lock of an open file until everybody has closed it; False where it is taken."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def free_port(wanted: int = 0) -> int:
    """The *wanted* port if nobody has it, else any that is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Failure("This machine has no free port on 127.0.0.1.")
