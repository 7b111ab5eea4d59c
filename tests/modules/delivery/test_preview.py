"""A preview is the mail that is sent, but for one thing: what its links can do."""

import asyncio
import re
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from martech.kernel.aside import MOST, WAITING
from martech.modules.delivery.service.writing import Proofs
from tests.gates import Gate, pass_gate
from tests.modules.delivery.letters import parsed
from tests.modules.delivery.stand import BASE
from tests.modules.delivery.visiting import (
    ONE_CLICK,
    PERSON,
    Received,
    Visitors,
    dkim_key,
    visitors,
)
from tests.sinks.smtp import Sink

pytestmark = pytest.mark.anyio

TOKEN = re.compile(rf"(?<={re.escape(BASE)}/[cou]/)[A-Za-z0-9_-]+")
SIGNATURE = re.compile(r"(?<=; )bh?=[^;]+", re.ASCII)


@pytest.fixture
async def people(delivery_url: str, server: Sink) -> AsyncIterator[Visitors]:
    async with visitors(delivery_url, server) as made:
        yield made


async def preview(people: Visitors, send_id: UUID, profile_id: UUID, at: str) -> bytes:
    people.served.tenant = people.stand.tenant
    answer = await people.served.client.get(
        f"/delivery/v1/sends/{send_id}/preview",
        params={"profile_id": str(profile_id), "at": at},
        headers=people.served.headers("delivery:read"),
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("message/rfc822")
    return answer.content


def proofs(people: Visitors) -> Proofs:
    found = people.served.host.resources["delivery"][Proofs]
    assert isinstance(found, Proofs)
    return found


async def sent_and_shown(people: Visitors) -> tuple[bytes, bytes, bytes]:
    """The bytes that the server took, and the previews before and after it did."""
    stand = people.stand
    send = await stand.to("ada")
    ada = (await stand.messages(send))["ada"]
    early = await preview(people, send.id, ada.profile_id, "2026-12-01T12:00:00Z")
    await stand.work()
    (mail,) = stand.sink.mails
    date = parsedate_to_datetime(str(parsed(mail.bytes)["Date"])).isoformat()
    return mail.bytes, early, await preview(people, send.id, ada.profile_id, date)


def tokens(data: bytes) -> list[str]:
    """Those in the text that a reader sees, and in the head."""
    mail = Received(data)
    return TOKEN.findall(f"{mail.out}\n{mail.plain}\n{mail.html}")


def without_breaks(data: bytes) -> str:
    """One line of quoted-printable is broken wherever it is full, in a token too."""
    return data.replace(b"=\r\n", b"").decode("ascii")


async def test_a_preview_is_the_bytes_that_are_sent_but_for_the_tokens(people: Visitors) -> None:
    sent, early, late = await sent_and_shown(people)
    assert len(late) == len(sent)
    assert len(TOKEN.findall(without_breaks(sent))) == 6
    assert TOKEN.sub("", without_breaks(late)) == TOKEN.sub("", without_breaks(sent))
    undated = re.compile(rb"Date: [^\r]+")
    assert undated.sub(b"", early) == undated.sub(b"", late), "as true before as after"


async def test_now_is_when_the_mail_is_written_and_what_its_date_says(people: Visitors) -> None:
    stand = people.stand
    footer = "<p>&copy; {{ 'now' | date: '%Y' }}, {{ now }}</p>"
    await stand.publish(html=footer, subject="{{ 'today' | date: '%d.%m.%Y %H:%M:%S.%f' }}")
    (ada,) = await stand.people("ada")
    send = await stand.add(await stand.open(), [ada])
    await stand.work(later=0.7)
    (mail,) = stand.sink.mails
    date = parsedate_to_datetime(str(parsed(mail.bytes)["Date"]))
    for data in (mail.bytes, await preview(people, send.id, ada, date.isoformat())):
        shown = Received(data)
        assert shown.mail["Subject"] == date.strftime("%d.%m.%Y %H:%M:%S.%f")
        assert f"<p>&copy; {date.year}, {date.isoformat()}</p>" in shown.html


async def test_no_token_of_a_preview_is_one_of_the_mail(people: Visitors) -> None:
    sent, _, late = await sent_and_shown(people)
    assert len(tokens(late)) == len(tokens(sent)) == 6
    assert not set(tokens(late)) & set(tokens(sent))
    assert [len(token) for token in tokens(late)] == [len(token) for token in tokens(sent)]


async def test_links_of_a_preview_say_so_and_do_nothing(people: Visitors) -> None:
    _, _, shown = await sent_and_shown(people)
    mail = Received(shown)
    before = await people.rows()
    picture = await people.call("GET", mail.picture)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/gif")
    for method, url in [
        ("GET", mail.links[0]),
        ("HEAD", mail.links[0]),
        ("GET", mail.out),
        ("POST", mail.out),
    ]:
        for headers in (PERSON, {}):
            answer = await people.call(method, url, headers=headers)
            assert answer.status_code == 200, (method, url)
            assert ("This is a preview" in answer.text) == (method != "HEAD")
            assert "<form" not in answer.text
            assert answer.headers["cache-control"] == "no-store"
    await people.call("POST", mail.out, content=ONE_CLICK)
    await people.stand.work()
    assert await people.rows() == before


async def test_a_signed_preview_differs_in_its_signature_too(
    delivery_url: str, server: Sink, tmp_path: Path
) -> None:
    sealed = {"dkim_key": dkim_key(tmp_path), "dkim_selector": "s", "dkim_domain": "shop.example"}
    async with visitors(delivery_url, server, **sealed) as people:
        sent, _, late = await sent_and_shown(people)
    plain = [TOKEN.sub("", without_breaks(data)) for data in (sent, late)]
    unsigned = [SIGNATURE.sub("", data.replace("\r\n ", " ")) for data in plain]
    assert plain[0] != plain[1]
    assert unsigned[0] == unsigned[1]


async def test_nobody_has_no_preview(people: Visitors) -> None:
    send = await people.stand.to("ada")
    people.served.tenant = people.stand.tenant
    answer = await people.served.client.get(
        f"/delivery/v1/sends/{send.id}/preview",
        params={"profile_id": str(uuid4())},
        headers=people.served.headers("delivery:read"),
    )
    assert (answer.status_code, answer.json()["field"]) == (404, "profile_id")


async def test_a_preview_is_filled_in_aside_and_holds_up_nobody(
    people: Visitors, tmp_path: Path
) -> None:
    send = await people.stand.to("ada")
    ada = (await people.stand.messages(send))["ada"]
    gate, aside = Gate(tmp_path), proofs(people).aside
    busy = [
        asyncio.create_task(aside.do(UUID(int=100 + number), pass_gate, str(gate.path)))
        for number in range(MOST)
    ]
    shown = asyncio.create_task(preview(people, send.id, ada.profile_id, "2026-12-01T12:00:00Z"))
    while aside.asked <= MOST and not shown.done():
        await people.stand.look(send)
    async with people.served.host.databases["delivery"].unit() as writing:
        await writing.across(select(1))
    assert not shown.done()
    gate.open()
    await asyncio.gather(*busy)
    assert b"it is winter" in await shown


async def test_who_asks_for_too_many_previews_is_told_to_wait(
    people: Visitors, tmp_path: Path
) -> None:
    send = await people.stand.to("ada")
    ada = (await people.stand.messages(send))["ada"]
    gate, aside, tenant = Gate(tmp_path), proofs(people).aside, people.stand.tenant
    busy = [
        asyncio.create_task(aside.do(tenant, pass_gate, str(gate.path))) for _ in range(1 + WAITING)
    ]
    people.served.tenant = tenant
    refused = await people.served.client.get(
        f"/delivery/v1/sends/{send.id}/preview",
        params={"profile_id": str(ada.profile_id)},
        headers=people.served.headers("delivery:read"),
    )
    gate.open()
    await asyncio.gather(*busy)
    assert refused.status_code == 429
    assert await preview(people, send.id, ada.profile_id, "2026-12-01T12:00:00Z")


async def test_a_template_that_does_not_render_is_a_conflict(people: Visitors) -> None:
    await people.stand.publish(subject="{{ 100 | divided_by: profile.traits.n }}")
    (ada,) = await people.stand.people("ada")
    await people.stand.change(ada, n=0)
    send = await people.stand.add(await people.stand.open(), [ada])
    people.served.tenant = people.stand.tenant
    answer = await people.served.client.get(
        f"/delivery/v1/sends/{send.id}/preview",
        params={"profile_id": str(ada)},
        headers=people.served.headers("delivery:read"),
    )
    assert answer.status_code == 409
    assert "does not render" in answer.json()["detail"]
