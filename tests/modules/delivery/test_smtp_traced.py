"""Each mail that a traced job hands over has a span of its own: which one it is and what became of
it, and never to whom it went."""

import pytest

from martech.kernel import telemetry
from tests.modules.delivery.sending import EAGER, pool, posted, send
from tests.sinks.otlp import collector, exporting
from tests.sinks.smtp import sink

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelining", "one by one"])
async def test_each_mail_has_a_span(pipelining: bool) -> None:
    mails = [posted(f"{number}@example.com") for number in range(30)]
    refused = posted("nobody@example.com")
    async with (
        collector() as heard,
        exporting(heard.url) as exporter,
        sink("rcpt:550:nobody*@*", pipelining=pipelining) as server,
        pool(server) as out,
    ):
        asked = [f"00-{7:032x}-{7:016x}-01"]
        with telemetry.taking_up(exporter, "delivering", "consumer", asked, {}):
            await send(out, [*mails, refused])
        await send(out, [posted()])  # in no trace
    (job,), spans = heard.named("delivering"), heard.named("send smtp")
    assert {(span.trace, span.parent, span.kind) for span in spans} == {
        (job.trace, job.id, "client")
    }
    ids = sorted(span.attributes["messaging.message.id"] for span in spans)
    assert ids == sorted(str(mail.id) for mail in (*mails, refused))
    (failed,) = [span for span in spans if span.failed]
    assert failed.attributes["messaging.message.id"] == str(refused.id)
    assert failed.attributes["error.type"] == "Refused"
    assert (failed.attributes["smtp.reply"], failed.attributes["smtp.stage"]) == (550, "RCPT")
    assert b"example.com" not in b"".join(heard.bodies)


async def test_a_mail_that_waits_for_another_session_is_one_span() -> None:
    """The server leaves over two of them; what was announced behind goes to another session."""
    mails = [posted(f"{number}@example.com") for number in range(12)]
    async with (
        collector() as heard,
        exporting(heard.url) as exporter,
        sink("end:421*2") as server,
        pool(server, connections=1, patience=EAGER) as out,
    ):
        asked = [f"00-{7:032x}-{7:016x}-01"]
        with telemetry.taking_up(exporter, "delivering", "consumer", asked, {}):
            outcomes = await send(out, mails)
    spans = heard.named("send smtp")
    ids = [span.attributes["messaging.message.id"] for span in spans]
    assert len(ids) == len(set(ids))
    tried = [
        str(m.id) for m, o in zip(mails, outcomes, strict=True) if type(o).__name__ != "NotTried"
    ]
    assert set(tried) <= set(ids)
    assert server.faults.struck
