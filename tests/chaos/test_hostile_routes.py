"""X13 and X14 for every route there is: what is sent to hurt is refused at once, never a 500.

Bodies of the tracking protocol have their own corpus beside that module; here every other route
of the OpenAPI document gets each kind of bad body, in each of its fields, and in its parameters.
"""

import gzip
import json
from collections.abc import Iterator
from time import thread_time
from typing import Any

import psutil
import pytest

from tests.chaos.defects import InflatesFirst
from tests.chaos.history import GuaranteeBroken, insist
from tests.chaos.test_strangers import CASES, Operation, operations
from tests.chaos.town import Town, Wrap, town
from tests.serving import rest_api

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

SECONDS = 0.05
MEMORY = 16 * 1024 * 1024

WHOLE: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "a number": b"1",
    "no UTF-8": b'{"name":"\xff"}',
    "an encoded half": b'{"name":"\xed\xa0\x80"}',
    "1000 levels": b'{"name":' * 1000 + b"1" + b"}" * 1000,
    "100000 open lists": b"[" * 100_000,
    "a field nobody knows": b'{"nobody_knows_this":1}',
    "more than a body may be": b'{"name":"' + b"x" * 2_000_000 + b'"}',
}
ZIPPED: dict[str, bytes] = {
    "gzip of 64 MB of zeros": gzip.compress(bytes(64 * 2**20), 9),
    "gzip cut short": gzip.compress(b'{"name":"x"}')[:15],
    "gzip that is none": b'{"name":"x"}',
}
VALUES: dict[str, bytes] = {
    "a NUL": rb'"x\u0000y"',
    "half a pair": rb'"\ud800"',
    "a number beyond any": b"1e999",
    "a whole number of 5000 digits": b"9" * 5000,
    "a whole number of 20 digits": b"9" * 20,
    "100 levels": b"[" * 100 + b"]" * 100,
    "not a number": b"NaN",
    "300000 letters": b'"' + b"x" * 300_000 + b'"',
    "a null": b"null",
    "a time after the last": b'"9999-12-31T23:59:59-14:00"',
    "a time before the first": b'"0001-01-01T00:00:00+14:00"',
}
PARAMETERS = {
    "a NUL": "%00",
    "no UTF-8": "%ff%fe",
    "an encoded half": "%ed%a0%80",
    "a name with quotes": "%27%22%3B--",
    "4000 letters": "x" * 4000,
    "a number of 400 digits": "9" * 400,
    "less than nothing": "-1",
    "another's cursor": "eyJhIjoxfQ",
    "a time after the last": "9999-12-31T23:59:59-14:00",
    "a time before the first": "0001-01-01T00:00:00%2B14:00",
}


def bodies(operation: Operation) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Bad bodies for *operation*: what is wrong, the bytes, and the headers."""
    plain = {"content-type": "application/json"}
    for name, body in WHOLE.items():
        yield name, body, plain
    for name, body in ZIPPED.items():
        yield name, body, {**plain, "content-encoding": "gzip"}
    good = CASES[operation.name].body
    assert isinstance(good, dict)
    for field in good:
        others = b",".join(_member(other, good[other]) for other in good if other != field)
        for name, value in VALUES.items():
            yield (
                f"{name} as {field}",
                b"{" + _named(field) + value + b"," * bool(others) + (others + b"}"),
                plain,
            )
        twice = _member(field, good[field])
        yield (
            f"{field} twice",
            b"{" + b",".join([twice, twice, *filter(None, [others])]) + b"}",
            plain,
        )


def _named(field: str) -> bytes:
    return json.dumps(field).encode() + b":"


def _member(field: str, value: object) -> bytes:
    return _named(field) + json.dumps(value).encode()


class Attack:
    def __init__(self, town: Town) -> None:
        self.town = town
        self.headers = {"authorization": f"Bearer {town.secret['acme']}"}
        self.tried = 0

    async def send(self, what: str, method: str, path: str, **sent: Any) -> int:
        """The status. What is slow or large three times over is so on its own account."""
        cost = ""
        for _ in range(3):
            status, cost = await self._send(what, method, path, **sent)
            if not cost:
                return status
        raise GuaranteeBroken(f"{method} {path[:80]} with {what}: {cost}")

    async def _send(self, what: str, method: str, path: str, **sent: Any) -> tuple[int, str]:
        memory, begun = psutil.Process().memory_info().rss, thread_time()
        headers = {**self.headers, **sent.pop("headers", {})}
        answer = await self.town.client.request(method, path, headers=headers, **sent)
        took, more = thread_time() - begun, psutil.Process().memory_info().rss - memory
        self.tried += 1
        where = f"{method} {path[:80]} with {what}: {answer.status_code} {answer.text[:200]}"
        if answer.status_code >= 500:
            raise GuaranteeBroken(where)
        if answer.is_client_error and answer.headers["content-type"] != "application/problem+json":
            raise GuaranteeBroken(f"{where}: no problem document")
        cheap = took <= SECONDS and more <= MEMORY
        return answer.status_code, "" if cheap else f"{took * 1000:.0f} ms, {more >> 20} MB"


def filled(town: Town, operation: Operation, **instead: str) -> str:
    path = operation.path
    for name in operation.asked:
        path = path.replace(f"{{{name}}}", instead.get(name, town.ids.get(name, "x")))
    return path


def well_asked(town: Town, operation: Operation, *, but: str) -> str:
    """The parameters of a good request: a route that misses one looks at no other."""
    query = {
        name: town.ids.get(value[5:]) if value.startswith("acme:") else value
        for name, value in CASES[operation.name].query.items()
        if name != but
    }
    return "".join(f"&{name}={value}" for name, value in query.items() if value)


async def attack_bodies(url: str, wrap: Wrap | None = None) -> None:
    async with town(url, wrap) as acme:
        attack, document = Attack(acme), rest_api()
        taking = {
            described["operationId"]
            for methods in document["paths"].values()
            for described in methods.values()
            if "requestBody" in described
        }
        for operation in operations(document):
            if operation.name not in taking:
                continue
            for what, body, headers in bodies(operation):
                path = filled(acme, operation)
                status = await attack.send(
                    what, operation.method, path, content=body, headers=headers
                )
                if status < 400 and " as " not in what:
                    raise GuaranteeBroken(f"{operation.name} took {what}")
        insist(faults=attack.tried, wanted=100, tried=len(taking), planned=5)


async def test_a_hostile_body_is_refused_by_every_route_that_takes_one(product_url: str) -> None:
    await attack_bodies(product_url)


@pytest.mark.planted
async def test_inflating_before_looking_at_the_limit_is_found_out(product_url: str) -> None:
    with pytest.raises(GuaranteeBroken, match="gzip of 64 MB of zeros"):
        await attack_bodies(product_url, InflatesFirst)


async def test_a_hostile_parameter_breaks_no_route(product_url: str) -> None:
    async with town(product_url) as acme:
        attack, document = Attack(acme), rest_api()
        for operation in operations(document):
            described = document["paths"][operation.path][operation.method.lower()]
            asked = [p["name"] for p in described.get("parameters", []) if p["in"] == "query"]
            for what, value in PARAMETERS.items():
                for name in operation.asked:
                    path = filled(acme, operation, **{name: value})
                    await attack.send(f"{what} as {name}", operation.method, path, json={})
                for name in asked:
                    good = well_asked(acme, operation, but=name)
                    path = f"{filled(acme, operation)}?{name}={value}{good}"
                    await attack.send(f"{what} as {name}", operation.method, path)
        insist(faults=attack.tried, wanted=100, tried=attack.tried, planned=100)
