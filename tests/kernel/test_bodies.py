"""What strangers send costs little time and little memory, and is refused in a sentence."""

import gzip
import json
import os
import zlib
from time import thread_time
from typing import Any

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


HOSTILE: dict[str, tuple[Any, ...]] = {
    "a bomb": (inflate, gzip.compress(bytes(64 * MB)), LIMIT),
    "a bomb in a bomb's clothes": (inflate, gzip.compress(gzip.compress(bytes(MB))) * 2, 10),
    "many empty members": (inflate, gzip.compress(b"") * 20_000, LIMIT),
    "a cut gzip": (inflate, gzip.compress(os.urandom(LIMIT))[:-9], 2 * LIMIT),
    "zlib, not gzip": (inflate, zlib.compress(b"{}"), LIMIT),
    "100 levels": (verify, nested(100)),
    "100,000 levels": (verify, nested(100_000)),
    "250,000 open": (verify, b"[" * 250_000),
    "deep objects": (verify, b'{"a":' * 80_000 + b"1" + b"}" * 80_000),
    "deep behind strings": (verify, b'["]]]]",' * 60_000 + b"1" + b"]" * 60_000),
    "an integer of 400,000 digits": (verify, b"9" * 400_000),
    "an integer of 5,000 digits": (verify, b'{"a":' + b"9" * 5_000 + b"}"),
    "a number out of range": (verify, b'{"a":1e999}'),
    "not a number": (verify, b'{"a":NaN}'),
    "a name twice": (verify, b'{"a":1,"a":2}'),
    "a name twice, escaped": (verify, b'{"a":1,"\\u0061":2}'),
    "100,000 names twice": (
        verify,
        json.dumps([{str(n): 1} for n in range(10_000)])[:-1].encode() + b',{"a":1,"a":1}]',
    ),
    "a lone surrogate": (verify, b'{"a":"\\ud800"}'),
    "a lone surrogate in a name": (verify, b'{"\\udfff":1}'),
    "two high surrogates": (verify, b'{"a":"\\ud800\\ud800"}'),
    "a surrogate in UTF-8": (verify, b'{"a":"\xed\xa0\x80"}'),
    "no UTF-8": (verify, b'{"a":"\xff"}'),
    "half a string": (verify, b'"' + b"\\" * 499_999),
    "quotes": (verify, b'"' * 500_000),
    "nothing": (verify, b""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_refused_fast_and_small(name: str) -> None:
    read, body, *limit = HOSTILE[name]
    process = psutil.Process()
    took = []
    for _ in range(3):  # the first run loads and allocates once; of the others one is undisturbed
        before, began = process.memory_info().rss, thread_time()
        with pytest.raises(Error) as refused:
            read(body, *limit)
        took.append(thread_time() - began)
        grown = process.memory_info().rss - before
    assert refused.value.status in (400, 413, 422)
    assert refused.value.detail.endswith(".")
    assert min(took) <= 0.05
    assert grown <= 16 * MB


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
