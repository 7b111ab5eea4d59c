"""People with their mails before them: all they have is what the mail server took."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import select

from martech.kernel.clock import TestClock
from martech.kernel.module import Module
from martech.kernel.settings import Settings
from martech.modules.delivery import tables
from martech.modules.delivery.domain.settings import DeliverySettings
from tests.modules.delivery.letters import parsed
from tests.modules.delivery.stand import BASE, MODULES, START, Stand
from tests.serving import Served, serve
from tests.sinks.smtp import Sink

ONE_CLICK = "List-Unsubscribe=One-Click"
PERSON = {"accept": "text/html,application/xhtml+xml"}


class Received:
    """One mail, as its recipient's program reads it."""

    def __init__(self, data: bytes) -> None:
        self.mail: EmailMessage = parsed(data)
        found: dict[str, list[str]] = {"a": [], "img": []}
        for kind in ("html", "plain"):
            part = self.mail.get_body((kind,))
            setattr(self, kind, str(part.get_content()) if part else "")

        class Reader(HTMLParser):
            def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
                for name, value in attrs:
                    if tag in found and name in ("href", "src") and value:
                        found[tag].append(value)

        Reader().feed(self.html)
        self.links = [url for url in found["a"] if urlsplit(url).path.startswith("/c/")]
        (self.picture,) = found["img"] or [""]
        (self.out,) = re.fullmatch(r"<(\S+)>", self.mail["List-Unsubscribe"]).groups()  # type: ignore[union-attr]

    html: str
    plain: str


class Visitors:
    """They call what stands in the mails, as browsers and mail programs do: without keys."""

    def __init__(self, served: Served, stand: Stand) -> None:
        self.served = served
        self.stand = stand

    def mails(self) -> list[Received]:
        return [Received(mail.bytes) for mail in self.stand.sink.mails]

    async def call(self, method: str, url: str, **more: Any) -> httpx.Response:
        split = urlsplit(url)
        assert f"{split.scheme}://{split.netloc}" == BASE
        path = split.path + (f"?{split.query}" if split.query else "")
        return await self.served.client.request(method, path, follow_redirects=False, **more)

    async def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that delivery keeps, commands and outbox too."""
        kept = {}
        async with self.served.host.databases["delivery"].unit(write=False) as unit:
            for table in tables.metadata.sorted_tables:
                rows = (await unit.across(select(table))).all()
                kept[table.name] = sorted((tuple(row) for row in rows), key=repr)
        return kept

    async def told(self, kind: str) -> int:
        """How many facts of a type other modules heard of."""
        feed = self.served.host.feed("delivery")
        records = await feed.read(after=0, types=[f"delivery.{kind}.v1"], items=100_000)
        return sum(bytes(record.data).count(b'"message_id"') for record in records)


@asynccontextmanager
async def visitors(
    url: str,
    sink: Sink,
    modules: Sequence[Module] = MODULES,
    *,
    public: str = BASE,
    **settings: Any,
) -> AsyncIterator[Visitors]:
    own = DeliverySettings(
        smtp_url=f"smtp://{sink.host}:{sink.port}?tls=none",
        sender="Shop <news@shop.example>",
        **settings,
    )
    known = Settings(database_url=url, public_url=public, of_modules={DeliverySettings: own})
    async with serve(modules, known) as served:
        yield Visitors(served, Stand(served.host, sink, TestClock(START)))


def dkim_key(folder: Path) -> str:
    file = folder / "dkim.pem"
    key = Ed25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(file)
