"""Planted defects of mails: what somebody might well have written."""

from collections.abc import Sequence
from datetime import datetime

from martech.modules.delivery.adapters.mails import Mails
from martech.modules.delivery.adapters.session import Session
from martech.modules.delivery.domain.dkim import Seal
from martech.modules.delivery.domain.links import Token
from martech.modules.delivery.domain.mail import Letter
from martech.modules.delivery.domain.outcomes import Ambiguous, NotTried, Outcome, Posted, Refused
from martech.modules.delivery.service import engaging


class UnsubscribesOnGet:
    """Whoever asks for the page wants to be out, surely (E12)."""

    class Reception(engaging.Reception):
        async def take(self, token: Token | None, *, counts: bool) -> str | None:
            return await super().take(token, counts=True)


class FollowsWhatItIsTold:
    """A link that is not stored is sent on to whatever stands in it (E14)."""

    class Reception(engaging.Reception):
        async def take(self, token: Token | None, *, counts: bool) -> str | None:
            url = await super().take(token, counts=counts)
            return "https://evil.example/" if url is None else url


class TrustsTheToken:
    """A token is looked up and its signature is not (E14)."""

    class Reception(engaging.Reception):
        async def take(self, token: Token | None, *, counts: bool) -> str | None:
            return await super().take(token and Unsigned(*_fields(token)), counts=counts)


class Unsigned(Token, frozen=True):
    def holds(self, key: bytes) -> bool:
        return True


def _fields(token: Token) -> tuple[object, ...]:
    return tuple(getattr(token, name) for name in token.__struct_fields__)


class SignsWhatItKnows(Seal):
    """The headers that it has always signed (E12)."""

    def sign(self, headers: Sequence[tuple[str, str]], body: bytes, at: datetime) -> str:
        known = [pair for pair in headers if not pair[0].startswith("List-")]
        return super().sign(known, body, at)


def builds_by_format(letter: Letter, seal: Seal | None = None) -> bytes:
    """A mail is text, so write it as text (E13)."""
    return (
        f"Date: Sat, 21 Nov 2026 07:08:09 +0000\r\nFrom: {letter.sender.name} "
        f"<{letter.sender.address}>\r\nTo: {letter.to_name} <{letter.to.envelope}>\r\n"
        f"Message-ID: <{letter.message_id}@{letter.domain}>\r\nSubject: {letter.subject}\r\n"
        f"List-Unsubscribe: <{letter.unsubscribe_url}>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        f"Feedback-ID: {letter.feedback}\r\nMIME-Version: 1.0\r\n"
        f"Content-Type: text/html; charset=utf-8\r\n\r\n{letter.html}\r\n"
    ).encode(errors="replace")


class LetsAnythingThrough(Session):
    """Whoever made the mail will have looked (E13)."""

    def _unfit(self, mail: Posted) -> Refused | None:
        return None


class TakesSilenceForNo(Session):
    """No word from the server means that it was not sent (E4)."""

    def _drop(self, mails: Mails, mail: Posted, outcome: Outcome) -> None:
        unsure = isinstance(outcome, Ambiguous)
        super()._drop(mails, mail, NotTried(outcome.error) if unsure else outcome)
