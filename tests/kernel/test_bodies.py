"""What strangers send costs little time and little memory, and is refused in a sentence."""

import gzip
import json
import os
import zlib
from collections.abc import Callable
from time import perf_counter

import msgspec
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.kernel.errors import Error, Malformed, TooLarge
from martech.kernel.http.bodies import MAX_DEPTH, check_depth, check_names, decode, inflate, verify

LIMIT = 500_000
MB = 1_000_000


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


HOSTILE: dict[str, Callable[[], object]] = {
    "a bomb": lambda: inflate(gzip.compress(bytes(400 * MB)), LIMIT),
    "a bomb in a bomb's clothes": lambda: inflate(gzip.compress(gzip.compress(bytes(MB))) * 2, 10),
    "many empty members": lambda: inflate(gzip.compress(b"") * 20_000, LIMIT),
    "a cut gzip": lambda: inflate(gzip.compress(os.urandom(LIMIT))[:-9], 2 * LIMIT),
    "zlib, not gzip": lambda: inflate(zlib.compress(b"{}"), LIMIT),
    "100 levels": lambda: verify(nested(100)),
    "100,000 levels": lambda: verify(nested(100_000)),
    "250,000 open": lambda: verify(b"[" * 250_000),
    "deep objects": lambda: verify(b'{"a":' * 80_000 + b"1" + b"}" * 80_000),
    "deep behind strings": lambda: verify(b'["]]]]",' * 60_000 + b"1" + b"]" * 60_000),
    "an integer of 400,000 digits": lambda: verify(b"9" * 400_000),
    "an integer of 5,000 digits": lambda: verify(b'{"a":' + b"9" * 5_000 + b"}"),
    "a number out of range": lambda: verify(b'{"a":1e999}'),
    "not a number": lambda: verify(b'{"a":NaN}'),
    "a name twice": lambda: verify(b'{"a":1,"a":2}'),
    "a name twice, escaped": lambda: verify(b'{"a":1,"\\u0061":2}'),
    "100,000 names twice": lambda: verify(
        json.dumps([{str(n): 1} for n in range(10_000)])[:-1].encode() + b',{"a":1,"a":1}]'
    ),
    "a lone surrogate": lambda: verify(b'{"a":"\\ud800"}'),
    "a lone surrogate in a name": lambda: verify(b'{"\\udfff":1}'),
    "two high surrogates": lambda: verify(b'{"a":"\\ud800\\ud800"}'),
    "a surrogate in UTF-8": lambda: verify(b'{"a":"\xed\xa0\x80"}'),
    "no UTF-8": lambda: verify(b'{"a":"\xff"}'),
    "half a string": lambda: verify(b'"' + b"\\" * 499_999),
    "quotes": lambda: verify(b'"' * 500_000),
    "nothing": lambda: verify(b""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_refused_fast_and_small(name: str) -> None:
    hostile, process = HOSTILE[name], psutil.Process()
    refuse(hostile)  # what is prepared is not what is measured, nor what is loaded once
    body_made = perf_counter()
    before = process.memory_info().rss
    error = refuse(hostile)
    took = perf_counter() - body_made
    assert error.status in (400, 413, 422)
    assert error.detail.endswith(".")
    assert process.memory_info().rss - before <= 16 * MB
    if "bomb" not in name and "cut" not in name:  # there most time goes into making it
        assert took <= 0.05 * slack()


def refuse(hostile: Callable[[], object]) -> Error:
    with pytest.raises(Error) as raised:
        hostile()
    return raised.value


def slack() -> float:
    """How much slower this machine is just now than it should be."""
    began = perf_counter()
    sum(range(100_000))
    return max(1.0, (perf_counter() - began) / 0.002)


def test_a_bomb_is_left_alone_at_the_limit() -> None:
    bomb = gzip.compress(bytes(400 * MB))
    process = psutil.Process()
    before, began = process.memory_info().rss, perf_counter()
    with pytest.raises(TooLarge):
        inflate(bomb, LIMIT)
    assert perf_counter() - began <= 0.05 * slack()
    assert process.memory_info().rss - before <= 16 * MB


@given(st.binary(max_size=2000))
def test_what_is_compressed_comes_out_again(plain: bytes) -> None:
    packed = gzip.compress(plain)
    assert inflate(packed, len(plain)) == plain
    if plain:
        with pytest.raises(TooLarge):
            inflate(packed, len(plain) - 1)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_gunzip(junk: bytes) -> None:
    try:
        inflate(b"\x1f\x8b" + junk, LIMIT)
    except (Malformed, TooLarge) as refused:
        assert refused.detail  # noqa: PT017 - either is right


@given(st.integers(1, 200))
def test_depth_is_counted_exactly(levels: int) -> None:
    if levels <= MAX_DEPTH:
        check_depth(nested(levels))
    else:
        with pytest.raises(Malformed):
            check_depth(nested(levels))


def test_brackets_in_strings_are_no_depth() -> None:
    check_depth(json.dumps([["[[[{{{" * 100, '\\"[[[', "]]]}}}"]] * 50).encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(VALUES)
def test_every_json_that_others_write_is_read(value: object) -> None:
    try:
        text = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return  # Python writes lone surrogates, UTF-8 does not
    assert decode(text, object) == value


@given(VALUES)
def test_names_given_once_are_left_alone(value: object) -> None:
    check_names(msgspec.json.encode(json.loads(json.dumps(value).replace("\\ud", "\\u0"))))
