"""What access promises, on both databases."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from martech.kernel import audit
from martech.kernel.audit import Chain, ChainBroken, Entry, verify
from martech.kernel.auth import Principal, Revoked
from martech.kernel.clock import TestClock
from martech.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized
from martech.kernel.host import Host
from martech.kernel.messages import wire_name
from martech.modules.access import tables
from martech.modules.access.contract import KeyIssued, TenantOpened
from tests.modules.access.conftest import Office

pytestmark = pytest.mark.anyio


async def told(host: Host) -> list[str]:
    async with host.databases["access"].across(write=False) as connection:
        outbox = tables.metadata.tables["access.outbox"]
        rows = await connection.execute(select(outbox.c.type).order_by(outbox.c.position))
        return list(rows.scalars())


async def chain(office: Office) -> list[Entry]:
    async with office.host.databases["access"].across(write=False) as connection:
        mine = select(tables.audit).where(tables.audit.c.tenant == office.tenant)
        rows = await connection.execute(mine.order_by(tables.audit.c.number))
        return [Entry(**row) for row in rows.mappings()]


async def check(host: Host) -> list[Chain]:
    async with host.databases["access"].across(write=False) as connection:
        return await audit.check(connection, tables.metadata)


def machine(office: Office, *scopes: str) -> Principal:
    return Principal(tenant=office.tenant, key=uuid4(), kind="secret", scopes=frozenset(scopes))


async def test_a_tenant_is_opened_with_a_write_key_and_a_secret_key(office: Office) -> None:
    opened = await office.open()

    write, secret = [await office.principal(key.token) for key in opened.keys]
    assert opened.tenant.name == "acme"
    assert (write.kind, write.tenant, write.scopes) == ("write", office.tenant, frozenset())
    assert (secret.kind, secret.tenant) == ("secret", office.tenant)
    assert secret.may("anything:whatever")


async def test_opening_a_tenant_again_finds_it_and_shows_no_key(office: Office) -> None:
    first = await office.open()
    again = await Office(office.host, " ACME ").open()

    assert again.tenant == first.tenant
    assert again.keys == []


async def test_a_tenant_opened_by_many_at_once_is_opened_once(office: Office) -> None:
    opened = await asyncio.gather(*(office.open() for _ in range(8)))

    assert len({o.tenant.id for o in opened}) == 1
    assert sorted(len(o.keys) for o in opened) == [0] * 7 + [2]
    assert (await told(office.host)).count(wire_name(TenantOpened)) == 1


async def test_many_first_tenants_at_once_have_one_issuer(host: Host) -> None:
    offices = [Office(host, f"tenant {number}") for number in range(6)]
    opened = await asyncio.gather(*(office.open() for office in offices))

    for office, tenant in zip(offices, opened, strict=True):
        assert (await office.principal(tenant.keys[0].token)).tenant == office.tenant
    assert (await told(host)).count("auth.issuer_key_published.v1") == 1


async def test_no_key_is_kept(office: Office) -> None:
    opened = await office.open()
    async with office.asks() as access:
        page = await access.keys()

    async with office.host.databases["access"].across(write=False) as connection:
        everything = [
            str(row)
            for table in tables.metadata.sorted_tables
            for row in await connection.execute(select(table))
        ]
    tokens = [key.token for key in opened.keys]
    assert [key.hint for key in page.data] == [f"{t[:4]}…{t[-4:]}" for t in tokens]
    assert not [row for row in everything for token in tokens if token[20:60] in row]


async def test_a_person_s_key_never_exceeds_the_person_s_role(office: Office) -> None:
    await office.open()
    async with office.asks() as access:
        ada = await access.add_user("ada@example.com", "Ada", "editor")
        whole = await access.issue("secret", name="all", user_id=ada.id)
        part = await access.issue("secret", name="some", user_id=ada.id, scopes=["profiles:read"])
        with pytest.raises(Invalid, match="exceed the user's role"):
            await access.issue("secret", name="more", user_id=ada.id, scopes=["access:manage"])

    principal = await office.principal(whole.token)
    assert (principal.kind, principal.user) == ("user", ada.id)
    assert principal.may("profiles:write")
    assert not principal.may("access:manage")
    assert (await office.principal(part.token)).scopes == {"profiles:read"}


async def test_a_lower_role_revokes_the_keys_that_exceed_it_and_no_others(office: Office) -> None:
    await office.open()
    async with office.asks() as access:
        ada = await access.add_user("ada@example.com", "Ada", "editor")
        writes = await access.issue("secret", name="w", user_id=ada.id)
        reads = await access.issue("secret", name="r", user_id=ada.id, scopes=["profiles:read"])
        await access.change_user(ada.id, role="viewer")

    assert (await office.principal(reads.token)).user == ada.id
    with pytest.raises(Unauthorized, match="revoked"):
        await office.principal(writes.token)


async def test_a_removed_person_s_keys_stop_working(office: Office) -> None:
    await office.open()
    async with office.asks() as access:
        ada = await access.add_user("ada@example.com", "Ada", "viewer")
        key = await access.issue("secret", name="r", user_id=ada.id)
        await access.remove_user(ada.id)
        with pytest.raises(NotFound):
            await access.user(ada.id)

    with pytest.raises(Unauthorized, match="revoked"):
        await office.principal(key.token)


async def test_there_is_always_an_owner_left(office: Office) -> None:
    await office.open()
    async with office.asks() as access:
        ada = await access.add_user("ada@example.com", "Ada", "owner")
        with pytest.raises(Conflict, match="last owner"):
            await access.remove_user(ada.id)
        with pytest.raises(Conflict, match="last owner"):
            await access.change_user(ada.id, role="admin")
        await access.add_user("bob@example.com", "Bob", "owner")
        await access.remove_user(ada.id)


async def test_two_owners_who_remove_each_other_at_once_leave_one(office: Office) -> None:
    await office.open()
    async with office.asks() as access:
        owners = [await access.add_user(f"{n}@example.com", n, "owner") for n in "ab"]

    async def remove(owner: int) -> None:
        async with office.asks() as access:
            await access.remove_user(owners[owner].id)

    outcomes = await asyncio.gather(remove(0), remove(1), return_exceptions=True)
    assert sorted(type(outcome) for outcome in outcomes if outcome) == [Conflict]


async def test_nobody_hands_out_more_than_they_have(office: Office) -> None:
    await office.open()
    admin = machine(office, "*:read", "*:write", "*:manage")
    async with office.asks() as access:
        owner = await access.add_user("ada@example.com", "Ada", "owner")
        await access.add_user("eve@example.com", "Eve", "owner")
        strong = await access.issue("secret", name="strong", scopes=["*:*"])

    async with office.asks(admin) as access:
        mallory = await access.add_user("mal@example.com", "Mallory", "admin")
        for attempt in (
            access.add_user("x@example.com", "X", "owner"),
            access.change_user(mallory.id, role="owner"),
            access.change_user(owner.id, role="viewer"),
            access.remove_user(owner.id),
            access.issue("secret", name="x", scopes=["*:*"]),
            access.issue("secret", name="x", user_id=owner.id),
            access.rotate(strong.key.id),
            access.revoke(strong.key.id),
        ):
            with pytest.raises(Forbidden):
                await attempt
        assert (await access.key(strong.key.id)).status == "active"


async def test_a_rotated_key_and_its_successor_overlap(office: Office, clock: TestClock) -> None:
    await office.open()
    async with office.asks() as access:
        old = await access.issue(
            "secret",
            name="nightly",
            scopes=["profiles:read"],
            expires_at=clock.now() + timedelta(days=90),
        )
    clock.move(timedelta(days=80))
    async with office.asks() as access:
        new = await access.rotate(old.key.id, timedelta(hours=1))
        retiring = await access.key(old.key.id)
        with pytest.raises(Conflict, match="rotated already"):
            await access.rotate(old.key.id)

    keyring, start = await office.keyring(), clock.now()
    assert (retiring.status, retiring.successor) == ("retiring", new.key.id)
    assert new.key.expires_at == start + timedelta(days=90)
    assert keyring.verify(new.token, start).scopes == {"profiles:read"}
    keyring.verify(old.token, start + timedelta(minutes=59))
    with pytest.raises(Unauthorized, match="revoked"):
        keyring.verify(old.token, start + timedelta(hours=1))


async def test_a_key_rotated_twice_at_once_has_one_successor(office: Office) -> None:
    await office.open()
    async with office.asks() as access:
        old = await access.issue("write", name="web")

    async def rotate() -> None:
        async with office.asks() as access:
            await access.rotate(old.key.id)

    outcomes = await asyncio.gather(*(rotate() for _ in range(5)), return_exceptions=True)
    assert sorted(str(type(o).__name__) for o in outcomes) == ["Conflict"] * 4 + ["NoneType"]
    async with office.asks() as access:
        assert len((await access.keys()).data) == 4


async def test_revoking_twice_is_harmless_and_told_once(office: Office, clock: TestClock) -> None:
    opened = await office.open()
    key_id = opened.keys[0].key.id
    async with office.asks() as access:
        first = await access.revoke(key_id)
    clock.move(timedelta(minutes=5))
    async with office.asks() as access:
        again = await access.revoke(key_id)

    assert first.status == "revoked"
    assert again == first
    assert (await told(office.host)).count(wire_name(Revoked)) == 1


async def test_a_retiring_key_can_be_revoked_before_its_time(office: Office) -> None:
    opened = await office.open()
    async with office.asks() as access:
        await access.rotate(opened.keys[1].key.id)
        await access.revoke(opened.keys[1].key.id)

    with pytest.raises(Unauthorized, match="revoked"):
        await office.principal(opened.keys[1].token)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"kind": "secret"}, "scopes"),
        ({"kind": "secret", "scopes": ["profiles"]}, "scopes"),
        ({"kind": "secret", "scopes": ["profiles:see"]}, "scopes"),
        ({"kind": "write", "scopes": ["profiles:read"]}, "scopes"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(
    office: Office, wanted: dict[str, object], field: str
) -> None:
    await office.open()
    async with office.asks() as access:
        with pytest.raises(Invalid) as refused:
            await access.issue(name="x", **wanted)  # type: ignore[arg-type]
    assert refused.value.field == field


async def test_a_tenant_that_was_never_opened_gets_no_keys(office: Office) -> None:
    async with office.asks() as access:
        with pytest.raises(NotFound, match="tenant create"):
            await access.issue("write", name="x")


async def test_every_change_is_in_the_chain_and_the_chain_holds(office: Office) -> None:
    opened = await office.open()
    owner = await office.principal(opened.keys[1].token)
    async with office.asks(owner) as access:
        ada = await access.add_user("ada@example.com", "Ada", "viewer")
        await access.change_user(ada.id, role="editor")
        key = await access.issue("secret", name="k", user_id=ada.id)
        await access.rotate(key.key.id)
        await access.revoke(key.key.id)
        await access.remove_user(ada.id)

    entries = await chain(office)
    verify(entries)
    assert [entry.action for entry in entries] == [
        *("tenant.open", "key.issue", "key.issue"),
        *("user.add", "user.change", "key.issue", "key.issue", "key.rotate", "key.revoke"),
        *("key.revoke", "user.remove"),
    ]
    assert {entry.actor for entry in entries[:3]} == {"operator"}
    assert {entry.actor for entry in entries[3:]} == {f"key:{owner.key}"}
    assert not [
        e for e in entries if b"ada@" in e.detail or "ada@" in e.subject or b"Ada" in e.detail
    ]


async def test_what_was_rolled_back_is_neither_told_nor_in_the_chain(office: Office) -> None:
    await office.open()
    before = (await told(office.host), await chain(office))

    async def fail() -> None:
        async with office.asks() as access:
            await access.issue("write", name="web")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert (await told(office.host), await chain(office)) == before


async def test_a_chain_written_by_many_at_once_is_one_chain(office: Office) -> None:
    await office.open()

    async def issue(number: int) -> None:
        async with office.asks() as access:
            await access.issue("write", name=f"key {number}")

    await asyncio.gather(*(issue(number) for number in range(20)))

    entries = await chain(office)
    assert [entry.number for entry in entries] == list(range(1, 24))
    verify(entries)
    assert (await told(office.host)).count(wire_name(KeyIssued)) == 22


async def test_a_row_that_is_edited_in_the_database_breaks_the_chain(office: Office) -> None:
    await office.open()
    async with office.host.databases["access"].across() as connection:
        third = tables.audit.c.number == 3
        await connection.execute(update(tables.audit).where(third).values(actor="nobody"))

    with pytest.raises(ChainBroken) as broken:
        verify(await chain(office))
    assert broken.value.number == 3
    assert [found.broken_at for found in await check(office.host)] == [3]


async def test_every_tenant_s_chain_is_checked_a_page_at_a_time(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 2)
    offices = [Office(host, name) for name in ("acme", "other")]
    for office in offices:
        await office.open()

    heads = {office.tenant: (await chain(office))[-1].head for office in offices}
    found = await check(host)
    assert {one.tenant: one.head for one in found} == heads
    assert not [one for one in found if one.broken_at]


async def test_tenants_have_chains_and_keys_of_their_own(host: Host) -> None:
    acme, other = Office(host), Office(host, "other")
    opened = await acme.open()
    await other.open()

    async with other.asks() as access:
        for attempt in (
            access.key(opened.keys[0].key.id),
            access.rotate(opened.keys[0].key.id),
            access.revoke(opened.keys[0].key.id),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert len((await access.keys()).data) == 2
    for office in (acme, other):
        assert [entry.number for entry in await chain(office)] == [1, 2, 3]
        verify(await chain(office))


async def test_the_private_key_is_one_row(office: Office) -> None:
    await office.open()
    await Office(office.host, "other").open()
    async with office.host.databases["access"].across(write=False) as connection:
        count = await connection.execute(select(func.count()).select_from(tables.issuers))
        assert count.scalar_one() == 1
