"""Mails that go to the log, or out with links that lead nowhere: that is told wherever one would
look for them."""

from collections.abc import AsyncIterator

import pytest

from martech.app import warnings
from martech.kernel.clock import TestClock
from martech.kernel.settings import Settings
from martech.modules.delivery.domain.reach import one_click, warning, warning_at_start
from martech.modules.delivery.domain.server import mail_server
from martech.modules.delivery.domain.settings import DeliverySettings
from tests.modules.delivery.stand import BASE, MODULES, START, Stand
from tests.modules.delivery.visiting import Visitors, visitors
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


HERE = "whatever machine they are read on"
PLAIN = "not encrypted"


@pytest.mark.parametrize(
    ("public", "server", "always", "at_start"),
    [
        ("https://mail.example", "smtp://mail.example", None, None),
        ("https://mail.example", "console:", CURE, CURE),
        ("http://127.0.0.1:8000", "console:", CURE, CURE),
        ("http://127.0.0.1:8000", "smtp://127.0.0.1:2525", None, HERE),
        ("http://localhost:8000", "smtp://[::1]:2525", None, HERE),
        ("http://[::1]:8000", "smtp://127.0.0.1.example", HERE, HERE),
        ("http://127.0.0.1:8000", "smtp://mail.example", HERE, HERE),
        ("https://localhost", "smtps://mail.example", HERE, HERE),
        ("http://mail.example", "smtp://mail.example", PLAIN, PLAIN),
        ("http://mail.example", "smtp://127.0.0.1", PLAIN, PLAIN),
    ],
)
def test_links_are_https_and_lead_here_or_it_is_said(
    public: str, server: str, always: str | None, at_start: str | None
) -> None:
    to = mail_server(server)
    for said, wanted in ((warning(public, to), always), (warning_at_start(public, to), at_start)):
        assert (said is None) is (wanted is None)
        assert wanted is None or wanted in str(said)
    assert one_click(public, to) is (always in (None, CURE))


async def test_a_send_without_https_says_so_and_offers_no_one_click(
    delivery_url: str, server: Sink
) -> None:
    async with visitors(delivery_url, server, public="http://mail.example") as people:
        send = await people.stand.to("ada")
        await people.stand.work()
        (mail,) = people.mails()
        assert mail.out.startswith("http://mail.example/u/")
        assert mail.mail["List-Unsubscribe-Post"] is None
        over = await people.stand.look(send)
        assert (over.status, over.counts.delivered) == ("completed", 1)
        people.served.tenant = people.stand.tenant
        status = await people.served.client.get(
            "/delivery/v1/status", headers=people.served.headers("delivery:read")
        )
        assert (status.json()["reachable"], PLAIN in status.json()["problem"]) == (True, True)
        assert PLAIN in str(over.problem)


def test_a_process_says_so_at_its_start() -> None:
    (warning,) = warnings(Settings())
    assert CURE in warning
    assert warnings(Settings(peers={"delivery": "http://peer.invalid"})) == []
    own = DeliverySettings(smtp_url="smtp://mail.example")
    (here,) = warnings(Settings(of_modules={DeliverySettings: own}))
    assert HERE in here
    known = Settings(public_url="https://mail.example", of_modules={DeliverySettings: own})
    assert warnings(known) == []
