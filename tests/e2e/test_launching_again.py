"""A campaign that fails half way is mended and launched again, over the real modules; the mail
server's own log says that nobody has its mail twice, and nobody goes without. On both databases."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import pytest

from martech.kernel.jobs import Jobs
from martech.modules.campaigns import domain, jobs
from martech.modules.campaigns.domain.steering import Advance
from martech.modules.content.contract import Content
from martech.modules.delivery.contract import Delivery
from martech.modules.personalization.contract import Personalization
from tests.chaos.starting import settled
from tests.e2e.town import Town, town
from tests.sinks.smtp import sink

pytestmark = pytest.mark.anyio

PEOPLE, PAGE = 20, 5

Act = Callable[[], Awaitable[object]]


@pytest.fixture
async def shop(product_url: str) -> AsyncIterator[Town]:
    async with sink() as server, town(product_url, server) as made:
        yield made


class Meanwhile:
    """Delivery, and what happens after each page of people that it was given."""

    def __init__(self, delivery: object, *acts: Act) -> None:
        self._delivery, self._acts = delivery, list(acts)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        async def ask(*args: object, **kwargs: object) -> object:
            answer: object = await getattr(self._delivery, name)(*args, **kwargs)
            if name == "add_recipients" and self._acts:
                await self._acts.pop(0)()
            return answer

        return ask


async def test_who_had_it_gets_no_second_and_who_was_left_out_gets_it(
    shop: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "PAGE", PAGE)
    everybody = await settled(shop, PEOPLE)
    some = await shop.segment("Some", {"trait": "name", "is": "exists"})
    campaign = await shop.campaign(some, await shop.template())
    await shop.order(campaign, "launch")
    host, tenant = shop.served.host, shop.served.tenant

    async def mails_leave() -> None:
        carrier = Jobs(host).carriers["delivery"]
        for id_ in (await carrier.sweep(100))[0]:
            await carrier.carry_out(id_)

    async def segment_is_deleted() -> None:
        await shop.do("DELETE", f"/personalization/v1/segments/{some}")

    delivery = Meanwhile(host.port(Delivery, tenant), mails_leave, segment_is_deleted)
    ports = [host.port(port, tenant) for port in (Content, Personalization)]
    command = Advance(campaign_id=UUID(campaign))
    await jobs.advance.run(command, lambda: host.unit("campaigns", tenant), *ports, delivery)
    await shop.settle()
    failed, early = await shop.status(campaign), set(shop.mails())

    path = f"/campaigns/v1/campaigns/{campaign}"
    await shop.do("PATCH", path, {"segment_id": everybody})
    await shop.order(campaign, "launch")
    await shop.settle()
    done = await shop.status(campaign)
    reached = (await shop.do("GET", f"/analytics/v1/messages?source=campaign:{campaign}"))["total"]

    assert (failed["status"], failed["counts"]["cancelled"], len(early)) == ("failed", PAGE, PAGE)
    assert (done["status"], done["counts"]["audience"]) == ("completed", PEOPLE)
    assert done["counts"]["delivered"] == done["counts"]["sent"] == reached["sent"] == PEOPLE
    assert f"{PAGE} whose address" in done["remark"]
    assert sorted(shop.mails()) == sorted(f"p{number}" for number in range(PEOPLE))
    assert len(shop.sink.mails) == PEOPLE, "nobody twice"
