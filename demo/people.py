"""The people who got the mails: `python -m demo.people --mails … --log … --at 127.0.0.1:PORT`.

A program of its own that knows nothing but what lies in their mailboxes: the mails that the mail
server accepted. It reads them as a mail client does. It loads the pictures of those who look,
follows the links of those who are curious, and presses "unsubscribe" for those who had enough,
which is a POST as RFC 8058 says. Who does what is drawn from the address alone, so everybody does
the same whenever it is run. What was done is in the log; what a kill made forget is done again.
"""

import argparse
import email
import email.policy
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from hashlib import sha256
from html.parser import HTMLParser
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from demo import mailserver
from demo.failure import Failure

OPEN, CLICK, LOOK, LEAVE = 62, 45, 10, 7
"""Of a hundred: load the pictures; of those, follow links; look at the page on which one could
unsubscribe, and leave it at that; unsubscribe."""
MOST_CLICKS = 3
ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"
PATIENCE = 60
"""Seconds in which a platform that is starting, or busy, must have answered."""


class Letter(NamedTuple):
    """A mail, as a mail client sees it."""

    message_id: str
    address: str
    pictures: list[str]
    links: list[str]
    """Where one can go from here; not the link for unsubscribing."""

    unsubscribe: str
    one_click: bool
    """May be pressed without being asked again (RFC 8058)."""


class Act(NamedTuple):
    address: str
    name: str
    """``open``, ``click``, ``look`` or ``unsubscribe``."""

    url: str


def read(data: bytes) -> Letter:
    """Raises `Failure` when the mail is not one that a mail client would understand."""
    mail = email.message_from_bytes(data, _class=EmailMessage, policy=email.policy.default)
    body = mail.get_body(("html",))
    if body is None or mail.defects:
        raise Failure(f"A mail without HTML, or a broken one: {mail.defects}\n{data[:500]!r}")
    page = Page()
    page.feed(body.get_content())
    leave = str(mail["List-Unsubscribe"] or "").strip().removeprefix("<").removesuffix(">")
    return Letter(
        message_id=str(mail["Message-ID"]).strip(),
        address=mail["To"].addresses[0].addr_spec.lower(),
        pictures=page.pictures,
        links=[link for link in dict.fromkeys(page.links) if link != leave],
        unsubscribe=leave,
        one_click=str(mail["List-Unsubscribe-Post"]).encode() == ONE_CLICK,
    )


class Page(HTMLParser):
    """What a mail client finds in the HTML of a mail."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        for mine, attribute, into in (
            ("img", "src", self.pictures),
            ("a", "href", self.links),
        ):
            url = found.get(attribute) or ""
            if tag == mine and url.startswith(("http://", "https://")):
                into.append(url)


def acts(letter: Letter) -> Iterator[Act]:
    """What this person does with it: always the same."""
    drawn = sha256(letter.address.encode()).hexdigest()
    opens, clicks, many, first, leaves, looks = (
        int(drawn[place : place + 4], 16) for place in range(0, 24, 4)
    )
    if opens % 100 < OPEN:
        yield from (Act(letter.address, "open", url) for url in letter.pictures)
        if clicks % 100 < CLICK:
            for nth in range(1 + many % MOST_CLICKS):
                url = letter.links[(first + nth) % len(letter.links)]
                yield Act(letter.address, "click", url)
    if leaves % 100 < LEAVE:
        yield Act(letter.address, "unsubscribe", letter.unsubscribe)
    elif looks % 100 < LOOK:
        yield Act(letter.address, "look", letter.unsubscribe)


class Client:
    """A mail client and its browser: no key, no cookies. Every address leads to *at*, where the
    platform is now, though its mails may have been written when it was elsewhere."""

    def __init__(self, at: str) -> None:
        host, _, port = at.rpartition(":")
        self._connection = HTTPConnection(host, int(port), timeout=PATIENCE)

    def do(self, act: Act) -> str:
        """Returns where a link led, if anywhere. Raises `Failure` when it came to nothing."""
        target = urlsplit(act.url)
        deadline = time.monotonic() + PATIENCE
        while True:
            status, location = self._ask(act.name, f"{target.path}?{target.query}".rstrip("?"))
            if status not in (0, 429, 503) or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        good = status in (302, 303, 307) and location if act.name == "click" else status == 200
        if not good:
            raise Failure(f"{act.name} of {act.address} at {act.url} was answered {status}.")
        return location

    def _ask(self, act: str, target: str) -> tuple[int, str]:
        """The status, 0 where there was no answer; and where to go from there."""
        method, body, headers = "GET", b"", {}
        if act == "unsubscribe":
            method, body, headers = "POST", ONE_CLICK, {"Content-Type": FORM}
        try:
            self._connection.request(method, target, body or None, headers)
            response = self._connection.getresponse()
            response.read()
        except (OSError, HTTPException):
            self._connection.close()
            return 0, ""
        return response.status, response.headers.get("Location", "")


class Diary:
    """What was done, one line of JSON an act, written when it was."""

    def __init__(self, log: Path) -> None:
        mailserver.cut(log)
        lines = log.read_text().splitlines() if log.exists() else []
        noted = map(json.loads, lines)
        self._done = {(line["address"], line["act"], line["url"]) for line in noted}
        self._file = log.open("a")

    def has(self, act: Act) -> bool:
        return (act.address, act.name, act.url) in self._done

    def note(self, act: Act, location: str) -> None:
        self._done.add((act.address, act.name, act.url))
        line = {
            "time": datetime.now(UTC).isoformat(),
            "address": act.address,
            "act": act.name,
            "url": act.url,
            "location": location,
        }
        print(json.dumps(line), file=self._file, flush=True)


def live(mails: Path, log: Path, at: str) -> None:
    """Everybody does what they do, in the order in which their mails came."""
    client, diary = Client(at), Diary(log)
    letters = [read(mail.bytes) for mail in mailserver.accepted(mails)]
    for count, letter in enumerate(letters, 1):
        if not (letter.one_click and letter.unsubscribe and letter.links and letter.pictures):
            raise Failure(f"The mail to {letter.address} lacks what a mail must have: {letter}")
        for act in acts(letter):
            if not diary.has(act):
                diary.note(act, client.do(act))
        print(f"{count} of {len(letters)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="What people do with the mails they got")
    parser.add_argument("--mails", type=Path, required=True, help="the mail server's log")
    parser.add_argument("--log", type=Path, required=True, help="what was done; appended to")
    parser.add_argument("--at", required=True, help="HOST:PORT, where the platform is")
    given = parser.parse_args()
    try:
        live(given.mails, given.log, given.at)
    except Failure as failure:
        print(f"✗ {failure}", flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
