"""A key revoked in one process stops working in another, soon."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from anyio.lowlevel import checkpoint

from martech.kernel.auth import Follower, Keyring
from martech.kernel.errors import Conflict, Unauthorized
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.settings import Settings
from martech.modules.access.module import module
from tests.commands import run
from tests.modules.access.conftest import Office
from tests.queueing import queued
from tests.serving import alive

pytestmark = pytest.mark.anyio

SECONDS = 5.0


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A host that is up and follows its issuer by itself."""
    host, keyring = Host([module], Settings(database_url=url)), Keyring()
    app = application(host, keyring, Follower(keyring, host.issuer(), host.clock))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        yield client


async def martech(url: str, *arguments: str) -> str:
    """What the command line prints, run as a process of its own."""
    env = os.environ | {"MARTECH_DATABASE_URL": url, "MARTECH_MODULES": "access"}
    done = await asyncio.to_thread(run, *arguments, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def answer(client: httpx.AsyncClient, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return (await client.get("/access/v1/tenant", headers=headers)).status_code


async def until(client: httpx.AsyncClient, key: str, status: int) -> None:
    """In time, or `TimeoutError`."""
    async with asyncio.timeout(SECONDS):
        while await answer(client, key) != status:
            await checkpoint()


async def test_a_key_from_another_process_works_and_its_revocation_there_ends_it_here(
    access_url: str,
) -> None:
    async with serving(access_url) as client:
        printed = (await martech(access_url, "tenant", "create", "acme")).split()
        key = next(word for word in printed if word.startswith("mts_"))
        await until(client, key, 200)

        issued = await client.post(
            "/access/v1/keys",
            json={"kind": "secret", "name": "doomed", "scopes": ["access:read"]},
            headers={"authorization": f"Bearer {key}"},
        )
        doomed = issued.json()
        assert await answer(client, doomed["token"]) == 200

        await martech(access_url, "key", "revoke", doomed["key"]["id"], "--tenant", "acme")

        await until(client, doomed["token"], 401)
        assert await answer(client, key) == 200


async def test_a_host_that_comes_up_after_a_revocation_knows_of_it_at_once(
    access_url: str,
) -> None:
    printed = (await martech(access_url, "tenant", "create", "acme")).split()
    key = next(word for word in printed if word.startswith("mts_"))
    async with serving(access_url) as client:
        assert await answer(client, key) == 200
        mine = (
            await client.get("/access/v1/keys", headers={"authorization": f"Bearer {key}"})
        ).json()

    (used,) = (row["id"] for row in mine["data"] if row["kind"] == "secret")
    await martech(access_url, "key", "revoke", used, "--tenant", "acme")

    async with serving(access_url) as client:
        assert await answer(client, key) == 401


async def test_a_key_issued_while_the_host_is_up_never_counts_as_foreign(access_url: str) -> None:
    """Clients give up on 401; a key that we have yet to hear of gets 503 and is tried again."""
    async with serving(access_url) as client:
        printed = (await martech(access_url, "tenant", "create", "acme")).split()
        key = next(word for word in printed if word.startswith("mts_"))
        seen = set()
        async with asyncio.timeout(SECONDS):
            while 200 not in seen:
                seen.add(await answer(client, key))
                await checkpoint()

    assert seen <= {200, 503}


async def test_a_key_signed_while_its_person_leaves_does_not_survive_them(office: Office) -> None:
    await office.open()
    async with office.asks() as access:
        ada = await access.add_user("ada@example.com", "Ada", "editor")
        old = await access.issue("secret", name="old", user_id=ada.id)

    async def leave() -> None:
        async with office.asks() as access:
            await access.remove_user(ada.id)

    async with office.asks() as access:
        late = await access.issue("secret", name="late", user_id=ada.id)
        successor = await access.rotate(old.key.id)
        leaving = asyncio.create_task(leave())
        await queued(leaving, office.host.databases["access"])
    await leaving

    for issued in (old, late, successor):
        with pytest.raises(Unauthorized, match="revoked"):
            await office.principal(issued.token)


async def test_a_key_revoked_while_it_is_rotated_gets_no_successor(office: Office) -> None:
    key = (await office.open()).keys[1]

    async def rotate() -> None:
        async with office.asks() as access:
            await access.rotate(key.key.id)

    async with office.asks() as access:
        await access.revoke(key.key.id)
        rotating = asyncio.create_task(rotate())
        await queued(rotating, office.host.databases["access"])
    with pytest.raises(Conflict):
        await rotating
    async with office.asks() as access:
        assert [one.id for one in (await access.keys()).data if one.name == key.key.name] == [
            key.key.id
        ]
