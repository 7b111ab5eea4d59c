"""People with mailboxes: what they do with a mail, without a platform."""

import json
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import mailserver, people
from demo.failure import Failure

LEAVE = "http://127.0.0.1:1/u/token"
LINKS = [f"http://127.0.0.1:1/c/{name}" for name in ("bread", "milk", "fish", "tea")]
PIXEL = "http://127.0.0.1:1/o/token"
HTML = (
    "<p>hello</p>"
    + "".join(f'<a href="{link}">x</a>' for link in [*LINKS, LINKS[0], LEAVE])
    + f'<img src="{PIXEL}" width=1 height=1><img src="cid:logo">'
)


def mail(address: str, html: str = HTML) -> bytes:
    made = EmailMessage()
    made["To"], made["From"] = f"Somebody <{address}>", "shop@example.com"
    made["Subject"], made["Message-ID"] = "hello — and more", f"<{address}>"
    made["List-Unsubscribe"] = f"<{LEAVE}>"
    made["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    made.set_content("hello")
    made.add_alternative(html, subtype="html")
    return made.as_bytes()


def test_a_mail_is_read_as_a_mail_client_reads_it() -> None:
    letter = people.read(mail("Household-1@example.com"))
    assert letter == people.Letter(
        message_id="<Household-1@example.com>",
        address="household-1@example.com",
        pictures=[PIXEL],
        links=LINKS,
        unsubscribe=LEAVE,
        one_click=True,
    )


def test_a_mail_without_html_is_refused() -> None:
    with pytest.raises(Failure, match="without HTML"):
        people.read(b"To: a@b.example\r\n\r\nhello\r\n")


@given(st.integers(1, 10**6))
def test_who_does_what_is_drawn_from_the_address_alone(household: int) -> None:
    letter = people.read(mail(f"household-{household}@example.com"))
    acts = [*people.acts(letter)]
    assert acts == [*people.acts(letter)]
    names = [act.name for act in acts]
    assert len({*acts}) == len(acts)
    assert names == sorted(names, key=["open", "click", "look", "unsubscribe"].index)
    assert "open" in names or "click" not in names
    assert not {"look", "unsubscribe"} <= {*names}


def test_of_many_about_as_many_as_was_said_do_it() -> None:
    read = [people.read(mail(f"household-{n}@example.com")) for n in range(1000)]
    first = [{act.name for act in people.acts(letter)} for letter in read]
    share = {name: sum(name in acts for acts in first) / 1000 for name in ("open", "unsubscribe")}
    assert abs(share["open"] - people.OPEN / 100) < 0.05
    assert abs(share["unsubscribe"] - people.LEAVE / 100) < 0.03


class Stub(BaseHTTPRequestHandler):
    """Answers as the platform does, and keeps what it was asked; busy at first."""

    asked: list[tuple[str, str, str]]
    busy: int

    def do_GET(self) -> None:
        self._answer(302 if self.path.startswith("/c/") else 200)

    def do_POST(self) -> None:
        self._answer(200)

    def _answer(self, status: int) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        kind = type(self)
        kind.busy -= 1
        self.send_response(503 if kind.busy >= 0 else status)
        if kind.busy < 0:
            kind.asked.append((self.command, self.path, body))
            self.send_header("Location", "https://shop.example/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def stub() -> Iterator[tuple[type[Stub], str]]:
    class Mine(Stub):
        asked, busy = [], 1

    with ThreadingHTTPServer(("127.0.0.1", 0), Mine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Mine, f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def logged(folder: Path, count: int) -> Path:
    log = folder / "mails.jsonl"
    with log.open("w") as file:
        for number in range(count):
            address = f"household-{number}@example.com"
            data = mail(address).decode("latin-1")
            line = {"time": "2026-11-21T08:00:00Z", "from": "a@b", "to": [address], "data": data}
            print(json.dumps(line), file=file)
        file.write('{"time": "2026-11-2')  # a kill cut it short
    return log


def test_what_was_done_is_done_once_and_what_a_kill_made_forget_again(
    tmp_path: Path, stub: tuple[type[Stub], str]
) -> None:
    mails, diary = logged(tmp_path, 60), tmp_path / "people.jsonl"
    served, at = stub
    people.live(mails, diary, at)
    first = list(served.asked)
    assert {command for command, _, _ in first} == {"GET", "POST"}
    posts = [asked for asked in first if asked[0] == "POST"]
    assert posts == [("POST", "/u/token", "List-Unsubscribe=One-Click")] * len(posts)
    people.live(mails, diary, at)
    assert served.asked == first
    *kept, _ = diary.read_text().splitlines()
    diary.write_text("\n".join(kept) + '\n{"time": "20')
    people.live(mails, diary, at)
    assert served.asked == [*first, first[-1]]


def test_a_link_that_leads_nowhere_is_said(tmp_path: Path, stub: tuple[type[Stub], str]) -> None:
    act = people.Act("a@b.example", "click", "http://127.0.0.1:1/o/no-link")
    with pytest.raises(Failure, match="was answered 200"):
        people.Client(stub[1]).do(act)


def test_half_a_line_at_the_end_of_the_log_is_no_mail(tmp_path: Path) -> None:
    log = logged(tmp_path, 2)
    assert len([*mailserver.accepted(log)]) == 2
    mailserver.cut(log)
    assert log.read_bytes().endswith(b"}\n")
    first = next(mailserver.accepted(log))
    assert mailserver.message_id(first) == "<household-0@example.com>"
