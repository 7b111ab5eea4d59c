"""One trace from what a shop tells to the mail: whole, and split over two processes; on both
databases, from `martech serve` to a collector that decodes what it is sent."""

from pathlib import Path

import pytest

from tests.chaos.nodes import Nodes, Topology, monolith, nodes, one_outside
from tests.chaos.tale import LOYAL, still, template, until
from tests.sinks.otlp import Collector, Exported, collector
from tests.sinks.smtp import Sink, sink

pytestmark = [pytest.mark.whole, pytest.mark.anyio, pytest.mark.timeout(300)]

TRACE, SHOP = "ab" * 16, "cd" * 8
TRACEPARENT = {"traceparent": f"00-{TRACE}-{SHOP}-01"}
PAIRS = [("sqlite", monolith()), ("postgresql", one_outside("personalization"))]

TO_THE_SEGMENT = [
    "POST /v1/track",
    "tracking: group commit",
    "send tracking.events_tracked.v1",
    "process profiles.record_what_was_tracked",
    "send profiles.activity_recorded.v1",
    "process personalization.keep_segments_current",
    "send personalization.segment_changed.v1",
]
TO_THE_MAIL = [
    "POST /campaigns/v1/campaigns/{campaign_id}/launch",
    "send campaigns.advance.v1",
    "process campaigns.advance.v1",
]


# the four pairs differ in nothing that the two do not: rows are told on both in tests/kernel
@pytest.mark.parametrize(("kind", "topology"), PAIRS, ids=["whole", "split"])
async def test_one_trace_leads_from_the_shop_to_the_mail(
    kind: str, topology: Topology, tmp_path: Path
) -> None:
    async with (
        collector() as heard,
        sink() as server,
        nodes(
            topology,
            kind,
            tmp_path,
            server,
            MARTECH_OTLP_ENDPOINT=heard.url,
            MARTECH_TRACE_RATIO="0",
            OTEL_BSP_SCHEDULE_DELAY="100",
        ) as platform,
    ):
        campaign = await prepared(platform)
        assert heard.spans == []  # a ratio of 0: nothing is recorded but what comes sampled
        await buy(platform)
        await launch(platform, campaign, server)
    # the processes have ended, and have sent what waited
    assert {span.trace for span in heard.spans} == {TRACE}
    (mail,) = heard.named("send smtp")
    assert heard.path_to(mail)[: len(TO_THE_MAIL)] == TO_THE_MAIL
    assert heard.path_to(mail)[-2] == "process delivery.deliver.v1"
    assert heard.path_to(heard.named(TO_THE_SEGMENT[-1])[0]) == TO_THE_SEGMENT
    begun = [span for span in heard.spans if span.parent == SHOP]
    assert sorted(span.name for span in begun) == [TO_THE_MAIL[0], TO_THE_SEGMENT[0]]
    all_have_parents(heard.spans)
    assert mail.attributes["messaging.message.id"].encode() in server.mails[0].bytes
    names = {span.process["service.name"] for span in heard.spans}
    assert names == {"martech"} | ({"martech-personalization"} if len(topology) > 1 else set())
    nothing_personal(heard, platform)


async def prepared(platform: Nodes) -> str:
    """A segment, a template and a campaign, and somebody who is not in that segment yet."""
    asked = {"name": "Loyal", "condition": LOYAL}
    made = (await platform.do("POST", "/personalization/v1/segments", asked))["id"]
    body = {
        "userId": "lovelace",
        "messageId": "who",
        "traits": {"name": "Lovelace", "email": "lovelace@x.example"},
    }
    answer = await platform.call("POST", "/v1/identify", body, key=platform.write_key)
    assert answer.is_success, answer.text
    plan = {"name": "Winter", "segment_id": made, "content_id": await template(platform)}
    campaign: str = (await platform.do("POST", "/campaigns/v1/campaigns", plan))["id"]
    await still(platform)
    return campaign


async def buy(platform: Nodes) -> None:
    body = {
        "userId": "lovelace",
        "messageId": "order",
        "event": "Order Completed",
        "properties": {"revenue": 100},
    }
    key = platform.write_key
    answer = await platform.call("POST", "/v1/track", body, key=key, headers=TRACEPARENT)
    assert answer.is_success, answer.text
    await still(platform)


async def launch(platform: Nodes, campaign: str, server: Sink) -> None:
    path = f"/campaigns/v1/campaigns/{campaign}/launch"
    answer = await platform.call("POST", path, headers=TRACEPARENT)
    assert answer.is_success, answer.text

    async def arrived() -> bool:
        return bool(server.mails)

    await until(arrived, "the mail")
    await still(platform)


def all_have_parents(spans: list[Exported]) -> None:
    """Whatever was asked for by a span was asked for by one that was sent, and had begun."""
    by_id = {span.id: span for span in spans} | {SHOP: None}
    for span in spans:
        assert span.parent in by_id, span
        parent = by_id[span.parent]
        assert parent is None or parent.began <= span.began <= span.ended, (parent, span)


def nothing_personal(heard: Collector, platform: Nodes) -> None:
    said = b"".join(heard.bodies)
    for canary in ("lovelace", "Lovelace", "x.example", platform.write_key, platform.secret_key):
        assert canary.encode() not in said, canary
