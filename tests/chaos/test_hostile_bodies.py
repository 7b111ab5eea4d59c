"""X13 and X14: bombs, depth, huge numbers, names twice and lone surrogates, at every door.

Each gets a 4xx within 50 ms of work and 16 MB of memory, and never a 500.
"""

import gzip
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from martech.kernel.errors import TooLarge
from martech.kernel.http import bodies
from martech.kernel.http.requests import JsonRequest
from martech.kernel.settings import Settings
from tests import databases
from tests.chaos.history import GuaranteeBroken
from tests.serving import Served, rest_api, serve

pytestmark = pytest.mark.anyio

SECONDS = 0.05
MEMORY = 16 * 1024 * 1024
PACKED = {"content-encoding": "gzip"}

PLAIN: dict[str, bytes] = {
    **{f"{10**n} levels": b"[" * 10**n + b"]" * 10**n for n in (2, 3, 4, 5)},
    "deep objects": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    "100,000 open": b"[" * 100_000,
    "5,000 digits": b'{"name":' + b"9" * 5_000 + b"}",
    "200,000 digits": b"9" * 200_000,
    "1e999": b'{"name":1e999}',
    "a name twice": b'{"name":"a","name":"b"}',
    "a lone surrogate": rb'{"name":"\ud800"}',
    "a surrogate in UTF-8": b'{"name":"\xed\xa0\x80"}',
    "no UTF-8": b'{"name":"\xff\xfe"}',
    "a NUL": rb'{"name":"\u0000"}',
    "not JSON": b"name=a&b=c",
    "nothing": b"",
}
BOMBS: dict[str, bytes] = {
    "64 MB of zeros": gzip.compress(bytes(64_000_000), 9),
    "64 MB of spaces before an object": gzip.compress(b" " * 64_000_000 + b"{}", 9),
    "a bomb in a bomb": gzip.compress(gzip.compress(bytes(8_000_000), 9), 9),
    "cut short": gzip.compress(b'{"name":"a"}')[:15],
    "20,000 members": gzip.compress(b"") * 10_000,
}


class InflatesFirst(JsonRequest):
    """The defect: it looks at the size of what came out of the gzip when it is out."""

    async def plain(self) -> bytes:
        body = await self.body()
        if "content-encoding" in self.headers:
            body = gzip.decompress(body)
        if len(body) > 256_000:
            raise TooLarge("The body inflates to too much. Send less.")
        return body


def must(holds: bool, said: str) -> None:
    if not holds:
        raise GuaranteeBroken(said)


async def ask(served: Served, method: str, path: str, body: bytes, packed: bool) -> int:
    headers = {**served.headers(), **(PACKED if packed else {})}
    answer = await served.client.request(method, path, content=body, headers=headers)
    return answer.status_code


async def cost(served: Served, method: str, path: str, body: bytes, packed: bool) -> None:
    """Raise `GuaranteeBroken` unless *body* is refused for little; what is slow three times is
    slow."""
    where = f"{method} {path}"
    tracemalloc.start()
    try:
        status = await ask(served, method, path, body, packed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    must(400 <= status < 500, f"{where} answered {status}")
    must(peak <= MEMORY, f"{where} took {peak:,} bytes")
    spent = [await spending(served, method, path, body, packed)]
    while spent[-1] > SECONDS and len(spent) < 3:
        spent.append(await spending(served, method, path, body, packed))
    must(spent[-1] <= SECONDS, f"{where} took {min(spent):.3f} s")


async def spending(served: Served, method: str, path: str, body: bytes, packed: bool) -> float:
    """The seconds of work that it takes."""
    began = time.thread_time()
    await ask(served, method, path, body, packed)
    return time.thread_time() - began


def doors() -> list[tuple[str, str]]:
    """Every operation that may be sent a body; ids are those of nothing."""
    found = []
    for path, operations in rest_api()["paths"].items():
        for method, operation in operations.items():
            if method in ("post", "put", "patch"):
                filled = path
                for parameter in operation.get("parameters", []):
                    if parameter["in"] == "path":
                        filled = filled.replace(f"{{{parameter['name']}}}", str(uuid4()))
                found.append((method.upper(), filled))
    return found


@pytest.fixture
async def served(product_url: str) -> AsyncIterator[Served]:
    async with serve(databases.product(), Settings(database_url=product_url)) as served:
        yield served


@pytest.mark.parametrize("kind", ["sqlite"])  # nothing of this reaches a database
@pytest.mark.parametrize("name", [*PLAIN, *BOMBS])
async def test_every_door_refuses_what_is_sent_to_hurt(served: Served, name: str) -> None:
    body = PLAIN.get(name, BOMBS.get(name, b""))
    asked = doors()
    must(len(asked) >= 10, "the description has lost its routes")
    for method, path in asked:
        await cost(served, method, path, body, packed=name in BOMBS)


@pytest.mark.planted
async def test_inflating_before_looking_is_found_out(tmp_path: Path) -> None:
    settings = Settings(database_url=databases.fresh("sqlite", databases.SAMPLE, tmp_path))
    async with serve(databases.SAMPLE, settings, request=InflatesFirst) as served:
        with pytest.raises(GuaranteeBroken, match="bytes"):
            await cost(served, "POST", "/shop/v1/sales", BOMBS["64 MB of zeros"], packed=True)


@pytest.mark.planted
def test_a_depth_that_nobody_counts_is_found_out() -> None:
    """What is left to the decoder's recursion depends on who calls it from how deep."""

    def from_below(levels: int, deep: bytes) -> None:
        if levels:
            from_below(levels - 1, deep)
        else:
            bodies.decode(deep, object)

    deep = b"[" * bodies.MAX_DEPTH + b"]" * bodies.MAX_DEPTH
    from_below(200, deep)
    with pytest.raises(bodies.Malformed, match="levels deep"):
        from_below(0, b"[" + deep + b"]")
