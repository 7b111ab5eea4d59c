"""A mail server of our own on this machine: it notes every mail it accepts before it says so.

The log is the outside world's record. It outlives the server: one that died is started again on
the same log, and goes on.
"""

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from email.parser import HeaderParser
from pathlib import Path

import msgspec

from demo.children import Child, free_port
from demo.failure import Failure

START_SECONDS = 20
REFUSED = ("07", "32", "57", "82")
"""Nobody lives there any more: households whose number ends like this get a 550."""
DELAY = "2-20"
"""Milliseconds between the note and the 250, as a server takes them that has something to do."""


class Mail(msgspec.Struct, rename={"sender": "from"}):
    """One accepted mail."""

    time: datetime
    sender: str
    to: list[str]
    data: str

    @property
    def bytes(self) -> bytes:
        return self.data.encode("latin-1")


class MailServer:
    """Runs until `close`; `keep_alive` starts it again if it died."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._folder = folder
        self.log = log
        self.port = free_port()
        self.child = self._start()

    @property
    def url(self) -> str:
        """As the platform is told where to deliver."""
        return f"smtp://127.0.0.1:{self.port}?tls=none"

    def keep_alive(self) -> None:
        if not self.child.alive:
            self.child = self._start()

    def close(self) -> None:
        self.child.stop()

    def _start(self) -> Child:
        cut(self.log)
        faults = [word for end in REFUSED for word in ("--fault", f"rcpt:550:household-*{end}@*")]
        options = ["--port", str(self.port), "--log", str(self.log.resolve()), "--delay", DELAY]
        command = [sys.executable, "-m", "tests.sinks.smtp", *options, *faults]
        child = Child(self._folder, "mailserver", command)
        deadline = time.monotonic() + START_SECONDS
        while "listening" not in child.log.read_text():
            if not child.alive or time.monotonic() > deadline:
                raise Failure(f"The mail server did not start ({child.ending()}")
            time.sleep(0.02)
        return child


def cut(log: Path) -> None:
    """Half a line at the end is a mail that a killed server was still taking, and never took."""
    if log.exists():
        with log.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def accepted(log: Path) -> Iterator[Mail]:
    """Every mail in the order in which it was accepted. Half a line at the end is not one yet."""
    if log.exists():
        with log.open("rb") as file:
            yield from (msgspec.json.decode(line, type=Mail) for line in file if line[-1:] == b"\n")


def message_id(mail: Mail) -> str:
    """As its header says."""
    head, _, _ = mail.data.partition("\r\n\r\n")
    return str(HeaderParser().parsestr(head)["Message-ID"]).strip()
