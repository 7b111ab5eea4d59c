"""How tests hand mails to the pool, and look at what it says became of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from martech.modules.delivery.adapters.pool import SmtpPool
from martech.modules.delivery.adapters.session import Patience
from martech.modules.delivery.domain.outcomes import Outcome, Posted
from martech.modules.delivery.domain.server import mail_server
from tests.sinks.smtp import Sink

EAGER = Patience(away=0)
"""For servers that are worth asking again at once."""

HASTY = Patience(connect=5, reply=0.5, body=5, final=0.5, quit=0.5, away=0)
"""Likewise, and they are known to hang."""


def posted(to: str = "ada@example.com", data: bytes | None = None) -> Posted:
    body = data or b"To: " + to.encode() + b"\r\n\r\nHello\r\n.\r\n..dots\r\n"
    return Posted(id=uuid4(), envelope_from="news@example.org", to=to, data=body)


class Told:
    """What was said of each mail; it is an error to be told twice."""

    def __init__(self) -> None:
        self.of: dict[UUID, Outcome] = {}

    def __call__(self, id_: UUID, outcome: Outcome) -> None:
        assert id_ not in self.of, f"told twice: {self.of[id_]}, {outcome}"
        self.of[id_] = outcome

    def kinds(self, mails: Sequence[Posted]) -> list[str]:
        return [type(self.of[mail.id]).__name__ for mail in mails]


async def send(pool: SmtpPool, mails: Sequence[Posted], *, within: float = 30.0) -> list[Outcome]:
    told = Told()
    await pool.send(mails, told, within=within)
    assert len(told.of) == len(mails)
    return [told.of[mail.id] for mail in mails]


@asynccontextmanager
async def pool(
    sink: Sink, query: str = "", *, scheme: str = "smtp", login: str = "", **options: object
) -> AsyncIterator[SmtpPool]:
    server = mail_server(f"{scheme}://{login}{sink.host}:{sink.port}{query}")
    made = SmtpPool(server, **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()
