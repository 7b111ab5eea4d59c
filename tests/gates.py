"""A gate that work in another process waits at until a test opens it."""

import fcntl
import os
from pathlib import Path


class Gate:
    """Shut until it is opened, and then open for all."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gate"
        self._held = self.path.open("w")
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def open(self) -> None:
        self._held.close()

    @property
    def passer(self) -> int | None:
        """Which process came there, if one did."""
        came = self.path.read_text()
        return int(came) if came.endswith("\n") else None


def pass_gate(path: str) -> bool:
    """Say who is here, and wait for the gate to be opened."""
    with Path(path).open("r+") as gate:
        gate.write(f"{os.getpid()}\n")
        gate.flush()
        fcntl.flock(gate, fcntl.LOCK_SH)
    return True
