"""`martech ARGUMENTS` in processes of their own, and `martech serve` as whoever starts it sees it.

A `Command` is forked from a process that has imported the product, for imports are most of what a
short life costs. It is killed, paused and read like any other; `interpreter` is the real thing, for
whoever asks whether that starts.
"""

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import IO

from martech.__main__ import main
from martech.kernel.files import faces, installed
from tests.chaos.processes import server
from tests.servers import free_port

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0  # seconds until a command that does not end counts as stuck

Environment = Mapping[str, str]


class Command:
    """As much of a `subprocess.Popen` as a test needs. It writes to *log*, or else to the pipes
    ``stdout`` and ``stderr``. What is wrong with its process is done there *first*."""

    def __init__(
        self,
        arguments: Sequence[str],
        env: Environment,
        cwd: Path,
        log: Path | None = None,
        first: Callable[[], None] | None = None,
    ) -> None:
        self.args = ["martech", *arguments]
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        if log is None:
            self.stdout, out = _pipe()
            self.stderr, err = _pipe()
        else:
            out, err = _appending(log), _appending(log)
        work = (self.args, dict(env), cwd, out, err, first)
        self._process = server().Process(target=_run, args=work, daemon=True)
        self._process.start()
        out.close()
        err.close()

    @property
    def returncode(self) -> int | None:
        """Its exit code; of one that was killed, the signal's number below zero."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self._process.is_alive():
            os.kill(self._process.pid or 0, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def interpreter(arguments: Sequence[str], env: Environment, cwd: Path) -> "subprocess.Popen[str]":
    """An interpreter of its own, which imports everything first."""
    return subprocess.Popen(
        [sys.executable, "-m", "martech", *arguments],
        env=env,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


Started = Command | subprocess.Popen[str]
Start = Callable[[Sequence[str], Environment, Path], Started]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """One with nothing of ours but a database in *folder*, and *more*. Modules that have left this
    tree are peers, without whom nobody starts, and who are away."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MARTECH_")}
    ours = {"PYTHONPATH": str(ROOT / "src"), "MARTECH_DATABASE_URL": f"sqlite:///{folder}/data"}
    if left := sorted(set(faces()) - set(installed())):
        ours["MARTECH_PEERS"] = ",".join(f"{name}=http://127.0.0.1:9" for name in left)
        ours["MARTECH_PEER_SECRET"] = "0123456789abcdef"
    return {**own, **ours, **more}


def run(*arguments: str, env: Environment, cwd: Path = ROOT) -> CompletedProcess[str]:
    """A command that ends, and what it said."""
    command = Command(arguments, env, cwd)
    with _drained(command.stderr) as errors:
        said = "".join(command.stdout or ())
        code = command.wait(PATIENCE)
    _close(command.stdout)
    return CompletedProcess(command.args, code, said, "".join(errors))


class Serving:
    """A running ``martech serve``: its address, and what it has printed."""

    def __init__(self, process: Started, said: list[str], logged: list[str], port: int) -> None:
        self.process = process
        self.said = said
        self.logged = logged
        self.url = f"http://127.0.0.1:{port}"

    def keys(self) -> dict[str, str]:
        words = [line.strip() for line in self.said]
        return {word[:3]: word for word in words if word.startswith(("mtw_", "mts_"))}

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def serving(env: Environment, *options: str, start: Start = Command) -> Iterator[Serving]:
    port = free_port()
    process = start(["serve", *options], {**env, "MARTECH_PORT": str(port)}, ROOT)
    said: list[str] = []
    with _drained(process.stderr) as errors:
        try:
            for line in process.stdout or ():
                said.append(line)
                if "serves on" in line:
                    break
            else:
                raise AssertionError(f"it did not start: {process.wait(PATIENCE)}, {errors}")
            yield Serving(process, said, errors, port)
        finally:
            process.kill()
            process.wait(PATIENCE)
            _close(process.stdout)


@contextmanager
def _drained(pipe: IO[str] | None) -> Iterator[list[str]]:
    """The lines of *pipe* as they come, all of them in the end: a full pipe stops who writes."""
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(pipe or ()), daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        reader.join()
        _close(pipe)


def _close(pipe: IO[str] | None) -> None:
    if pipe:
        pipe.close()


def _pipe() -> tuple[IO[str], Connection]:
    """What is read here, and what a child is given to write to."""
    ear, mouth = os.pipe()
    return os.fdopen(ear, encoding="utf-8"), Connection(mouth, readable=False)


def _appending(log: Path) -> Connection:
    return Connection(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), readable=False)


def _run(
    args: list[str],
    env: dict[str, str],
    cwd: Path,
    out: Connection,
    err: Connection,
    first: Callable[[], None] | None,
) -> None:
    gc.freeze()  # what was imported before stays to the end, and stays shared
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for number, said in ((1, out), (2, err)):
        os.dup2(said.fileno(), number)
        said.close()
    sys.argv[:] = args
    if first:
        first()
    main()
