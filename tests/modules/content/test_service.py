"""What content promises its neighbours, and what holds when many act at once."""

import asyncio
from contextlib import AbstractAsyncContextManager
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import select

from martech.kernel.errors import Conflict, NotFound
from martech.kernel.host import Host
from martech.modules.content import domain
from martech.modules.content.contract import Content, ContentPublished, Published, Template
from martech.modules.content.domain import Compiled, Texts
from martech.modules.content.service import ContentService
from tests.modules.content.conftest import ACME, GLOBEX, MJML, told

pytestmark = pytest.mark.anyio

TEXTS = Texts(subject="Hi", mjml=MJML)


def asks(host: Host, tenant: UUID = ACME) -> AbstractAsyncContextManager[ContentService]:
    return host.unit("content", tenant)


async def made(host: Host) -> UUID:
    async with asks(host) as content:
        return (await content.create("Welcome", TEXTS, {})).id


async def publish(host: Host, content_id: UUID) -> Published:
    async with asks(host) as content:
        draft = await content.template(content_id)
        return await content.publish(content_id, compiled(draft), revision=draft.revision)


def compiled(draft: Template) -> Compiled:
    texts = Texts(subject=draft.subject, mjml=draft.mjml, html=draft.html, text=draft.text)
    return domain.compiled(texts)


async def test_the_port_answers_with_a_version_until_it_is_withdrawn(host: Host) -> None:
    port: Content = host.port(Content, ACME)
    content_id = await made(host)
    with pytest.raises(NotFound):
        await port.published(content_id)
    first = await publish(host, content_id)
    async with asks(host) as content:
        await content.change(content_id, "Welcome", Texts(subject="Ho", html="x"), {}, revision=1)
    second = await publish(host, content_id)

    assert await port.published(content_id) == second
    assert await port.published(content_id, version=1) == first
    with pytest.raises(NotFound):
        await port.published(content_id, version=3)
    with pytest.raises(NotFound):
        await port.published(uuid4())
    with pytest.raises(NotFound):
        await host.port(Content, GLOBEX).published(content_id)
    async with asks(host) as content:
        await content.withdraw(content_id)
    for version in (None, 1, 2):
        with pytest.raises(NotFound):
            await port.published(content_id, version=version)


async def test_what_is_told_is_the_whole_version(host: Host) -> None:
    content_id = await made(host)
    published = await publish(host, content_id)
    (event,) = await told(host)
    heard = msgspec.json.decode(event.data, type=ContentPublished)

    assert event.subject == str(content_id)
    assert event.tenant == ACME
    assert msgspec.structs.asdict(heard) == msgspec.structs.asdict(published)


async def test_many_who_publish_at_once_make_one_version(host: Host) -> None:
    content_id = await made(host)
    made_of_it = await asyncio.gather(*(publish(host, content_id) for _ in range(12)))

    assert len({version.version for version in made_of_it}) == 1
    assert all(version == made_of_it[0] for version in made_of_it)
    assert len(await told(host)) == 1


async def test_what_was_compiled_of_an_older_draft_is_not_published(host: Host) -> None:
    content_id = await made(host)
    async with asks(host) as content:
        old = domain.compiled(TEXTS)
        await content.change(content_id, "Welcome", Texts(subject="Ho", html="x"), {}, revision=1)
    with pytest.raises(Conflict, match="at revision 2 now, not at 1"):
        async with asks(host) as content:
            await content.publish(content_id, old, revision=1)

    assert await told(host) == []


async def test_of_many_who_change_a_revision_one_is_heard(host: Host) -> None:
    content_id = await made(host)

    async def change(number: int) -> bool:
        try:
            async with asks(host) as content:
                texts = Texts(subject=f"Hi {number}", html="x")
                await content.change(content_id, "Welcome", texts, {}, revision=1)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(change(number) for number in range(12)))) == 1
    async with asks(host) as content:
        assert (await content.template(content_id)).revision == 2


async def test_a_version_stays_what_it_was_whatever_becomes_of_its_template(host: Host) -> None:
    content_id = await made(host)
    first = await publish(host, content_id)

    async def work(number: int) -> None:
        async with asks(host) as content:
            draft = await content.template(content_id)
            texts = Texts(subject=f"Hi {number}", html=f"<p>{number}</p>")
            try:
                new = await content.change(content_id, "New", texts, {}, revision=draft.revision)
                await content.publish(content_id, compiled(new), revision=new.revision)
                if number % 3 == 0:
                    await content.withdraw(content_id)
            except Conflict:
                return

    await asyncio.gather(*(work(number) for number in range(12)))
    async with asks(host) as content:
        listed = (await content.versions(content_id)).data
        versions = [await content.version(content_id, row.version) for row in listed]
    events = [e for e in await told(host) if e.type == "content.content_published.v1"]
    heard = [msgspec.json.decode(event.data, type=ContentPublished) for event in events]

    assert versions[0] == first
    assert [version.version for version in versions] == list(range(1, len(versions) + 1))
    assert [msgspec.structs.asdict(fact) for fact in heard] == [
        msgspec.structs.asdict(version) for version in versions
    ], "what was told, in the order told, is what is kept"


async def test_what_is_not_committed_is_neither_kept_nor_told(host: Host) -> None:
    content_id = await made(host)
    with pytest.raises(RuntimeError, match="afterwards"):
        async with asks(host) as content:
            await content.publish(content_id, domain.compiled(TEXTS), revision=1)
            raise RuntimeError("something afterwards")

    assert await told(host) == []
    async with asks(host) as content:
        assert (await content.versions(content_id)).data == []


async def test_who_did_what_is_audited(host: Host) -> None:
    content_id = await made(host)
    await publish(host, content_id)
    async with asks(host) as content:
        await content.withdraw(content_id)
    audit = host.databases["content"].metadata.tables["content.audit"]
    async with host.databases["content"].across(write=False) as connection:
        rows = (await connection.execute(select(audit).order_by(audit.c.number))).all()

    assert [(row.action, row.subject) for row in rows] == [
        (f"template.{what}", f"template:{content_id}") for what in ("create", "publish", "withdraw")
    ]
