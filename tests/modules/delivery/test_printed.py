"""Without a mail server mails go to the log: that is told wherever one would look for them."""

from collections.abc import AsyncIterator

import pytest

from martech.app import warnings
from martech.kernel.clock import TestClock
from martech.kernel.settings import Settings
from martech.modules.delivery.domain.settings import DeliverySettings
from tests.modules.delivery.stand import BASE, MODULES, START, Stand
from tests.modules.delivery.visiting import Visitors
from tests.serving import serve
from tests.sinks.smtp import Sink

pytestmark = pytest.mark.anyio

CURE = "Mails are printed to the log, none leave: set MARTECH_DELIVERY_SMTP_URL"


@pytest.fixture
async def people(delivery_url: str, server: Sink) -> AsyncIterator[Visitors]:
    settings = Settings(database_url=delivery_url, public_url=BASE)
    async with serve(MODULES, settings) as served:
        stand = Stand(served.host, server, TestClock(START))
        served.tenant = stand.tenant
        yield Visitors(served, stand)


async def test_a_send_says_that_its_mails_did_not_leave(people: Visitors) -> None:
    send = await people.stand.to("ada", "bob")
    assert (await people.stand.look(send)).problem is None
    await people.stand.work()
    over = await people.stand.look(send)
    assert (over.status, over.counts.delivered) == ("completed", 2)
    assert CURE in str(over.problem)
    assert people.stand.sink.mails == []


async def test_the_status_says_so_before_anything_is_sent_and_after(people: Visitors) -> None:
    for reachable in (None, True):
        answer = await people.served.client.get(
            "/delivery/v1/status", headers=people.served.headers("delivery:read")
        )
        told = answer.json()
        assert (told["server"], told["reachable"]) == ("console:", reachable)
        assert CURE in told["problem"]
        await people.stand.to("ada")
        await people.stand.work()


async def test_what_a_mail_server_takes_is_nothing_to_warn_of(people: Visitors) -> None:
    stand = people.stand
    send = await stand.to("ada")
    async with stand.service() as service:
        held = await service.hold(send.id)
        for warning, problem in ((CURE, True), (None, False)):
            service.clear(held, warning)
            assert (held.problem is not None) is problem


def test_a_process_says_so_at_its_start() -> None:
    (warning,) = warnings(Settings())
    assert CURE in warning
    assert warnings(Settings(peers={"delivery": "http://peer.invalid"})) == []
    own = DeliverySettings(smtp_url="smtp://mail.example")
    assert warnings(Settings(of_modules={DeliverySettings: own})) == []
