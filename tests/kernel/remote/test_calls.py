"""What the page of metrics says of questions to peers."""

from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from martech.kernel.errors import NotFound, Unavailable
from martech.kernel.host import Host
from martech.kernel.process import Process
from martech.kernel.remote import Calls
from martech.kernel.settings import Settings
from tests.kernel.remote.oracle.contract import Oracle
from tests.kernel.remote.serving import SECRET

pytestmark = pytest.mark.anyio

TENANT = uuid4()


def counted(calls: Calls, question: str, outcome: str) -> float | None:
    labels = {"peer": "oracle", "question": question, "outcome": outcome}
    return shown(calls).get_sample_value("martech_port_seconds_count", labels)


def shown(calls: Calls) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(calls)
    return registry


async def test_questions_are_counted_by_what_came_of_them(here: Host) -> None:
    port, calls = here.port(Oracle, TENANT), here.process.calls
    await port.who()
    with pytest.raises(NotFound):
        await port.refuse("not-found", "No.")
    with pytest.raises(Unavailable):
        await port.refuse("unavailable", "Later.", retry_after=1)
    assert counted(calls, "who", "answered") == 1
    assert counted(calls, "refuse", "answered") == 1
    assert counted(calls, "refuse", "unavailable") == 1


async def test_the_worst_breaker_of_a_process_is_shown_while_its_hosts_are_open() -> None:
    process = Process()
    settings = Settings(peers={"oracle": "http://127.0.0.1:9"}, peer_secret=SECRET)

    def state() -> float | None:
        return shown(process.calls).get_sample_value("martech_peer_breaker", {"peer": "oracle"})

    async with Host([], settings, process=process):
        assert state() == 0
        async with Host([], settings, process=process) as other:
            for _ in range(10):
                with pytest.raises(Unavailable):
                    await other.port(Oracle, TENANT).say("delphi")
            assert state() == 2
        assert state() == 0
    assert state() is None
