"""A transport that holds every answer against the document that the same host serves.

Clients know nothing of us but what is published; so whoever writes a client from `openapi.json`
must be able to send what we take, and to read what we answer. `Broken` says where that fails.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from jsonschema import Draft202012Validator, FormatChecker

from martech.kernel.host import Host
from martech.kernel.http.application import described
from martech.kernel.module import Module

Schema = dict[str, Any]

FORMATS = FormatChecker(["uuid", "date"])

_PARAMETER = re.compile(r"\{[^}]*\}")
_JSON = re.compile(r"^application/(.+\+)?json$")


class Broken(AssertionError):
    """What was sent or answered is not what is published."""


@FORMATS.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@dataclass(frozen=True)
class Operation:
    method: str
    path: re.Pattern[str]
    said: Schema

    @property
    def name(self) -> str:
        return str(self.said["operationId"])


class Promises:
    """What one OpenAPI document promises."""

    def __init__(self, document: Schema) -> None:
        self._components = document.get("components", {})
        self._operations = sorted(_operations(document), key=lambda each: each.path.groups)

    def operation(self, method: str, path: str) -> Operation | None:
        """None is for what is not in the document: pages, health, what peers ask."""
        for each in self._operations:
            if each.method == method and each.path.fullmatch(path):
                return each
        return None

    def hold(self, request: httpx.Request, answer: httpx.Response) -> str | None:
        """The operation that was asked for; raises `Broken`."""
        operation = self.operation(request.method, request.url.path)
        if operation is None:
            return None
        where = f"{operation.name} answered {answer.status_code}"
        promised = operation.said["responses"]
        said = self._followed(promised.get(str(answer.status_code)))
        if said is None:
            raise Broken(f"{where}, and promises {list(promised)}")
        content, media = said.get("content", {}), _media(answer)
        if answer.content and media not in content:
            raise Broken(f"{where} as {media!r}, and promises {list(content)}")
        self._fit(where, content, media, answer.content)
        return operation.name

    def meant(self, request: httpx.Request) -> None:
        """Raises `Broken` if a client that follows the document would not send *request*, which is
        a good one. (Bad ones may be taken: some protocols judge what they are sent item by item.)
        """
        operation = self.operation(request.method, request.url.path)
        if operation is not None:
            taken = operation.said.get("requestBody", {}).get("content", {})
            self._fit(f"{operation.name} takes", taken, _media(request), request.content)

    def _followed(self, response: Schema | None) -> Schema | None:
        if response is None or "$ref" not in response:
            return response
        found: Schema = self._components["responses"][response["$ref"].rpartition("/")[2]]
        return found

    def _fit(self, where: str, kinds: Schema, media: str, body: bytes) -> None:
        """*body* is what *kinds* say of its *media*; of one that they do not know, nothing is
        promised."""
        if body and media in kinds and _JSON.match(media):
            whole = {**kinds[media]["schema"], "components": self._components}
            judge = Draft202012Validator(whole, format_checker=FORMATS)
            for wrong in judge.iter_errors(json.loads(body)):
                raise Broken(f"{where}: {wrong.json_path} {wrong.message[:300]} ({body[:300]!r})")


def _media(message: httpx.Request | httpx.Response) -> str:
    """Empty where it is packed, or does not say."""
    if "content-encoding" in message.headers:
        return ""
    return message.headers.get("content-type", "").partition(";")[0]


def _operations(document: Schema) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        pattern = re.compile("([^/]+)".join(map(re.escape, _PARAMETER.split(path))))
        for method, said in methods.items():
            yield Operation(method.upper(), pattern, said)


class Promised(httpx.AsyncBaseTransport):
    """Asks *app*, which serves *host*, and believes no answer."""

    def __init__(self, app: Any, host: Host) -> None:
        self._asked = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._promises = promises_of(host)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._asked.handle_async_request(request)
        await answer.aread()
        self._promises.hold(request, answer)
        return answer


_known: dict[tuple[int, ...], tuple[Sequence[Module], Promises]] = {}


def promises_of(host: Host) -> Promises:
    """Those of *host*'s modules; described once in a process, as that takes a while."""
    modules = list(host.modules.values())
    key = tuple(map(id, modules))  # the modules are kept, so that no other gets such a number
    if key not in _known:
        _known[key] = modules, Promises(described(host))
    return _known[key][1]
