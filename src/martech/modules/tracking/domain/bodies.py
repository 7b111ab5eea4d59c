"""A request's body, opened into items that nobody has looked at yet.

What is wrong with one item must not cost its neighbours, so a body is refused as a whole only
where its items cannot be told apart.
"""

import re
from collections.abc import Callable

import msgspec
from msgspec import Raw

from martech.kernel.errors import Malformed, TooLarge
from martech.modules.tracking.contract import DEPTH, EMPTY
from martech.modules.tracking.domain.complaints import refused
from martech.modules.tracking.domain.free import Refused, inspect

BATCH_BYTES = 500 * 1024
BATCH_ITEMS = 2500
"""As Segment takes; a body of nothing but commas and zeros has a hundred times as many."""

CONTEXT_BYTES = 32 * 1024
COPIED_BYTES = 4 * 1024 * 1024
"""Each item without a context of its own gets the batch's: what a body unfolds to."""


class Parcel(msgspec.Struct, frozen=True):
    items: list[Raw]
    sent_at: object = None
    write_key: object = None
    context: Raw = EMPTY


class _Single(msgspec.Struct, rename="camel"):
    write_key: object = None


class _Batch(msgspec.Struct, rename="camel"):
    batch: Raw
    sent_at: object = None
    write_key: object = None
    context: Raw = EMPTY


_single = msgspec.json.Decoder(_Single).decode
_batch = msgspec.json.Decoder(_Batch).decode
_items = msgspec.json.Decoder(list[Raw]).decode


def open_batch(body: bytes) -> Parcel:
    """Raises `Malformed` or `TooLarge`."""
    return _open(body, _many, 'Send an object with a list named "batch" in it.')


def open_single(body: bytes) -> Parcel:
    """The one item that *body* is. Raises `Malformed` or `TooLarge`."""
    return _open(body, _one, "Send one event, a JSON object.")


def open_event(body: bytes) -> Parcel:
    """The one CloudEvent that *body* is. Raises `Malformed` or `TooLarge`."""
    return _open(body, _one, "Send one CloudEvent, a JSON object.")


def open_events(body: bytes) -> Parcel:
    """The CloudEvents that *body* lists. Raises `Malformed` or `TooLarge`."""
    return _open(body, lambda listed: Parcel(_listed(listed)), "Send a list of CloudEvents.")


def _open(body: bytes, parcel: Callable[[bytes], Parcel], cure: str) -> Parcel:
    if len(body) > BATCH_BYTES:
        raise TooLarge(f"The body has {len(body):,} bytes. Send at most {BATCH_BYTES:,} at once.")
    try:
        if not body.isascii():
            body.decode()
        return _parcel(body, parcel)
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8. Encode the JSON as UTF-8.") from None
    except RecursionError:
        raise Malformed(f"The body nests too deep. Send at most {DEPTH} levels.") from None
    except msgspec.ValidationError as error:
        wrong = refused(error)
        raise Malformed(f"{wrong.reason} {cure}", field=wrong.field) from None
    except msgspec.DecodeError as error:
        raise Malformed(f"The body is not JSON: {error}. {cure}") from None
    except Refused as wrong:
        raise Malformed(wrong.reason, field=wrong.field) from None


def _parcel(body: bytes, parcel: Callable[[bytes], Parcel]) -> Parcel:
    try:
        return parcel(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # once more: browsers cut emoji in half
        return parcel(_LONE.sub(_nul_for_lone, body))


def _one(body: bytes) -> Parcel:
    return Parcel([Raw(body.strip(b" \t\r\n"))], write_key=_single(body).write_key)


def _many(body: bytes) -> Parcel:
    told = _batch(body)
    items = _listed(told.batch)
    envelope = inspect(_without(body, bytes(told.batch)))
    context = told.context if isinstance(envelope.get("context"), dict) else EMPTY
    _check_copies(len(bytes(context)), len(items))
    return Parcel(items, told.sent_at, told.write_key, context)


def _listed(batch: Raw | bytes) -> list[Raw]:
    items = _items(batch)
    if len(items) > BATCH_ITEMS:
        raise TooLarge(f"The batch has {len(items):,} items. Send at most {BATCH_ITEMS:,} at once.")
    return items


def _check_copies(context: int, items: int) -> None:
    if context > CONTEXT_BYTES:
        raise TooLarge(
            f"The batch's context has {context:,} bytes. Send at most {CONTEXT_BYTES:,}.",
            field="context",
        )
    if context * items > COPIED_BYTES:
        raise TooLarge(
            f"The batch's context has {context:,} bytes, for each of {items:,} items. Send fewer "
            "at once, or a smaller context.",
            field="context",
        )


def _without(body: bytes, batch: bytes) -> bytes:
    """What stands around the items. (`replace` would prepare a search for all of *batch*.)"""
    start = body.find(batch[:60])
    if body[start : start + len(batch)] == batch:
        return body[:start] + b"[]" + body[start + len(batch) :]
    return body.replace(batch, b"[]", 1)


_LONE = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def _nul_for_lone(match: re.Match[bytes]) -> bytes:
    """Half of a surrogate pair becomes a NUL, for which its item alone is rejected."""
    return match[1] or rb"\u0000"
