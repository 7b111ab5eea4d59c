"""The mail server of the tests is the record of the outside world: it has to be right itself."""

import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sinks.faults import Fault
from tests.sinks.smtp import read

pytestmark = pytest.mark.anyio
MAIL = "Subject: x\r\n\r\n.a dot\r\n..two\r\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "mails.jsonl"


@pytest.fixture
def port(log: Path) -> Iterator[int]:
    """Of a sink that runs as a program."""
    faults = ["--fault", "rcpt:550:no-*@*", "--fault", "accepted:drop:lost@*"]
    program = [sys.executable, "-m", "tests.sinks.smtp", "--port", "0", "--log", str(log), *faults]
    running = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    first = running.stdout.readline()
    yield int(first.removeprefix("listening on 127.0.0.1:"))
    running.terminate()
    assert running.wait(10) == 0
    running.stdout.close()


def test_what_was_answered_is_in_the_log(port: int, log: Path) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        for number in range(20):
            client.sendmail("a@example.org", f"{number}@example.com", MAIL)
            (*_, last) = read(log)
            assert (last.sender, last.to) == ("a@example.org", [f"{number}@example.com"])
            assert last.bytes.decode() == MAIL


def test_what_was_refused_is_not_and_what_was_accepted_is(port: int, log: Path) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client, pytest.raises(smtplib.SMTPRecipientsRefused):
        client.sendmail("a@example.org", "no-one@example.com", MAIL)
    assert read(log) == []
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtplib.SMTP("127.0.0.1", port).sendmail("a@example.org", "lost@example.com", MAIL)
    assert [mail.to for mail in read(log)] == [["lost@example.com"]]


def test_a_line_that_a_kill_cut_short_is_none(log: Path) -> None:
    log.write_bytes(b'{"time":"2026-12-01T00:00:00Z","from":"a","to":[],"data":""}\n{"time":"20')
    assert len(read(log)) == 1


@pytest.mark.parametrize("words", ["", "rcpt", "rcpt:no", "lunch:drop", "rcpt:55", "rcpt:drop:"])
def test_a_fault_that_says_nothing_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="must read STAGE:ACTION"):
        Fault.read(words)


def test_a_fault_says_where_what_whom_how_often() -> None:
    fault = Fault.read("rcpt:451:*@x.example@0.25*3")
    assert (fault.stage, fault.action, fault.address) == ("rcpt", "451", "*@x.example")
    assert (fault.share, fault.times) == (0.25, 3)
