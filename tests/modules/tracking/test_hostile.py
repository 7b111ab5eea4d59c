"""X13 and X14: what is sent to hurt gets a 4xx at once, costs little memory, and never a 500."""

import gzip
from collections.abc import Callable
from time import thread_time

import msgspec
import psutil
import pytest

from martech.modules.tracking.domain.bodies import BATCH_BYTES
from tests.modules.tracking.calling import Tracked
from tests.modules.tracking.items import item

pytestmark = pytest.mark.anyio

SECONDS = 0.05
MEMORY = 16 * 1024 * 1024
GOOD = msgspec.json.encode(item())


def single(properties: bytes) -> bytes:
    return b'{"event":"x","userId":"u","properties":' + properties + b"}"


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


CORPUS: dict[str, Callable[[], bytes]] = {
    "gzip of 1 GB of zeros": lambda: gzip.compress(bytes(2**20) * 64, 9),
    "gzip of a gzip bomb": lambda: gzip.compress(gzip.compress(bytes(2**20) * 8, 9)),
    "gzip of spaces": lambda: gzip.compress(b" " * (BATCH_BYTES * 20) + GOOD, 9),
    "gzip cut short": lambda: gzip.compress(GOOD)[:20],
    "gzip with a tail": lambda: gzip.compress(GOOD) + gzip.compress(b" " * 10_000_000),
    "gzip with a false checksum": lambda: gzip.compress(GOOD)[:-8] + bytes(8),
    "100 levels": lambda: single(nested(100)),
    "1000 levels": lambda: single(nested(1000)),
    "5000 levels": lambda: single(nested(5000)),
    "100000 lists": lambda: b'{"event":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100000 open lists": lambda: b"[" * 100_000,
    "a whole number of 10000 digits": lambda: single(b'{"n":' + b"9" * 10_000 + b"}"),
    "a whole number of 20 digits": lambda: single(b'{"n":' + b"9" * 20 + b"}"),
    "a number beyond any": lambda: single(b'{"n":1e999}'),
    "a user id of 400000 digits": lambda: b'{"event":"x","userId":' + b"9" * 400_000 + b"}",
    "not a number": lambda: single(b'{"n":NaN}'),
    "a name twice": lambda: single(b'{"a":1,"a":2}'),
    "the user twice": lambda: b'{"event":"x","userId":"u","userId":"v"}',
    "10000 names, one twice": lambda: single(
        b"{" + b",".join(b'"%d":1' % (n % 2999) for n in range(3000)) + b"}"
    ),
    "half a pair": lambda: single(rb'{"a":"\ud800"}'),
    "the other half": lambda: single(rb'{"a":"\udc00 x"}'),
    "half a pair as a name": lambda: single(rb'{"\ud800":1}'),
    "50000 halves": lambda: single(b'{"a":"' + rb"\ud800" * 50_000 + b'"}'),
    "an encoded half": lambda: single(b'{"a":"\xed\xa0\x80"}'),
    "no UTF-8": lambda: single(b'{"a":"\xff"}'),
    "a NUL": lambda: single(rb'{"a":"\u0000"}'),
    "a raw NUL": lambda: single(b'{"a":"\x00"}'),
    "an overlong name": lambda: b'{"event":"' + b"x" * 30_000 + b'","userId":"u"}',
    "backslashes": lambda: single(b'{"a":"' + b"\\" * 20_001 + b'"}'),
    "quotes": lambda: single(b'{"a":' + b'"' * 20_000 + b"}"),
    "too large": lambda: single(b'{"a":"' + b"x" * BATCH_BYTES + b'"}'),
}


async def test_a_hostile_event_gets_a_4xx_at_little_cost(tracked: Tracked) -> None:
    process, grown = psutil.Process(), 0
    for name, made in CORPUS.items():
        body, spent = made(), list[float]()
        for _ in range(3):  # the first loads and allocates once; of the others one is undisturbed
            before, began = process.memory_info().rss, thread_time()
            answer = await tracked.post("track", body)
            spent.append(thread_time() - began)
            grown = process.memory_info().rss - before
            assert 400 <= answer.status_code < 500, (name, answer.text)
            assert answer.headers["content-type"] == "application/problem+json", name
        assert min(spent) < SECONDS, name
        assert grown < MEMORY, name
        assert await tracked.told() == [], name


@pytest.mark.parametrize(
    "bad",
    [
        nested(100),
        nested(900),
        b'{"a":' + b"9" * 10_000 + b"}",
        b'{"a":1,"a":2}',
        rb'{"a":"\ud800"}',
        rb'{"a":"\u0000"}',
        b'{"a":1e999}',
    ],
    ids=["100 levels", "900 levels", "huge number", "a name twice", "half a pair", "NUL", "1e999"],
)
async def test_a_hostile_item_costs_its_neighbours_nothing(tracked: Tracked, bad: bytes) -> None:
    mine = b'{"type":"track","messageId":"bad","event":"x","userId":"u","properties":' + bad + b"}"
    answer = await tracked.post("batch", b'{"batch":[' + b",".join([GOOD, mine, GOOD]) + b"]}")
    assert answer.status_code == 200, answer.text
    assert await tracked.totals() == (3, 2, 0, 1)
    (rejected,) = (await tracked.rejections()).data
    assert rejected.field or "valid JSON" in rejected.reason or "levels" in rejected.reason
