"""Stands between a client and the platform: writes down what passes, and can misbehave once."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Trouble = Literal["none", "busy", "lost answer"]
Headers = list[tuple[str, str]]

OWN = ("content-length", "connection", "transfer-encoding")
"""Headers of one connection, which are not passed on."""


@dataclass(frozen=True)
class Passed:
    """One request, and the status that its sender saw; 0 where the answer was lost."""

    method: str
    path: str
    headers: Headers
    body: bytes
    status: int


class Relay(ThreadingHTTPServer):
    """Passes everything on to *port*; the first POST meets the *trouble*."""

    daemon_threads = True

    def __init__(self, port: int, trouble: Trouble) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.port = port
        self.passed: list[Passed] = []
        self._trouble = trouble
        self._lock = threading.Lock()

    def trouble(self, method: str) -> Trouble:
        """What befalls this request."""
        with self._lock:
            if method != "POST":
                return "none"
            befalls, self._trouble = self._trouble, "none"
            return befalls


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Relay

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        match self.server.trouble(self.command):
            case "busy":
                status, headers, answer = 429, BUSY, b""
            case "lost answer":
                self._forward(body)
                self._note(body, 0)
                self.close_connection = True
                return
            case _:
                status, headers, answer = self._forward(body)
        self._note(body, status)
        self._answer(status, headers, answer)

    do_GET = do_POST = do_OPTIONS = _pass  # noqa: N815  (the names are the library's)

    def _forward(self, body: bytes) -> tuple[int, Headers, bytes]:
        platform = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        platform.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            platform.putheader(name, value)
        platform.endheaders(body)
        answer = platform.getresponse()
        content = answer.read()
        platform.close()
        return answer.status, answer.getheaders(), content

    def _note(self, body: bytes, status: int) -> None:
        headers = list(self.headers.items())
        self.server.passed.append(Passed(self.command, self.path, headers, body, status))

    def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in OWN:
                self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


BUSY: Headers = [
    ("retry-after", "1"),
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "retry-after"),
]


@contextmanager
def relay(port: int, trouble: Trouble = "none") -> Iterator[Relay]:
    with Relay(port, trouble) as there:
        thread = threading.Thread(target=there.serve_forever, daemon=True)
        thread.start()
        try:
            yield there
        finally:
            there.shutdown()
            thread.join()
