"""Reading what strangers send: bounded in bytes, in depth and in time, and never a 500.

Everything here raises an `Error` that says what is wrong with the body and what to do about it.
"""

import json
import re
import zlib
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

import msgspec

from martech.kernel.errors import Malformed, TooLarge
from martech.kernel.http.fields import refused_field

T = TypeVar("T")

MAX_DEPTH = 64
"""Deeper JSON is refused. The decoder's own limit depends on how deep the Python stack is."""

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")
_STEP = {ord(c): step for c, step in {"[": 1, "{": 1, "]": -1, "}": -1}.items()}
_GZIP = zlib.MAX_WBITS | 16


def inflate(body: bytes, limit: int) -> bytes:
    """*body* without its gzip; never holds more than *limit* bytes of what comes out."""
    machine = zlib.decompressobj(_GZIP)
    try:
        plain = machine.decompress(body, limit + 1)
    except zlib.error as error:
        raise Malformed(
            f"The body is not valid gzip ({error}). Send it again, or without Content-Encoding."
        ) from None
    if len(plain) > limit:
        raise TooLarge(f"The body inflates to more than {limit:,} bytes. Send it in smaller parts.")
    if not machine.eof:
        raise Malformed("The gzip body ends too early. Send the whole of it.")
    if machine.unused_data:
        raise Malformed("Something follows the gzip body. Send one gzip member and nothing else.")
    return plain


def check_depth(body: bytes, limit: int = MAX_DEPTH) -> None:
    """Refuse JSON nested deeper than *limit*; 0.6 µs a kilobyte unless it has many brackets."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return
    brackets = _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > limit:
        raise _too_deep(limit)


def _too_deep(limit: int) -> Malformed:
    return Malformed(f"The JSON is nested more than {limit} levels deep. Send a flatter one.")


def check_names(body: bytes) -> None:
    """Refuse an object that has one name twice: readers would disagree about its value."""
    try:
        _NAMES.decode(body.decode())
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8. Encode the JSON as UTF-8.") from None
    except (ValueError, RecursionError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None


def decode(body: bytes, shape: type[T]) -> T:
    """*body* as a *shape*, strictly: no coercion, no name twice, no depth beyond `MAX_DEPTH`."""
    try:
        value = msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise refused_field(str(error), shape=shape) from None
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8. Encode the JSON as UTF-8.") from None
    except RecursionError:
        raise _too_deep(MAX_DEPTH) from None
    except ValueError as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None
    check_depth(body)
    check_names(body)
    return value


def verify(raw: bytes) -> None:
    """Refuse JSON that `decode` would refuse later; for what is passed on undecoded.

    `msgspec.Raw` skips over broken escapes, lone surrogates and names given twice.
    """
    decode(raw, object)


def _once(pairs: Sequence[tuple[str, object]]) -> None:
    names = dict(pairs)
    if len(names) == len(pairs):
        return
    for name, _ in pairs:
        if name in names:
            del names[name]
            continue
        raise Malformed(f"The name {name!r} stands twice in one object. Send it once.")


_NAMES = json.JSONDecoder(object_pairs_hook=_once)
