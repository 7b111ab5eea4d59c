"""Who the server is, and who we are: TLS and passwords."""

from pathlib import Path

import pytest

from martech.modules.delivery.domain.outcomes import Accepted, NotTried, Outcome
from martech.modules.delivery.domain.server import mail_server
from tests.modules.delivery.authorities import Authority
from tests.modules.delivery.sending import pool, posted, send
from tests.sinks.smtp import Sink, sink

pytestmark = pytest.mark.anyio

LOGIN = "ada:s%40crew@"
WHO = {"user": "ada", "password": "s@crew"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def through(server: Sink, query: str = "", **more: str) -> tuple[Outcome, str | None]:
    """What becomes of a mail, and what the status says."""
    async with pool(server, query, **more) as out:
        (outcome,) = await send(out, [posted()])
        return outcome, out.status().error


async def test_what_is_offered_is_taken(authority: Authority) -> None:
    async with sink(tls=authority.server()) as server:
        assert await through(server, f"?ca={authority.trusted}") == (
            Accepted("250 2.0.0 taken"),
            None,
        )
        said = [command.split(" ")[0] for command in server.commands]
    assert said == ["EHLO", "STARTTLS", "EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_tls_from_the_first_byte(authority: Authority) -> None:
    async with sink(tls=authority.server(), wrapped=True, **WHO) as server:
        outcome, error = await through(
            server, f"?ca={authority.trusted}", scheme="smtps", login=LOGIN
        )
        assert (outcome, error) == (Accepted("250 2.0.0 taken"), None)
        assert not any(command.startswith("STARTTLS") for command in server.commands)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_server_that_is_not_who_it_says_gets_nothing(
    authority: Authority, scheme: str
) -> None:
    for address, trusted in (("127.0.0.1", ""), ("127.0.0.2", f"?ca={authority.trusted}")):
        tls = authority.server(address)
        async with sink(tls=tls, wrapped=scheme == "smtps", **WHO) as server:
            outcome, error = await through(server, trusted, scheme=scheme, login=LOGIN)
            assert isinstance(outcome, NotTried)
            assert error is not None
            assert "certificate verify failed" in error
            assert server.mails == []
            assert not any(command.startswith("AUTH") for command in server.commands)


async def test_starttls_that_is_demanded_and_not_offered_is_a_failure() -> None:
    async with sink() as server:
        outcome, error = await through(server, "?tls=starttls")
        assert isinstance(outcome, NotTried)
        assert error == "the server offers no STARTTLS, and the settings demand it"


async def test_none_means_none(authority: Authority) -> None:
    async with sink(tls=authority.server()) as server:
        outcome, _ = await through(server, "?tls=none")
        assert isinstance(outcome, Accepted)
        assert "STARTTLS" not in server.commands


async def test_what_was_said_before_tls_is_not_believed(authority: Authority) -> None:
    """CVE-2011-0411: somebody in between adds a reply behind the permission to begin."""
    async with sink(tls=authority.server()) as server:
        server.whisper = b"250 2.0.0 injected\r\n"
        outcome, error = await through(server, f"?ca={authority.trusted}")
    assert isinstance(outcome, NotTried)
    assert error == "the server said more than it should before TLS"


async def test_a_password_goes_out_encrypted_or_not_at_all(authority: Authority) -> None:
    async with sink(**WHO) as server:
        outcome, error = await through(server, login=LOGIN)
        assert isinstance(outcome, NotTried)
        assert error == "no password goes out unencrypted; write tls=none if it may"
        assert not any(command.startswith("AUTH") for command in server.commands)
        outcome, _ = await through(server, "?tls=none", login=LOGIN)
        assert isinstance(outcome, Accepted)
    async with sink(tls=authority.server(), **WHO) as server:
        outcome, _ = await through(server, f"?ca={authority.trusted}", login=LOGIN)
        assert isinstance(outcome, Accepted)


async def test_a_server_that_knows_login_only() -> None:
    async with sink(**WHO, mechanisms="LOGIN") as server:
        outcome, _ = await through(server, "?tls=none", login=LOGIN)
        assert isinstance(outcome, Accepted)


async def test_a_wrong_password_shows_in_the_status() -> None:
    async with sink(**WHO) as server:
        outcome, error = await through(server, "?tls=none", login="ada:wrong@")
        assert isinstance(outcome, NotTried)
        assert error == "the server refuses us: 535 5.7.8 not you"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("console:", "console:"),
        ("smtp://mail.example", "smtp://mail.example:25"),
        ("smtp://[::1]:2525", "smtp://[::1]:2525"),
        ("smtps://me:secret@mail.example", "smtps://mail.example:465"),
        ("smtp://me:secret@mail.example:587?tls=starttls", "smtp://mail.example:587"),
    ],
)
def test_a_server_is_shown_without_its_password(url: str, shown: str) -> None:
    assert mail_server(url).shown == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://me:secret@",
        "smtp://me:secret@mail.example:99999",
        "smtp://me:secret@mail.example/inbox",
        "smtp://me:secret@mail.example?tls=maybe",
        "smtps://me:secret@mail.example?tls=none",
        "smtp://me:secret@mail.example?color=red",
    ],
)
def test_a_wrong_url_is_refused_in_a_sentence_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="; write console:, smtp://") as refused:
        mail_server(url)
    assert "secret" not in str(refused.value)
