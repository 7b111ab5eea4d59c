"""What other hosts of this installation may ask: the ports of the modules that are hosted here."""

import asyncio
import logging
from typing import Any

import msgspec
from litestar import Request, Response, Router, post
from litestar.params import FromPath

from martech.kernel import telemetry
from martech.kernel.asking import due_within
from martech.kernel.errors import Error, Malformed, NotFound, Timeout
from martech.kernel.host import Host
from martech.kernel.http.fields import refused_field
from martech.kernel.http.mounted import Mounted
from martech.kernel.http.peers import PEERS, only_peers
from martech.kernel.remote import wire
from martech.kernel.remote.port import WRITE
from martech.kernel.remote.wire import Asked, Question

log = logging.getLogger(__name__)

LARGEST = 16_000_000
"""Bytes of a question. Whoever has more to say asks in pages."""


class Ports:
    def __init__(self, host: Host) -> None:
        self._host = host

    def question(self, module: str, name: str) -> Question:
        """Raises `NotFound` for what cannot be asked here."""
        there = self._host.modules
        if module not in there:
            raise NotFound(
                f"{module} is not hosted here; {', '.join(there)} are. Check MARTECH_PEERS."
            )
        known = wire.questions(there[module].port)
        if name not in known:
            raise NotFound(
                f"{module} cannot be asked {name!r}, but {', '.join(known)}. Is one of the hosts "
                "of another version?"
            )
        return known[name]

    async def answer(
        self, module: str, name: str, arguments: dict[str, Any], asked: Asked, seconds: float
    ) -> Any:
        """What the module answers; raises what it raises, and `Timeout` when that takes longer than
        somebody waits for it. Work that is too late is not begun, and broken off."""
        late = Timeout(f"{module}.{name} did not answer in time.")
        if seconds <= 0:
            raise late
        port = self._host.port(self._host.modules[module].port, asked.tenant, asked)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                with due_within(seconds):
                    return await getattr(port, name)(**arguments)
        except TimeoutError:
            if not limit.expired():
                raise
            raise late from None


def port_routes(host: Host) -> Router:
    ports = Ports(host)

    @post("/{module:str}/{question:str}", opt=PEERS, request_max_body_size=LARGEST)
    async def ask(
        module: FromPath[str], question: FromPath[str], request: Request[Any, Any, Any]
    ) -> Response[bytes]:
        known = ports.question(module, question)
        asked = wire.asked(request.headers)
        if trace := telemetry.current.get():
            trace.tenant = asked.tenant
        seconds = wire.seconds_left(request.headers, WRITE)
        arguments = _arguments(known, await request.body())
        try:
            said = await ports.answer(module, question, arguments, asked, seconds)
        except Error as error:
            return _refused(module, error)
        except Exception:
            log.exception("%s.%s failed", module, question)
            return _refused(module, Error(f"{module}.{question} failed; its host's log says why."))
        return Response(msgspec.json.encode(said), status_code=200, media_type="application/json")

    return Mounted(
        path=wire.PREFIX,
        route_handlers=[ask],
        guards=[only_peers(host.settings.peer_secret)],
        include_in_schema=False,
    )


def _arguments(question: Question, body: bytes) -> dict[str, Any]:
    try:
        return question.decode(body)
    except msgspec.ValidationError as error:
        raise refused_field(str(error), shape=question.arguments) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The arguments are not valid JSON: {error}.") from None


def _refused(module: str, error: Error) -> Response[bytes]:
    body = msgspec.json.encode(wire.refusal(module, error))
    return Response(body, status_code=error.status, media_type=wire.MEDIA_TYPE)
