"""How somebody comes to be written to no more. Each way is committed when it returns."""

from uuid import uuid4

from martech.modules.delivery.domain.ledger import Key
from martech.modules.delivery.domain.links import opened
from martech.modules.delivery.domain.outcomes import Refused
from martech.modules.delivery.service.engaging import Hit
from martech.modules.profiles.contract import ConsentChanged
from tests.chaos.mailing import LEASE, Mailing


async def by_link(trial: Mailing, address: str) -> None:
    key = Key(trial.tenant, "campaign:1", str(trial.send_id), "", "email")
    async with trial.host.unit("delivery", trial.tenant) as service:
        token = opened("u", (await service.signer()).token("u", key.message_id(address)))
        assert token is not None
        await service.engage([Hit(token, counts=True)])


async def by_hand(trial: Mailing, address: str) -> None:
    async with trial.host.unit("delivery", trial.tenant) as service:
        await service.suppress(address, source="a call")


async def by_consent(trial: Mailing, address: str) -> None:
    """Profiles has committed it; delivery is to hear of it by the bus."""
    said = ConsentChanged(
        profile_id=trial.people[address],
        channel="email",
        status="denied",
        at=trial.host.clock.now(),
    )
    async with trial.host.databases["profiles"].transaction(trial.tenant) as tx:
        tx.publish(said)


async def by_server(trial: Mailing, address: str) -> None:
    """Theirs does not know them: so it answers a mail of another send."""
    another = uuid4()
    answer = Refused(550, "5.1.1 no such mailbox", "RCPT")
    async with trial.host.unit("delivery", trial.tenant) as service:
        await trial.open(service, another, "campaign:2", None)
        await service.add_recipients(another, [trial.people[address]])
        await service.seal_send(another)
        held = await service.hold(another)
        await service.claim(held, 0, 1)
        await service.settle(held, 0, {}, otherwise=answer, retry=LEASE)
        await service.end_row(held)
        await service.finish(held)


WAYS = (by_link, by_hand, by_consent, by_server)
