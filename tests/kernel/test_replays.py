"""Projections are made anew by API. On both databases."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import update

from martech.kernel import failpoints
from martech.kernel.bus import Bus
from martech.kernel.settings import Settings
from tests.chaos.reminding import REBUILDING
from tests.sample.ledger import tables
from tests.sample.ledger.service import LedgerService
from tests.serving import Served, serve

pytestmark = pytest.mark.anyio

SECRET = "a secret of this installation's own"
NAME = "ledger.write_sales_down"


@pytest.fixture
async def served(sample_url: str) -> AsyncIterator[Served]:
    async with serve(REBUILDING, Settings(database_url=sample_url, peer_secret=SECRET)) as served:
        yield served


async def ask(served: Served, method: str, path: str = "", **body: object) -> httpx.Response:
    operator = {"authorization": f"Bearer {SECRET}"}
    return await served.client.request(
        method, f"/_replays{path}", json=body or None, headers=operator
    )


async def sell(served: Served, *numbers: int) -> None:
    """And spoil what the ledger made of it."""
    for number in numbers:
        async with served.host.unit("shop", served.tenant) as shop:
            await shop.sell([number], "ada")
    await Bus(served.host).settle()
    async with served.host.databases["ledger"].across() as connection:
        await connection.execute(update(tables.lines).values(number=-1))


async def numbers(served: Served) -> list[int]:
    async with served.host.unit("ledger", served.tenant, write=False) as ledger:
        return [number for _, number in await ledger.read()]


@contextmanager
def held_up() -> Iterator[None]:
    """Whoever makes a shadow stands still in the middle."""
    failpoints.arm("shadow.after_step=sleep:3600000@1")
    try:
        yield
    finally:
        failpoints.arm("")


async def test_a_projection_is_made_anew_while_its_caller_looks_on(served: Served) -> None:
    await sell(served, 1, 2, 3)
    asked = await ask(served, "POST", subscription=NAME, shadow=True)
    assert (asked.status_code, asked.json()["subscription"]) == (202, NAME)
    seen = asked.json()
    while seen["shadow"] == "running":
        seen = (await ask(served, "GET", f"/{NAME}")).json()
    assert (seen["shadow"], seen["position"], seen["end"]) == ("done", 3, 3)
    assert (seen["dropped"], seen["detail"]) == (3, None), "each sale's reminder"
    assert await numbers(served) == [1, 2, 3]
    assert (await ask(served, "GET")).json() == [seen]


async def test_one_at_a_time_and_whoever_stops_it_leaves_what_is_in_use(served: Served) -> None:
    await sell(served, 1, 2, 3)
    with held_up():
        assert (await ask(served, "POST", subscription=NAME, shadow=True)).status_code == 202
        second = await ask(served, "POST", subscription=NAME, shadow=True)
        assert (second.status_code, second.json()["type"]) == (409, "/problems/conflict")
        assert (await ask(served, "GET", f"/{NAME}")).json()["shadow"] == "running"
        stopped = await ask(served, "DELETE", f"/{NAME}")
        assert (stopped.status_code, stopped.json()["shadow"]) == (200, "stopped")
    assert await numbers(served) == [-1, -1, -1]
    again = (await ask(served, "POST", subscription=NAME, shadow=True)).json()
    while again["shadow"] == "running":
        again = (await ask(served, "GET", f"/{NAME}")).json()
    assert await numbers(served) == [1, 2, 3]


async def test_who_asks_is_answered_while_a_handler_computes(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds its loop as long as it likes: that is not the one that answers."""
    begun, enough = asyncio.Event(), threading.Event()
    here, in_time, write = asyncio.get_running_loop(), [], LedgerService.write

    async def compute(self: LedgerService, what: Sequence[str], numbers: Sequence[int]) -> None:
        here.call_soon_threadsafe(begun.set)
        in_time.append(enough.wait(5))
        await write(self, what, numbers)

    await sell(served, 1)
    monkeypatch.setattr(LedgerService, "write", compute)
    asking = asyncio.create_task(ask(served, "POST", subscription=NAME, shadow=True))
    await begun.wait()
    assert (await served.client.get("/health/live")).status_code == 200
    enough.set()
    seen = (await asking).json()
    while seen["shadow"] == "running":
        seen = (await ask(served, "GET", f"/{NAME}")).json()
    assert in_time == [True]
    assert await numbers(served) == [1]


async def test_what_stumbles_says_so_and_leaves_what_is_in_use(served: Served) -> None:
    await sell(served, 1)
    failpoints.arm("shadow.before_commit=error")
    try:
        seen = (await ask(served, "POST", subscription=NAME, shadow=True)).json()
        while seen["shadow"] == "running":
            seen = (await ask(served, "GET", f"/{NAME}")).json()
    finally:
        failpoints.arm("")
    assert (seen["shadow"], seen["detail"]) == ("failed", "Planned; the log says more.")
    assert await numbers(served) == [-1]


async def test_a_process_that_ends_gives_its_shadow_up(sample_url: str) -> None:
    settings = Settings(database_url=sample_url, peer_secret=SECRET)
    with held_up():
        async with serve(REBUILDING, settings) as served:
            await sell(served, 1)
            assert (await ask(served, "POST", subscription=NAME, shadow=True)).status_code == 202
    async with serve(REBUILDING, settings) as served:
        assert (await ask(served, "GET")).json() == []
        assert (await ask(served, "POST", subscription=NAME, shadow=True)).status_code == 202


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"subscription": NAME}, 422, "Say from where, or shadow: true"),
        ({"subscription": NAME, "from": "0", "shadow": True}, 422, "Say from where, or shadow"),
        ({"subscription": NAME, "shadow": True, "in_place": True}, 422, "Say from where, or"),
        ({"subscription": "ledger.nothing", "shadow": True}, 404, f"There are: {NAME}"),
    ],
)
async def test_what_is_wrong_is_said(
    served: Served, body: dict[str, object], status: int, said: str
) -> None:
    answer = await ask(served, "POST", **body)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


async def test_what_is_in_use_is_sent_back_in_time_only_if_that_is_said(served: Served) -> None:
    await sell(served, 1)
    refused = await ask(served, "POST", **{"subscription": NAME, "from": "0"})
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid")
    assert '"shadow": true' in refused.json()["detail"]
    await Bus(served.host).settle()
    assert await numbers(served) == [-1]
    body = {"subscription": NAME, "from": "0", "in_place": True}
    asked = await ask(served, "POST", **body)
    assert (asked.status_code, asked.json()["position"]) == (202, 0)
    await Bus(served.host).settle()
    assert await numbers(served) == [-1, 1]


async def test_of_what_was_never_made_nothing_is_known(served: Served) -> None:
    for method in ("GET", "DELETE"):
        assert (await ask(served, method, f"/{NAME}")).status_code == 404
