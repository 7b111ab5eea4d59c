"""`martech serve` in a process of its own: forked from one that has imported it, for most of what a
start costs is imports. A process of its own all the same, killed and paused like any other."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import TimeoutExpired

from martech.__main__ import main
from tests.chaos.processes import server


class Serving:
    """As much of a `subprocess.Popen` as a node needs."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        context = server()
        self._process = context.Process(target=_serve, args=(dict(environment), log), daemon=True)
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, patience: float) -> int:
        """Its exit code; of one that was killed, the signal's number below zero."""
        self._process.join(patience)
        if (code := self._process.exitcode) is None:
            raise TimeoutExpired("martech serve", patience)
        return code

    def send_signal(self, number: int) -> None:
        if self._process.is_alive():
            os.kill(self._process.pid or 0, number)


def _serve(environment: dict[str, str], log: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(log.parent)
    said = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for out in (1, 2):
        os.dup2(said, out)
    sys.argv[:] = ["martech", "serve"]
    main()
