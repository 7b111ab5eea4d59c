"""A real nginx in front of real hosts, with what `martech nginx` writes and nothing of its own."""

import getpass
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from clients.programs import program
from tests.servers import free_port

PATIENCE = 30.0

MAIN = """\
daemon off;
user {user};
pid {folder}/nginx.pid;
worker_processes 1;
events {{}}
http {{
    log_format way '$status $upstream_addr';
    access_log {folder}/ways way;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/gate.conf;
}}
"""


@dataclass(frozen=True)
class Answer:
    status: int
    kind: str
    body: bytes
    host: str
    """``127.0.0.1:PORT`` of who answered; ``-`` where nginx did."""


@dataclass(frozen=True)
class Gate:
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        """*path* goes out as it stands here."""
        ways = len(self._ways())
        status, kind, said = ask(self.port, method, path, body, headers)
        end = time.monotonic() + PATIENCE
        while len(found := self._ways()) == ways and time.monotonic() < end:
            time.sleep(0.01)  # the line is written when the answer has gone out
        return Answer(status, kind, said, found[-1].split(" ", 1)[1])

    def _ways(self) -> list[str]:
        log = self.folder / "ways"
        return log.read_text().splitlines() if log.exists() else []


def ask(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, str, bytes]:
    """Status, media type and body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), answer.read()
    finally:
        connection.close()


@contextmanager
def gate(folder: Path, peers: str, rest: str) -> Iterator[Gate]:
    port = free_port()
    listen = f"127.0.0.1:{port}"
    command = ["nginx", "--peers", peers, "--rest", rest, "--listen", listen]
    rendered = subprocess.run(
        [sys.executable, "-m", "martech", *command], capture_output=True, text=True, check=False
    )
    assert rendered.returncode == 0, rendered.stderr
    (folder / "gate.conf").write_text(rendered.stdout)
    main = folder / "nginx.conf"
    main.write_text(MAIN.format(user=getpass.getuser(), folder=folder))
    log = folder / "nginx.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [program("nginx"), "-p", str(folder), "-c", str(main), "-e", "stderr"],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(port, server, log)
        yield Gate(port, folder)
    finally:
        server.terminate()
        server.wait(PATIENCE)


def _await(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            ask(port, "GET", "/health/live")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nginx did not begin to serve:\n{log.read_text()[-4000:]}")
