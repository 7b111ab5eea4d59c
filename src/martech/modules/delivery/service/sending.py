"""What other modules and people may have done with a send."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select

from martech.kernel.errors import Conflict, Invalid, NotFound, Unavailable
from martech.modules.delivery.contract import Channel, Send
from martech.modules.delivery.domain.ledger import NUMBERS, Key
from martech.modules.delivery.domain.sends import RATES, Held
from martech.modules.delivery.service.linking import Linking
from martech.modules.delivery.tables import contents, sends

LONGEST = 200


class Sending(Linking):
    async def open_send(
        self,
        send_id: UUID,
        *,
        source: str,
        occasion: str,
        step: str = "",
        channel: Channel = "email",
        name: str,
        content_id: UUID,
        content_version: int,
        rate: float | None = None,
    ) -> Send:
        _check_words(source=source, occasion=occasion, step=step, name=name)
        _check_rate(rate)
        asked = (source, occasion, step, channel, content_id, content_version)
        found = await self._find(send_id)
        if found is None:
            await self._require(content_id, content_version)
            await self._make_key()
            row = {
                "id": send_id,
                "source": source,
                "occasion": occasion,
                "step": step,
                "channel": channel,
                "name": name,
                "content_id": content_id,
                "content_version": content_version,
                "rate": rate,
            }
            opened = await self._insert(row)
            if opened is not None:
                return opened
            found = await self.hold(send_id)  # somebody else was as fast
        if asked != _said(found):
            raise Conflict(f"{send_id} is another send. Open yours under an id of its own.")
        return found.view()

    async def _insert(self, said: Mapping[str, object]) -> Send | None:
        """A new send; None if there is one of that id."""
        fixed = {
            "tenant": self.tx.tenant,
            "status": "open",
            "sealed": False,
            "opened_at": self.tx.now,
            **dict.fromkeys(NUMBERS, 0),
        }
        new = await self.tx.insert_new(sends, [{**fixed, **said}], returning=["id"])
        if not new:
            return None
        held = await self.hold(new[0].id)
        held.loaded = None
        return await self.finish(held)

    async def seal_send(self, send_id: UUID) -> Send:
        held = await self.hold(send_id)
        if held.sealed:
            return held.view()
        held.sealed = True
        self._wake(held)  # what was refused in a row may wait for just this
        return await self.finish(held)

    async def pause_send(self, send_id: UUID) -> Send:
        held = await self.hold(send_id)
        if held.status == "paused":
            return held.view()
        _check_open(held)
        held.status = "paused"
        self.tx.audit("send.paused", str(send_id))
        return await self.finish(held)

    async def resume_send(self, send_id: UUID) -> Send:
        held = await self.hold(send_id)
        if held.status == "open":
            return held.view()
        _check_open(held)
        held.status = "open"
        held.clear("refused")
        self._wake(held)
        self.tx.audit("send.resumed", str(send_id))
        return await self.finish(held)

    async def change_rate(self, send_id: UUID, rate: float | None) -> Send:
        _check_rate(rate)
        held = await self.hold(send_id)
        _check_open(held)
        held.rate, held.used_until = rate, None
        self._wake(held)
        self.tx.audit("send.rate_changed", str(send_id), rate=rate)
        return await self.finish(held)

    async def send(self, send_id: UUID) -> Send:
        found = await self._find(send_id)
        if found is None:
            raise NotFound(f"There is no send {send_id}.")
        return found.view()

    async def _require(self, content_id: UUID, version: int) -> None:
        """What is to be sent must be known, and be for sending."""
        known = select(contents.c.version).where(
            self._mine(contents),
            contents.c.content_id == content_id,
            contents.c.version == version,
        )
        if (await self.tx.execute(known)).one_or_none() is None:
            raise Unavailable(
                f"Version {version} of the content {content_id} was not heard of yet.",
                retry_after=1,
            )
        if version <= await self._withdrawn(content_id):
            raise Conflict(
                f"Version {version} of the content was withdrawn. Publish a new one, and begin "
                "again with that."
            )


def _said(held: Held) -> tuple[str, str, str, str, UUID, int]:
    key: Key = held.key
    return (key.source, key.occasion, key.step, key.channel, held.content_id, held.content_version)


def _check_open(held: Held) -> None:
    if held.status in ("completed", "cancelled"):
        raise Conflict(f"The send is {held.status}; that is for good.")


def _check_words(**words: str) -> None:
    for field, word in words.items():
        if len(word) > LONGEST or "\0" in word:
            raise Invalid(f"{field} may have {LONGEST} characters, and no NUL.", field=field)


def _check_rate(rate: float | None) -> None:
    low, high = RATES
    if rate is not None and not low <= rate <= high:
        raise Invalid(f"rate is {rate}; choose {low} to {high:,.0f} a second.", field="rate")
