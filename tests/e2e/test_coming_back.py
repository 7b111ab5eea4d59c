"""Who wants no more mails, and who wants them again: said to profiles, heard by delivery, whoever
is first. On both databases."""

from collections.abc import AsyncIterator

import pytest

from martech.kernel.bus import Bus
from tests.e2e.town import Town, town
from tests.sinks.smtp import sink

pytestmark = pytest.mark.anyio


def who(name: str, address: str) -> dict[str, object]:
    traits = {"name": name, "email": address}
    return {"type": "identify", "userId": name, "traits": traits}


@pytest.fixture
async def shop(product_url: str) -> AsyncIterator[Town]:
    """Ada has a mail."""
    async with sink() as server, town(product_url, server) as made:
        await made.track([who("ada", "ada@example.com")])
        await launch(made, "Winter")
        yield made


async def launch(shop: Town, name: str) -> None:
    """A campaign to everybody."""
    everybody = await shop.segment(name, {"trait": "email", "is": "exists"})
    campaign = await shop.campaign(everybody, await shop.template(), name)
    await shop.order(campaign, "launch")
    await shop.settle()


async def consents(shop: Town, name: str) -> str:
    """Where what *name* allows is kept."""
    lookup = f"/profiles/v1/people/lookup?kind=user_id&value={name}"
    return f"/profiles/v1/people/{(await shop.do('GET', lookup))['id']}/consents"


async def suppressed(shop: Town) -> list[str]:
    return [each["address"] for each in (await shop.do("GET", "/delivery/v1/suppressions"))["data"]]


async def test_who_comes_back_before_profiles_hears_that_they_left_is_back(shop: Town) -> None:
    theirs = await consents(shop, "ada")
    await shop.do("PUT", f"{theirs}/email", {"status": "granted"})
    await shop.settle()
    await shop.unsubscribe(shop.mails()["ada"])
    assert await suppressed(shop) == ["ada@example.com"]
    await shop.do("PUT", f"{theirs}/email", {"status": "granted"})
    await Bus(shop.served.host).settle()
    assert await suppressed(shop) == []

    (held,) = (await shop.do("GET", theirs))["data"]
    assert held["status"] == "granted"
    await launch(shop, "Spring")
    assert len(shop.sink.mails) == 2


async def test_a_stranger_with_a_write_key_does_not_bring_anybody_back(shop: Town) -> None:
    await shop.unsubscribe(shop.mails()["ada"])
    await shop.settle()
    yes = {
        "type": "track",
        "userId": "mallory",
        "event": "Segment Consent Preference Updated",
        "context": {"consent": {"categoryPreferences": {"email": True}}},
    }
    await shop.track([who("mallory", "ada@example.com"), yes])
    assert await suppressed(shop) == ["ada@example.com"]
    await launch(shop, "Spring")
    assert len(shop.sink.mails) == 1
