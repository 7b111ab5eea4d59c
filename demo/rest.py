"""The platform's REST API, as far as the demo uses it: typed answers, pages, one connection."""

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
    name: str = ""
    due: int = 0
    parked: int = 0
    subscriptions: list[Subscription] = []


class Landing(msgspec.Struct):
    modules: list[Module]


class Rest:
    """Acts with a secret key; every answer but 2xx is a `Failure` that shows the problem."""

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
        return self._ask("GET", target, answer)

    def post(self, path: str, body: object, answer: type[T], *, key: str = "") -> T:
        """*key* is an Idempotency-Key: asked again with it, what was done is not done again."""
        return self._ask("POST", quote(path), answer, body, key)

    def put(self, path: str, body: object, answer: type[T]) -> T:
        return self._ask("PUT", quote(path), answer, body)

    def _ask(
        self, method: str, target: str, answer: type[T], body: object = None, key: str = ""
    ) -> T:
        said = self._said(method, target, None if body is None else msgspec.json.encode(body), key)
        try:
            return msgspec.json.decode(said, type=answer)
        except msgspec.DecodeError as error:
            raise Failure(f"{method} {target} answered what nobody expected: {error}") from error

    def pages(self, path: str, item: type[T], **query: str | int) -> Iterator[T]:
        """Every item of a list, page by page."""
        page: Page[T] = self.get(path, Page[item], limit=PAGE, **query)  # type: ignore[valid-type]
        yield from page.data
        while page.next is not None:
            page = self.get(path, Page[item], limit=PAGE, after=page.next, **query)  # type: ignore[valid-type]
            yield from page.data

    def named(self, path: str, item: type[T], name: str) -> T | None:
        """The one of that name in a list of things that have names."""
        found = (one for one in self.pages(path, item) if getattr(one, "name", "") == name)
        return next(found, None)

    def behind(self) -> int:
        """What there is still to hear and to do, all together.

        Raises `Failure` where something was parked: it would be waited for in vain.
        """
        modules = self.get("/", Landing).modules
        subscriptions = [each for module in modules for each in module.subscriptions]
        parked = [each.name for each in subscriptions if each.parked]
        if parked := parked + [module.name for module in modules if module.parked]:
            raise Failure(f"{', '.join(parked)} parked something. See it: martech parked list")
        to_do = sum(module.due for module in modules)
        return sum(each.behind + each.waiting for each in subscriptions) + to_do

    def _said(self, method: str, target: str, body: bytes | None, key: str) -> bytes:
        headers = self._headers | ({"Content-Type": "application/json"} if body else {})
        headers |= {"Idempotency-Key": f'"{key}"'} if key else {}
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._connection.request(method, target, body, headers)
                response = self._connection.getresponse()
                said = response.read()
            except (OSError, HTTPException) as error:
                raise Failure(f"{method} {target} got no answer: {error!r}") from error
            if 200 <= response.status < 300:
                return said
            wait = float(response.headers.get("Retry-After", "inf"))
            if response.status not in (429, 503) or time.monotonic() + wait > deadline:
                problem = said.decode(errors="replace")[:1000]
                raise Failure(f"{method} {target} answered {response.status}: {problem}")
            time.sleep(wait)
