"""A peer that is full says when to come back: it is well, and is not asked at once again."""

from uuid import uuid4

import pytest
from msgspec import structs

from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests.kernel.remote.oracle.contract import Oracle
from tests.kernel.remote.oracle.module import module as oracle
from tests.kernel.remote.serving import SECRET, served
from tests.kernel.remote.test_strangers import Stranger, facing, http

pytestmark = pytest.mark.anyio

TENANT = uuid4()
BUSY = http("503 Service Unavailable", "{}")


def later(value: str) -> bytes:
    return BUSY.replace(b"\r\n", f"\r\nretry-after: {value}\r\n".encode(), 1)


async def refused(host: Host) -> Unavailable:
    with pytest.raises(Unavailable) as raised:
        await host.port(Oracle, TENANT).who()
    return raised.value


async def test_who_is_full_is_well(there: Settings) -> None:
    async with served([oracle], structs.replace(there, max_requests=0)) as home:
        peers = {"oracle": home.settings.public}
        async with Host([], Settings(peers=peers, peer_secret=SECRET)) as here:
            for _ in range(20):
                error = await refused(here)
                assert error.retry_after == 1
                assert "Too busy" in error.detail
            assert here.peers["oracle"].breaker.state == "closed"


async def test_who_says_when_is_not_asked_at_once_again() -> None:
    busy = Stranger(later("7"))
    async with facing(busy) as host:
        assert (await refused(host)).retry_after == 7
    assert busy.asked == 1


@pytest.mark.parametrize(
    ("said", "believed"),
    [("86400", 30), ("0", None), ("soon", None), ("-1", None)],
)
async def test_a_time_is_believed_within_reason(said: str, believed: int | None) -> None:
    async with facing(Stranger(later(said))) as host:
        assert (await refused(host)).retry_after == believed
