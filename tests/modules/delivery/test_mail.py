"""A mail by hand says what the standard library reads; nothing in it can be a header."""

from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import format_datetime, getaddresses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from martech.modules.delivery.domain.addresses import Mailbox, address, mailbox
from martech.modules.delivery.domain.mail import NAME, SUBJECT, build, one_line
from tests.modules.delivery.letters import (
    DATE,
    HEADERS,
    ID,
    OUT,
    check_wire,
    letter,
    lines,
    parsed,
    texts,
)


def as_lines(text: str) -> str:
    """Line ends are line ends. (Whether the last line has one, MIME does not keep.)"""
    plain = text.encode(errors="replace").decode().replace("\r\n", "\n").replace("\r", "\n")
    return plain.removesuffix("\n")


def body_of(data: bytes, kind: str) -> str:
    part = parsed(data).get_body((kind,))
    assert part is not None
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    assert "\n" not in raw.decode().replace("\r\n", "")
    return raw.decode().replace("\r\n", "\n").removesuffix("\n")


def test_a_mail_has_these_headers() -> None:
    mail = parsed(build(letter(subject="Grüße", to_name="Ada Łovelace")))
    assert list(mail.keys()) == HEADERS
    assert mail["Subject"] == "Grüße"
    assert mail["From"] == "The Journey <news@news.example>"
    assert mail["To"].addresses[0].display_name == "Ada Łovelace"
    assert mail["To"].addresses[0].addr_spec == "ada@example.com"
    assert mail["Message-ID"] == f"<{ID}@news.example>"
    assert mail["Date"].datetime == DATE
    assert mail["List-Unsubscribe"] == f"<{OUT}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Feedback-ID"] == "autumn:acme"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


def test_who_cannot_be_called_by_mail_programs_does_not_say_so() -> None:
    mail = parsed(build(letter(one_click=False)))
    assert list(mail.keys()) == [name for name in HEADERS if name != "List-Unsubscribe-Post"]


def test_the_same_letter_is_the_same_bytes() -> None:
    assert build(letter()) == build(letter())


def test_a_date_is_written_as_everybody_does() -> None:
    assert parsed(build(letter()))["Date"] == format_datetime(DATE)


@given(texts, texts)
@example("\0", "a\rb")
@example("é" * 500, "=" * 77 + " \n" + ".\n..\n" + " \t\n")
@example("trailing \n", "-- \nAda")
def test_the_texts_arrive_as_they_were_written(html: str, text: str) -> None:
    data = build(letter(html=html, text=text))
    mail = parsed(data)
    check_wire(data)
    if html.strip():
        assert body_of(data, "html") == as_lines(html)
    if text.strip() or not html.strip():
        assert body_of(data, "plain") == as_lines(text)
    assert mail.is_multipart() == bool(html.strip() and text.strip())


@given(lines | texts)
@example("=?utf-8?q?not_encoded?=")
@example("a" * 200)
@example("word " * 60)
@example("  two  blanks ")
@example("é" * 60 + " =?")
@example("\N{NO-BREAK SPACE}10 €\N{IDEOGRAPHIC SPACE}")
def test_a_subject_arrives_on_one_line_and_as_it_was_written(subject: str) -> None:
    data = build(letter(subject=subject))
    check_wire(data)
    mail = parsed(data)
    assert list(mail.keys()) == HEADERS
    assert mail["Subject"] == one_line(subject)[:SUBJECT].rstrip()
    head = data.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    start = next(n for n, line in enumerate(head) if line.startswith("Subject:"))
    end = next(n for n, line in enumerate(head) if line.startswith("List-Unsubscribe:"))
    assert all(len(line) <= 76 for line in head[start:end])


@given(lines | texts)
@example('Ada "the Countess" \\ Lovelace')
@example("=?utf-8?q?x?= <eve@example.com>")
@example("a@b, eve@example.com")
def test_a_name_is_a_name(name: str) -> None:
    for changes in ({"to_name": name}, {"sender": Mailbox(name, "news@news.example")}):
        data = build(letter(**changes))
        check_wire(data)
        mail = parsed(data)
        assert list(mail.keys()) == HEADERS
        field = "To" if "to_name" in changes else "From"
        (found,) = mail[field].addresses
        assert found.addr_spec in ("ada@example.com", "news@news.example")
        assert phrase(data, field) == one_line(name)[:NAME].rstrip()


def phrase(data: bytes, field: str) -> str:
    """The name before an address. (The newer parser of Python 3.11 puts a blank between encoded
    words of a phrase, which RFC 2047 6.2 says is none.)"""
    raw = message_from_bytes(data)[field]
    ((name, _),) = getaddresses([raw])
    return str(make_header(decode_header(name)))


@given(st.text(), st.text())
def test_what_machines_read_is_ascii(feedback: str, url: str) -> None:
    data = build(letter(feedback=feedback, unsubscribe_url=url))
    check_wire(data)
    assert list(parsed(data).keys()) in (HEADERS, [h for h in HEADERS if h != "Feedback-ID"])


@pytest.mark.parametrize(
    ("written", "text", "envelope", "international"),
    [
        ("ada@example.com", "ada@example.com", "ada@example.com", False),
        ("Ada.B+c@Example.COM", "ada.b+c@example.com", "Ada.B+c@example.com", False),
        ("ada@exämple.de", "ada@exämple.de", "ada@xn--exmple-cua.de", False),
        ("grüße@example.com", "grüße@example.com", "grüße@example.com", True),
    ],
)
def test_addresses_are_normalised(
    written: str, text: str, envelope: str, international: bool
) -> None:
    found = address(written)
    assert found is not None
    assert (found.text, found.envelope, found.international) == (text, envelope, international)


@pytest.mark.parametrize(
    "written",
    [
        *("", "ada", "@example.com", "ada@", "a b@example.com", "ada@example..com", "a@b@c.de"),
        *("ada@localhost", "ada@nowhere.invalid", "ada@[127.0.0.1]", "ada@-example.com"),
        *("<ada@example.com>", "Ada <ada@example.com>", "ada@example.com\r\nBcc: eve@example.com"),
        *("ada@example.com\0", "ada\n@example.com", "a" * 65 + "@example.com", "ada@\ud800.de"),
        *(
            "\N{RIGHT-TO-LEFT OVERRIDE}@example.com",
            '"a\r\nb"@example.com',
            "a@" + "b." * 130 + "c",
        ),
    ],
)
def test_what_is_no_address_gets_no_mail(written: str) -> None:
    assert address(written) is None


@given(st.text())
def test_an_address_is_one_or_it_is_not(written: str) -> None:
    found = address(written)
    if found is not None:
        assert not set(found.envelope) & set("\r\n\0<> ")
        assert address(found.text) is not None


def test_an_international_mailbox_is_written_as_it_is() -> None:
    to = address("grüße@example.com")
    assert '\r\nTo: "Ada" <grüße@example.com>\r\n' in build(letter(to=to)).decode()


@pytest.mark.parametrize(
    ("text", "name", "of"),
    [
        ("martech <news@localhost>", "martech", "news@localhost"),
        ('"The Journey" <news@example.com>', "The Journey", "news@example.com"),
        ("news@example.com", "", "news@example.com"),
        ("Größe <news@example.com>", "Größe", "news@example.com"),
    ],
)
def test_a_sender_is_read(text: str, name: str, of: str) -> None:
    assert mailbox(text) == Mailbox(name, of)


@pytest.mark.parametrize(
    "text", ["", "news", "<news>", "a <b@c> d", "a <b@c>\r\nX: y <b@c>", "a@b@c"]
)
def test_a_wrong_sender_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no sender"):
        mailbox(text)
