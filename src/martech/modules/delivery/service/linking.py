"""The links in mails, and the key that signs them, and what else the tenant's key is for."""

from collections.abc import Mapping
from hashlib import sha256
from uuid import uuid4

from sqlalchemy import select

from martech.modules.delivery.domain.links import Signer
from martech.modules.delivery.domain.pseudonyms import pseudonym
from martech.modules.delivery.service.rows import Rows
from martech.modules.delivery.tables import links, signing_keys


class Linking(Rows):
    async def signer(self) -> Signer:
        """Of this tenant. Whoever opened its first send made the key."""
        mine = select(signing_keys.c.key).where(self._mine(signing_keys))
        return Signer((await self.tx.execute(mine)).scalar_one(), self.tx.tenant)

    async def pseudonym(self, address: str) -> str:
        """How the audit names *address*: it outlives the person, and erasure cannot rewrite it."""
        await self._make_key()
        return pseudonym((await self.signer()).key, address)

    async def store_links(self, found: Mapping[str, str]) -> None:
        """A click leads to what is stored, so it is stored before the mail leaves."""
        fixed = {"tenant": self.tx.tenant, "made_at": self.tx.now}
        rows = [{**fixed, "id": id_, "url": url} for id_, url in sorted(found.items())]
        await self.tx.insert_new(links, rows, returning=["id"])

    async def _make_key(self) -> None:
        """The tenant's own, made once and for ever: links in old mails must hold."""
        key = sha256(uuid4().bytes + uuid4().bytes).digest()  # 244 bits of chance
        row = {"tenant": self.tx.tenant, "key": key, "made_at": self.tx.now}
        await self.tx.insert_new(signing_keys, [row], returning=["made_at"])
