"""Nobody works for a caller who has hung up."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from litestar import Controller, get

from martech.kernel.http.leaving import LEFT, WhileThere
from martech.kernel.settings import Settings
from tests.sample.shop.module import module as shop
from tests.serving import serve

pytestmark = pytest.mark.anyio


class Caller:
    def __init__(self) -> None:
        self.said: list[Any] = []
        self._hung_up = asyncio.Event()
        self._asked = False

    async def receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.said.append(message.get("status", message.get("body")))

    def hang_up(self) -> None:
        self._hung_up.set()

    async def ask(self, app: Any) -> None:
        scope: Any = {"type": "http"}
        await WhileThere(app)(scope, self.receive, self.send)


async def answers(scope: Any, receive: Any, send: Any) -> None:
    assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here", "more_body": False})


class Endless:
    def __init__(self) -> None:
        self.began, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def test_who_stays_is_answered() -> None:
    caller = Caller()
    await caller.ask(answers)
    assert caller.said == [200, b"here"]


async def test_who_hangs_up_has_the_answer_broken_off() -> None:
    caller, app = Caller(), Endless()
    asking = asyncio.create_task(caller.ask(app))
    await app.began.wait()
    caller.hang_up()
    await asking
    assert app.ended.is_set()
    assert caller.said == [LEFT, b""]


class BrokenOff(Controller):
    middleware = (WhileThere,)

    @get("/broken-off", opt={"public": True})
    async def broken_off(self) -> None:
        """As by a store that is closed: its questions are cancelled."""
        question = asyncio.get_running_loop().create_future()
        question.cancel()
        await question


async def test_who_stays_is_told_when_the_answer_is_broken_off() -> None:
    async with serve([replace(shop, controllers=[BrokenOff], protocols=[])], Settings()) as served:
        answer = await served.client.get("/shop/v1/broken-off")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"]
    assert answer.json()["type"] == "/problems/unavailable"


async def test_what_goes_wrong_goes_on_its_way() -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await Caller().ask(breaks)


async def test_a_server_that_stops_waits_until_the_answer_has_ended() -> None:
    app = Endless()
    asking = asyncio.create_task(Caller().ask(app))
    await app.began.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert app.ended.is_set()
