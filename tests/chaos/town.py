"""The product with two tenants in it: acme, whose every field holds a canary, and globex."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import msgspec

from martech.app import installed, load
from martech.kernel.auth import Follower, Keyring
from martech.kernel.bus import Bus
from martech.kernel.clock import SystemClock
from martech.kernel.cursors import Aside, Cursors, Place
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.jobs import Jobs
from martech.kernel.settings import Settings
from martech.modules.access.domain import tenant_id
from martech.modules.delivery.domain.links import Signer
from tests.promised import Promised
from tests.serving import alive, rest_api

Wrap = Callable[[Any], Any]

CANARY = "kanarienvogel"
ROLES = ("viewer", "editor", "admin", "owner")


class Town:
    def __init__(self, host: Host, client: httpx.AsyncClient, follower: Follower) -> None:
        self.host = host
        self.client = client
        self.follower = follower
        self.secret: dict[str, str] = {}
        self.write: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        """What acme's things are called, by the name of the parameter that asks for them."""

        self.places: dict[str, str] = {}
        """Where acme stands in its lists, by the list's path: the ``next`` of the first page."""

        self.strangers: dict[str, str] = {}
        """A key of globex of each kind and role."""

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None,
        query: Mapping[str, str] | None = None,
        media: str = "application/json",
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        if body is not None:
            headers["content-type"] = media
        content = None if body is None else msgspec.json.encode(body)
        return await self.client.request(
            method, path, content=content, headers=headers, params=query
        )

    async def do(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """As acme's owner, who may."""
        answer = await self.call(method, path, body, key=self.secret["acme"], query=query)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def open(self) -> None:
        for name in ("acme", "globex"):
            async with self.host.unit("access", tenant_id(name)) as access:
                write, secret = (await access.open_tenant(name)).keys
            self.write[name], self.secret[name] = write.token, secret.token
        await self.follower.catch_up()
        await self._fill()
        await self._look_around()
        self.strangers = await self._keys_of_globex()
        await self.follower.catch_up()

    async def _fill(self) -> None:
        user = {"email": f"{CANARY}@example.com", "name": CANARY, "role": "viewer"}
        self.ids["user_id"] = (await self.do("POST", "/access/v1/users", user))["id"]
        key = {"kind": "secret", "name": CANARY, "user_id": self.ids["user_id"]}
        self.ids["key_id"] = (await self.do("POST", "/access/v1/keys", key))["key"]["id"]
        for tenant, person in (("acme", CANARY), ("acme", f"{CANARY} 2"), ("globex", "jane")):
            await self._track(tenant, person)
        await Bus(self.host).settle()
        lookup = {"kind": "user_id", "value": CANARY}
        person = await self.do("GET", "/profiles/v1/people/lookup", **lookup)
        self.ids["person_id"] = person["id"]
        consent = {"status": "granted", "source": CANARY}
        await self.do("PUT", f"/profiles/v1/people/{person['id']}/consents/email", consent)
        self.ids["channel"] = "email"
        await self.settle()
        await self._mail()
        await self._park()

    async def _mail(self) -> None:
        """A campaign of acme's, to the end."""
        template = {
            "name": CANARY,
            "subject": f"{CANARY} for {{{{ profile.name }}}}",
            "html": f'<p><a href="https://{CANARY}.example">{CANARY}</a></p>'
            '<p><a href="{{ unsubscribe_url }}">no more</a></p>',
            "sample": {"profile": {"name": CANARY}},
        }
        made = await self.do("POST", "/content/v1/templates", template)
        content = f"/content/v1/templates/{made['id']}"
        self.ids["content_id"] = made["id"]
        self.ids["version"] = str((await self.do("POST", f"{content}/publish"))["version"])
        segment = {"name": CANARY, "condition": {"trait": "name", "is": "exists"}}
        made = await self.do("POST", "/personalization/v1/segments", segment)
        self.ids["segment_id"] = made["id"]
        self.ids["profile_id"] = self.ids["person_id"]
        suppressed = {"address": f"{CANARY}@nowhere.example", "source": CANARY}
        await self.do("POST", "/delivery/v1/suppressions", suppressed)
        self.ids["address"] = suppressed["address"]
        await self.settle()
        campaign = {name: self.ids[name] for name in ("segment_id", "content_id")}
        made = await self.do("POST", "/campaigns/v1/campaigns", {"name": CANARY, **campaign})
        self.ids["campaign_id"] = made["id"]
        self.ids["source"] = f"campaign:{made['id']}"
        await self.do("POST", f"/campaigns/v1/campaigns/{made['id']}/launch")
        await self.settle()
        await self._read_mail()

    async def _park(self) -> None:
        """Two things of acme's in each module: the same ones, as far as an id can tell."""
        now = self.host.clock.now()
        said = Aside(
            Place(7, 0), tenant_id("acme"), UUID(int=7), CANARY, CANARY, now, CANARY.encode()
        )
        for database in self.host.databases.values():
            for subscription in ("heard", "heard_more"):
                cursors = Cursors(database.metadata, subscription)
                async with database.across() as connection:
                    await cursors.create(connection, 0)
                    await cursors.set_aside(
                        connection, [said], attempts=1, due_at=None, error=CANARY
                    )
        self.ids["parked_id"] = "heard:7:0"

    async def _read_mail(self) -> None:
        """The ids that only the mail knows, and a token for it that is signed by nobody."""
        (sent,) = (await self.do("GET", "/delivery/v1/sends"))["data"]
        self.ids["send_id"] = sent["id"]
        person = {"profile_id": self.ids["person_id"]}
        (message,) = (await self.do("GET", "/delivery/v1/messages", **person))["data"]
        self.ids["message_id"] = message["id"]
        stranger = Signer(b"somebody else's", tenant_id("acme"))
        self.ids["token"] = stranger.token("u", UUID(message["id"]))

    async def settle(self) -> None:
        """Until everything is heard and done that is to be by now."""
        bus, jobs = Bus(self.host), Jobs(self.host)
        await bus.settle()
        while await jobs.settle():
            await bus.settle()

    async def _track(self, tenant: str, person: str) -> None:
        items = [
            {
                "type": "identify",
                "userId": person,
                "anonymousId": f"{person}-device",
                "messageId": f"{person}-1",
                "traits": {"email": f"{person.replace(' ', '')}@example.com", "name": person},
            },
            {
                "type": "track",
                "userId": person,
                "messageId": f"{person}-2",
                "event": f"Seen by {person}",
                "properties": {"bird": person},
            },
            {"type": "track", "userId": person, "messageId": f"{person}-3", "event": ""},
        ]
        answer = await self.call("POST", "/v1/batch", {"batch": items}, key=self.write[tenant])
        assert answer.status_code == 200, answer.text

    async def _keys_of_globex(self) -> dict[str, str]:
        """One of each kind and role, all of the other tenant."""
        owner = self.secret["globex"]
        keys = {"every scope": owner, "write": self.write["globex"]}
        for role in ROLES:
            user = {"email": f"{role}@globex.example", "name": role, "role": role}
            made = (await self.call("POST", "/access/v1/users", user, key=owner)).json()
            wanted = {"kind": "secret", "name": role, "user_id": made["id"]}
            issued = await self.call("POST", "/access/v1/keys", wanted, key=owner)
            keys[role] = issued.json()["token"]
        return keys

    async def _look_around(self) -> None:
        for path, methods in rest_api()["paths"].items():
            taken = {p["name"] for p in methods.get("get", {}).get("parameters", [])}
            if "after" in taken and "types" not in taken:  # the place of events is their position
                page = await self.do("GET", path.format_map(self.ids), limit="1")
                self.places[path] = page["next"] or ""

    async def state_of_acme(self) -> dict[str, str]:
        """A digest of acme's rows in each table, as the kernel sees them."""
        return {
            name: await self._digest(name, table)
            for name, module in self.host.modules.items()
            for table in sorted(module.tables.tables)
        }

    async def _digest(self, name: str, table: str) -> str:
        rows = self.host.modules[name].tables.tables[table]
        if "tenant" not in rows.c:
            return ""
        mine = rows.select().where(rows.c.tenant == tenant_id("acme"))
        async with self.host.databases[name].across(write=False) as connection:
            found = sorted(repr(tuple(row)) for row in await connection.execute(mine))
        return hashlib.sha256(msgspec.json.encode(found)).hexdigest()


@asynccontextmanager
async def town(url: str, wrap: Wrap | None = None) -> AsyncIterator[Town]:
    """*wrap* is put between the clients and the application."""
    host, keyring = Host(load(installed()), Settings(database_url=url)), Keyring()
    follower = Follower(keyring, host.issuer(), SystemClock())
    app = application(host, keyring, follower)
    asked: Any = wrap(app) if wrap else app
    transport = Promised(asked, host)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        made = Town(host, client, follower)
        await made.open()
        yield made
