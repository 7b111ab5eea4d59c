"""A server of the tests is the child of a watcher, which is this file run as a script.

The watcher waits for the end of its standard input, so the server stops and its folder goes when
the tests end, however they end: a killed pytest closes its pipes too.
"""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 30.0


@dataclass(frozen=True)
class Server:
    url: str
    pid: int | None = None
    """The server's own process; None when somebody else started it."""


_watchers: "dict[int, subprocess.Popen[str]]" = {}
"""By the server's pid."""


def stop(server: Server) -> None:
    """End a server before the tests end, or clear up after one that was killed."""
    if server.pid is not None:
        _dismiss(_watchers.pop(server.pid))


def start(program: list[str], home: Path, *, ready: str, user: str | None = None) -> int:
    """Start *program* under a watcher; return its pid when it has said *ready*."""
    watcher = subprocess.Popen(
        [sys.executable, "-I", __file__, str(home), ready, user or "", *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the tests; the watcher hears their end
    )
    atexit.register(_dismiss, watcher)  # again, after `stop`, is nothing
    return _begun(watcher)


def _begun(watcher: "subprocess.Popen[str]") -> int:
    """The pid of what *watcher* has started."""
    assert watcher.stdout
    answer = watcher.stdout.readline().strip()
    if not answer.isdigit():
        raise RuntimeError(f"The server did not start: {answer}{watcher.stdout.read()}")
    _watchers[int(answer)] = watcher
    return int(answer)


def _dismiss(watcher: "subprocess.Popen[str]") -> None:
    assert watcher.stdin
    with contextlib.suppress(BrokenPipeError):
        watcher.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):  # many databases take long to remove
        watcher.wait(PATIENCE)


def restart(server: Server, by: signal.Signals) -> Server:
    """End a server that we started by that signal, and begin it anew on what it has kept."""
    assert server.pid is not None
    watcher = _watchers.pop(server.pid)
    assert watcher.stdin
    watcher.stdin.write(f"{by:d}\n")
    watcher.stdin.flush()
    return Server(server.url, _begun(watcher))


def _watch(home: Path, ready: str, user: str | None, program: list[str]) -> None:
    """The watcher: run *program*, and end it by each signal that standard input names and run it
    again. When that ends, stop it and remove *home*."""
    server = _run(home, ready, user, program)
    for by in sys.stdin:
        server.send_signal(int(by))
        server.wait()
        server = _run(home, ready, user, program)
    server.send_signal(signal.SIGQUIT if "postgres" in program[0] else signal.SIGTERM)
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()
    shutil.rmtree(home, ignore_errors=True)


def _run(home: Path, ready: str, user: str | None, program: list[str]) -> "subprocess.Popen[str]":
    """Start *program*, and say its pid when it has said *ready*."""
    server = subprocess.Popen(
        program,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=home,
        env=plain_environment(),
        user=user,
        group=group_of(user),
        extra_groups=[] if user else None,
    )
    assert server.stdout
    said: list[str] = []
    for line in server.stdout:
        said.append(line)
        if ready in line:
            answer = str(server.pid)
            break
    else:
        answer = "".join(said[-20:])
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()
    threading.Thread(target=server.stdout.read, daemon=True).start()
    return server


def home_of(kind: str) -> Path:
    home = Path(tempfile.mkdtemp(prefix=f"martech-{kind}-"))
    home.chmod(0o755)
    return home


def group_of(user: str | None) -> int | None:
    if user is None:
        return None
    import pwd

    return pwd.getpwnam(user).pw_gid


def plain_environment() -> dict[str, str]:
    """Ours without what would steer a server (PGDATA, PGPORT, …) or its language."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    return {**kept, "LC_ALL": "C", "LANGUAGE": "C"}


if __name__ == "__main__":
    _watch(Path(sys.argv[1]), sys.argv[2], sys.argv[3] or None, sys.argv[4:])
