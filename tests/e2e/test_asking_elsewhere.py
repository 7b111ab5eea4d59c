"""Campaigns asks a personalization that is a process of its own, with databases of its own.

It is killed before the launch: the campaign waits and says for whom, everybody else goes on, and
once it is back the mails leave.
"""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.nodes import Nodes, nodes, one_outside
from tests.chaos.tale import BUYERS, PEOPLE, letters, loyal, template, track, until, visitor
from tests.sinks.smtp import sink

pytestmark = [
    pytest.mark.whole,
    pytest.mark.anyio,
    pytest.mark.one_database,
    pytest.mark.timeout(300),
]


async def test_a_launch_waits_for_a_peer_that_is_away(kind: str, tmp_path: Path) -> None:
    topology = one_outside("personalization")
    async with sink() as server, nodes(topology, kind, tmp_path, server) as platform:
        await track(platform, [said for number in range(PEOPLE) for said in visitor(number)])
        plan = {"name": "Winter", "segment_id": await loyal(platform)}
        plan["content_id"] = await template(platform)
        away = platform.of["personalization"]
        away.kill()

        made = (await platform.do("POST", "/campaigns/v1/campaigns", plan))["id"]
        await platform.do("POST", f"/campaigns/v1/campaigns/{made}/launch")

        async def waits() -> bool:
            found = await platform.do("GET", f"/campaigns/v1/campaigns/{made}")
            assert found["status"] == "launching"
            return "personalization cannot be reached" in (found["problem"] or "")

        await until(waits, "the campaign says for whom it waits")
        assert (await platform.do("GET", "/content/v1/templates"))["data"]
        assert letters(server) == {}

        away.start()
        await away.ready(platform.client)

        async def completed() -> bool:
            found = await platform.do("GET", f"/campaigns/v1/campaigns/{made}/status")
            return bool(found["status"] == "completed")

        await until(completed, "the campaign is completed")
        assert len(letters(server)) == BUYERS
        counted = await calls(platform)
        assert counted["segment", "unavailable"] >= 1
        assert counted["segment", "answered"] >= 1
        assert counted["members", "answered"] >= 1


async def calls(platform: Nodes) -> dict[tuple[str, str], float]:
    """How often personalization was asked what, and with which outcome."""
    said = await platform.client.get(f"{platform.of['campaigns'].url}/metrics")
    return {
        (sample.labels["question"], sample.labels["outcome"]): sample.value
        for family in text_string_to_metric_families(said.text)
        for sample in family.samples
        if sample.name == "martech_port_seconds_count"
        and sample.labels["peer"] == "personalization"
    }
