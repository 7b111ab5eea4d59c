"""A load of its own, in a process of its own: it reports what it got, and what it cost itself.

    python -m benchmarks.load --port 8000 --key KEY --shape track --seconds 10 --connections 64

Each connection sends the next request when the last one is answered (closed loop), or, with
--rate, at its time whether or not the server keeps up (open loop: a slow answer delays nobody
else's clock). Anything but a 2xx is a miss; so is a request without an answer at the end.
Shape ``get`` asks for --path again and again. Prints one JSON object.
"""

import argparse
import asyncio
import base64
import itertools
import json
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import uvloop

EVENT = (
    b'{"type":"track","event":"Product Viewed","userId":"user-%06d","messageId":"%s-%010d",'
    b'"timestamp":"%s","properties":{"product_id":"p-1042","category":"coffee","price":12.5,'
    b'"currency":"EUR","position":3,"url":"https://example.com/coffee/p-1042"},'
    b'"context":{"library":{"name":"bench","version":"1"},"locale":"en-GB"}}'
)
PEOPLE = 5000
NEWCOMERS = 50
"""Of shape ``newcomers``, every so many'th event is somebody's first."""


class Bodies:
    """Endless distinct bodies of one shape."""

    def __init__(self, shape: str, run: str, path: str = "") -> None:
        self.path, self._make = {
            "track": ("/v1/track", self._track),
            "batch": ("/v1/batch", self._batch),
            "newcomers": ("/v1/batch", self._batch),
            "empty": ("/v1/batch", self._empty),
            "get": (path, bytes),
        }[shape]
        self.method = "GET" if shape == "get" else "POST"
        self._every = NEWCOMERS if shape == "newcomers" else 0
        self._run = run.encode()
        self._now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()).encode()
        self._numbers = itertools.count()

    @property
    def items(self) -> int:
        return 100 if self._make == self._batch else 1

    def __call__(self) -> bytes:
        return self._make()

    def _event(self) -> bytes:
        number = next(self._numbers)
        who = number % PEOPLE
        if self._every and number % self._every == 0:
            who = PEOPLE + number
        return EVENT % (who, self._run, number, self._now)

    def _track(self) -> bytes:
        return self._event()

    def _batch(self) -> bytes:
        events = b",".join(self._event() for _ in range(100))
        return b'{"batch":[' + events + b'],"sentAt":"' + self._now + b'"}'

    def _empty(self) -> bytes:
        return b'{"batch":[]}'


class Connection(asyncio.Protocol):
    """One kept-open connection: a request at a time, the answer's status and length read."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.transport: Any = None
        self.buffer = b""
        self.began = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.load.idle(self)

    def send(self, due: float) -> None:
        """Send the next request; its time counts from *due*."""
        self.began, self.busy = due, True
        self.transport.write(self.load.request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = _length(head)
        if len(rest) < length:
            return
        self.buffer, self.busy = rest[length:], False
        self.load.answered(head[9:12], time.perf_counter() - self.began, rest[:length])
        self.load.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy:
            self.load.missed("connection lost")


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


class Load:
    def __init__(self, bodies: Bodies, host: str, key: str, rate: float) -> None:
        self.bodies, self.rate = bodies, rate
        token = base64.b64encode(f"{key}:".encode()).decode()
        self.head = (
            f"{bodies.method} {bodies.path} HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Basic {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self.times: list[float] = []
        self.misses: dict[str, int] = {}
        self.waiting: list[Connection] = []
        self.overdue: deque[float] = deque()
        self.running = False
        self.sent = 0

    def request(self) -> bytes:
        body = self.bodies()
        self.sent += 1
        return self.head + b"%d\r\n\r\n" % len(body) + body

    def idle(self, connection: Connection) -> None:
        if self.overdue:
            connection.send(self.overdue.popleft())
        elif self.running and not self.rate:
            connection.send(time.perf_counter())
        else:
            self.waiting.append(connection)

    def answered(self, status: bytes, seconds: float, body: bytes) -> None:
        if status[:1] == b"2":
            self.times.append(seconds)
        else:
            self.missed(f"{status.decode()} {body[:200].decode(errors='replace')}")

    def missed(self, why: str) -> None:
        self.misses[why] = self.misses.get(why, 0) + 1

    async def run(self, seconds: float) -> None:
        self.running = True
        if not self.rate:
            waiting, self.waiting = self.waiting, []
            for connection in waiting:
                connection.send(time.perf_counter())
            await asyncio.sleep(seconds)
        else:
            await self._at_rate(seconds)
        self.running = False

    async def _at_rate(self, seconds: float) -> None:
        start = time.perf_counter()
        for due in _beats(start, self.rate, seconds):
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            if self.waiting:
                self.waiting.pop().send(due)
            else:
                self.overdue.append(due)


def _beats(start: float, rate: float, seconds: float) -> Iterator[float]:
    for number in range(int(rate * seconds)):
        yield start + number / rate


def percentile(times: list[float], share: float) -> float:
    """In milliseconds."""
    return round(sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000, 2)


async def main(options: argparse.Namespace) -> None:
    bodies = Bodies(options.shape, options.run, options.path)
    load = Load(bodies, f"{options.host}:{options.port}", options.key, options.rate)
    loop = asyncio.get_running_loop()
    make: Callable[[], Connection] = lambda: Connection(load)  # noqa: E731
    transports = [
        (await loop.create_connection(make, options.host, options.port))[0]
        for _ in range(options.connections)
    ]
    cpu, began = time.process_time(), time.perf_counter()
    await load.run(options.seconds)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    answered = len(load.times)
    for _ in range(200):  # what is under way may still be answered, but counts no more
        if answered + sum(load.misses.values()) >= load.sent:
            break
        await asyncio.sleep(0.05)
        answered = min(len(load.times), load.sent)
    unanswered = load.sent - len(load.times) - sum(load.misses.values())
    if unanswered:
        load.misses["no answer"] = unanswered
    for transport in transports:
        transport.close()
    print(
        json.dumps(
            {
                "requests_per_second": round(len(load.times) / took, 1),
                "items_per_second": round(len(load.times) * bodies.items / took, 1),
                "acknowledged_items": len(load.times) * bodies.items,
                "p50_ms": percentile(load.times, 0.5) if load.times else None,
                "p99_ms": percentile(load.times, 0.99) if load.times else None,
                "misses": load.misses,
                "load_cpu_share": round(cpu / took, 2),
                "load_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", required=True)
    shapes = ["track", "batch", "newcomers", "empty", "get"]
    parser.add_argument("--shape", choices=shapes, required=True)
    parser.add_argument("--path", default="", help="what to get")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0, help="requests a second; 0 is closed loop")
    parser.add_argument("--run", default=f"{time.time_ns():x}", help="makes message ids distinct")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(uvloop.run(main(options())))
