"""The platform's REST API, as far as the report reads it: typed answers, pages, one connection."""

import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Generic, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from demo.failure import Failure

T = TypeVar("T")
PAGE = 1000
PATIENCE = 60
"""Seconds to bear 429 and 503 before giving up."""


class Page(msgspec.Struct, Generic[T]):
    data: list[T]
    next: str | None = None


class Subscription(msgspec.Struct):
    name: str
    behind: int
    waiting: int
    parked: int


class Module(msgspec.Struct):
    subscriptions: list[Subscription] = []


class Landing(msgspec.Struct):
    modules: list[Module]


class Rest:
    """Reads with a secret key; every answer but 200 is a `Failure` that shows the problem."""

    def __init__(self, port: int, secret_key: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._headers = {"Authorization": f"Bearer {secret_key}", "Accept": "application/json"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def get(self, path: str, answer: type[T], **query: str | int) -> T:
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        try:
            return msgspec.json.decode(self._body(target), type=answer)
        except msgspec.DecodeError as error:
            raise Failure(f"GET {target} answered what nobody expected: {error}") from error

    def pages(self, path: str, item: type[T], **query: str | int) -> Iterator[T]:
        """Every item of a list, page by page."""
        page: Page[T] = self.get(path, Page[item], limit=PAGE, **query)  # type: ignore[valid-type]
        yield from page.data
        while page.next is not None:
            page = self.get(path, Page[item], limit=PAGE, after=page.next, **query)  # type: ignore[valid-type]
            yield from page.data

    def behind(self) -> int:
        """How many items the subscriptions have still to hear, all together.

        Raises `Failure` where one was parked: it would be waited for in vain.
        """
        modules = self.get("/", Landing).modules
        subscriptions = [each for module in modules for each in module.subscriptions]
        if parked := [each.name for each in subscriptions if each.parked]:
            raise Failure(f"{', '.join(parked)} parked events. See them: martech parked list")
        return sum(each.behind + each.waiting for each in subscriptions)

    def _body(self, target: str) -> bytes:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._connection.request("GET", target, headers=self._headers)
                response = self._connection.getresponse()
                body = response.read()
            except (OSError, HTTPException) as error:
                raise Failure(f"GET {target} got no answer: {error!r}") from error
            if response.status == 200:
                return body
            wait = float(response.headers.get("Retry-After", "inf"))
            if response.status not in (429, 503) or time.monotonic() + wait > deadline:
                said = body.decode(errors="replace")[:1000]
                raise Failure(f"GET {target} answered {response.status}: {said}")
            time.sleep(wait)
