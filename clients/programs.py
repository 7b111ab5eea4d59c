"""The unmodified clients of others: what they need, how they are installed, and how to run them."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
INSTALLED = HERE.parent / "var" / "clients"

STORY = {"identify": 1, "track": 3, "page": 1, "screen": 1, "group": 1, "alias": 1}
"""What every sender tells."""


class Missing(Exception):
    """A program is not on this machine; the message names it."""


@dataclass(frozen=True)
class Client:
    name: str
    sender: str
    package: str = ""
    """A Python client's requirements; Node's are in package-lock.json."""

    options: Sequence[str] = ()
    retries: bool = True
    """Whether it sends again what was not answered."""

    def run(self, url: str, key: str, patience: float = 120) -> None:
        """Tell the story to *url*. Raises `AssertionError` with what the client said."""
        told = subprocess.run(
            [*self._program(), str(HERE / "senders" / self.sender), url, key, *self._options()],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
        )
        assert told.returncode == 0, f"{self.name}: {told.stdout[-2000:]}{told.stderr[-4000:]}"

    def _program(self) -> list[str]:
        if self.package:
            return [sys.executable, "-I", "-c", RUN, str(python_packages(self.package))]
        if self.sender.endswith(".mjs"):
            node_packages()
            return [program("node")]
        program("curl")
        return [program("sh")]

    def _options(self) -> list[str]:
        return [program("chromium") if option == "chromium" else option for option in self.options]

    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(INSTALLED), "LC_ALL": "C.UTF-8"}


RUN = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); del sys.argv[0]; "
    "runpy.run_path(sys.argv[0])"
)
"""A Python that sees the client's packages and the standard library, and not ours."""

CLIENTS = [
    Client("segment-analytics-python-2.3.4", "segment_python.py", "segment-analytics-python-2.3.4"),
    Client("segment-analytics-python-2.4.0", "segment_python.py", "segment-analytics-python-2.4.0"),
    Client(
        "segment-analytics-python-2.4.0-gzip",
        "segment_python.py",
        "segment-analytics-python-2.4.0",
        options=("gzip",),
    ),
    Client("rudder-sdk-python-2.1.9", "rudder_python.py", "rudder-sdk-python-2.1.9"),
    Client("segment-analytics-node-3.1.0", "segment_node.mjs"),
    Client("rudder-sdk-node-3.0.13", "rudder_node.mjs"),
    Client("segment-analytics-next-1.84.3", "segment_browser.mjs", options=("chromium",)),
    Client(
        "segment-analytics-next-1.84.3-batching",
        "segment_browser.mjs",
        options=("chromium", "batching"),
    ),
    Client("curl", "curl.sh", retries=False),
]


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=FOR_ROOT)
    if found is None:
        raise Missing(f"{name} is missing. Install it (Debian: apt-get install {PACKAGES[name]}).")
    return found


FOR_ROOT = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian puts servers, and nobody else's PATH leads."""

PACKAGES = {
    "node": "nodejs",
    "npm": "npm",
    "chromium": "chromium",
    "curl": "curl",
    "nginx": "nginx-light",
    "sh": "dash",
}


@cache
def python_packages(name: str) -> Path:
    """The folder with a client and what it requires, by hash, and nothing else."""
    folder = INSTALLED / name
    wanted = HERE / "requirements" / f"{name}.txt"
    ready = folder / "ready"
    if not ready.is_file() or ready.read_text() != wanted.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _install([*pip, "--require-hashes", "--target", str(folder), "--requirement", str(wanted)])
        ready.write_text(wanted.read_text())
    return folder


@cache
def node_packages() -> None:
    wanted, ready = HERE / "package-lock.json", HERE / "node_modules" / ".ready"
    if not ready.is_file() or ready.read_text() != wanted.read_text():
        npm = [
            program("npm"),
            "install",
            "--no-save",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]
        _install(npm)  # `ci` wants the optional packages of every other platform too
        ready.write_text(wanted.read_text())


def _install(command: Sequence[str]) -> None:
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"{' '.join(command[:4])} … failed: {done.stderr[-2000:]}")
