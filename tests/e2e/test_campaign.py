"""A segment, a template, a campaign, its mails, and what people do with them: through the API and
the mail server alone, over the real modules, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from martech.kernel.bus import Bus
from martech.modules.campaigns import domain
from martech.modules.personalization.contract import Members
from martech.modules.personalization.service import PersonalizationService
from tests.e2e.town import Town, at_work, town
from tests.sinks.smtp import sink

pytestmark = pytest.mark.anyio

PEOPLE, BUYERS = 30, 20
LOYAL = {"event": "Order Completed", "sum": "revenue", "at_least": 100}


def said(number: int) -> list[dict[str, object]]:
    """Who somebody is, and (if they bought) two orders."""
    user, traits = f"p{number}", {"name": f"P {number}", "email": f"p{number}@example.com"}
    who = {"type": "identify", "userId": user, "messageId": f"{user}-who", "traits": traits}
    orders = [
        {
            "type": "track",
            "userId": user,
            "messageId": f"{user}-{order}",
            "event": "Order Completed",
            "properties": {"revenue": 50},
        }
        for order in range(2 if number < BUYERS else 1)
    ]
    return [who, *orders]


@pytest.fixture
async def shop(product_url: str) -> AsyncIterator[Town]:
    async with sink() as server, town(product_url, server) as made:
        await made.track([item for number in range(PEOPLE) for item in said(number)])
        yield made


async def test_a_campaign_reaches_its_segment_once_and_shows_what_came_of_it(shop: Town) -> None:
    segment, content = await shop.segment("Loyal", LOYAL), await shop.template()
    campaign = await shop.campaign(segment, content)
    await shop.order(campaign, "launch")
    await shop.settle()

    sent = await shop.status(campaign)
    mails = shop.mails()
    assert sorted(mails) == sorted(f"p{n}" for n in range(BUYERS))
    assert mails["p7"].mail["Subject"] == "P 7, it is winter"
    assert (sent["status"], sent["progress"], sent["problem"]) == ("completed", 1.0, None)
    assert sent["counts"]["audience"] == sent["counts"]["delivered"] == BUYERS

    for number in range(10):
        await shop.visit("GET", mails[f"p{number}"].picture)
    for number in range(4):
        answer = await shop.visit("GET", mails[f"p{number}"].links[0])
        assert answer.headers["location"] == "https://shop.example/boots"
    await shop.unsubscribe(mails["p0"])
    await shop.settle()
    seen = await shop.status(campaign)
    assert seen["counts"]["opened"] == 10
    assert (seen["counts"]["clicked"], seen["counts"]["unsubscribed"]) == (4, 1)
    assert seen["rates"] == {
        "delivered": 1.0,
        "bounced": 0.0,
        "opened": 0.5,
        "clicked": 0.2,
        "unsubscribed": 0.05,
    }
    assert (seen["status"], seen["completed_at"]) == ("completed", sent["completed_at"])

    shop.sink.mails.clear()
    second = await shop.campaign(segment, content, "Winter again")
    await shop.order(second, "launch")
    await shop.settle()
    again = await shop.status(second)
    assert sorted(shop.mails()) == sorted(f"p{n}" for n in range(1, BUYERS))
    assert (again["status"], again["counts"]["suppressed"]) == ("completed", 1)


async def test_its_progress_can_be_watched_while_it_is_sent(shop: Town) -> None:
    campaign = await shop.campaign(await shop.segment("Loyal", LOYAL), await shop.template())
    watching = asyncio.create_task(shop.watched(campaign))
    async with at_work(shop.served.host):
        await shop.order(campaign, "launch")
        views = await watching
    assert views[-1] == await shop.status(campaign)
    assert (views[-1]["status"], views[-1]["counts"]["delivered"]) == ("completed", BUYERS)
    shares = [view["progress"] for view in views]
    assert shares == sorted(shares)


async def test_a_mail_server_that_is_away_shows_in_the_status_and_heals(shop: Town) -> None:
    campaign = await shop.campaign(await shop.segment("Loyal", LOYAL), await shop.template())
    await shop.sink.stop()
    await shop.order(campaign, "launch")
    await shop.settle()
    away = await shop.status(campaign)
    assert away["status"] == "sending"
    assert "does not take mails" in away["problem"]
    assert shop.mails() == {}

    await shop.sink.start(shop.sink.host, shop.sink.port)
    watching = asyncio.create_task(shop.watched(campaign))
    async with at_work(shop.served.host):
        last = (await watching)[-1]
    assert (last["status"], last["problem"]) == ("completed", None)
    assert len(shop.mails()) == BUYERS


async def test_what_is_withdrawn_or_never_published_is_not_sent(shop: Town) -> None:
    segment, content = await shop.segment("Loyal", LOYAL), await shop.template()
    await shop.do("POST", f"/content/v1/templates/{content}/withdraw")
    campaign = await shop.campaign(segment, content)
    await shop.order(campaign, "launch")
    await shop.settle()
    failed = await shop.status(campaign)
    assert (failed["status"], shop.mails()) == ("failed", {})
    assert failed["problem"]


async def test_somebody_who_is_merged_behind_the_page_that_is_read_gets_the_mail(
    product_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a visitor who is older than all who are in the segment, and so before its pages."""
    members, pages = PersonalizationService.members, 0

    async with sink() as server, town(product_url, server) as shop:
        visit = {"type": "track", "anonymousId": "visitor", "event": "Seen", "messageId": "seen"}
        await shop.track([visit])
        await shop.track([item for number in range(PEOPLE) for item in said(number)])
        segment, content = await shop.segment("Loyal", LOYAL), await shop.template()
        path = f"/personalization/v1/segments/{segment}/members"
        last = (await shop.do("GET", path))["data"][-1]
        names = (await shop.do("GET", f"/profiles/v1/people/{last}"))["identities"]
        login = {"type": "track", "userId": names[0]["value"], "anonymousId": "visitor"}

        async def read(self: PersonalizationService, segment_id: UUID, **page: Any) -> Members:
            nonlocal pages
            found = await members(self, segment_id, **page)
            pages += 1
            if pages == 1:
                await shop.call("POST", "/v1/batch", {"batch": [login | {"event": "Came"}]})
                await Bus(shop.served.host).settle()
            return found

        monkeypatch.setattr(PersonalizationService, "members", read)
        monkeypatch.setattr(domain, "PAGE", 7)
        campaign = await shop.campaign(segment, content)
        await shop.order(campaign, "launch")
        await shop.settle()

        assert sorted(shop.mails()) == sorted(f"p{n}" for n in range(BUYERS))
        merged = await shop.do("GET", f"/profiles/v1/people/{last}")
        assert (merged["id"] < last, merged["merged"], pages) == (True, [last], 4)
        assert (await shop.status(campaign))["status"] == "completed"
