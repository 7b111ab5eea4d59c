"""A body is opened into its items; only where they cannot be told apart is it refused."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.kernel.errors import Malformed, TooLarge
from martech.modules.tracking.contract import TrackedEvent
from martech.modules.tracking.domain.bodies import (
    BATCH_BYTES,
    BATCH_ITEMS,
    CONTEXT_BYTES,
    Parcel,
    open_batch,
    open_events,
    open_single,
)
from martech.modules.tracking.domain.items import Arrival, Verdict, judge
from tests.modules.tracking.items import NOON, item


def verdicts(parcel: Parcel) -> list[Verdict]:
    arrival = Arrival(received_at=NOON, request_id="r", context=parcel.context)
    return [judge(raw, arrival, number) for number, raw in enumerate(parcel.items)]


def test_a_batch_is_opened_with_what_its_envelope_says() -> None:
    body = {"sentAt": "x", "batch": [item(), item()], "writeKey": "k", "context": {"ip": "::1"}}
    parcel = open_batch(msgspec.json.encode(body))
    assert len(parcel.items) == 2
    assert (parcel.sent_at, parcel.write_key) == ("x", "k")
    for verdict in verdicts(parcel):
        assert isinstance(verdict, TrackedEvent)
        assert bytes(verdict.context) == b'{"ip":"::1"}'


def test_an_empty_batch_has_no_items() -> None:
    assert open_batch(b'{"batch": []}').items == []


def test_half_an_emoji_costs_its_own_item_only() -> None:
    good, bad = msgspec.json.encode(item()), rb'{"type":"page","userId":"u","name":"\ud83d"}'
    pair = rb'{"type":"page","userId":"u","name":"\ud83d\ude00 \\ud83d"}'
    parcel = open_batch(b'{"batch":[' + b",".join([good, bad, pair]) + b"]}")
    kept, lost, whole = verdicts(parcel)
    assert isinstance(kept, TrackedEvent)
    assert isinstance(whole, TrackedEvent)
    assert whole.event == "\U0001f600 \\ud83d"
    assert not isinstance(lost, TrackedEvent)
    assert "surrogate" in lost.reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b'{"batch":3}',
        b'{"batch":{}}',
        b'{"batch":[1,}',
        b'{"batch":[]} x',
        b'{"batch":["\xff"]}',
        b'{"batch":[],"batch":[]}',
        b'{"batch":[1],"sentAt":"a","sentAt":"b"}',
        b'{"batch":[1],"batch":[2]}',
        b'{"batch":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_body_whose_items_cannot_be_told_apart_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        open_batch(body)
    assert refusal.value.detail.endswith(".")


@pytest.mark.parametrize("body", [b"", b"[]", b"3", b"{", b'{"a":1} 2', b'{"a":"\xff"}'])
def test_a_single_body_must_be_an_object(body: bytes) -> None:
    with pytest.raises(Malformed):
        open_single(body)


def test_the_limit_of_a_body_is_in_bytes() -> None:
    open_single(b" " * (BATCH_BYTES - 2) + b"{}")
    with pytest.raises(TooLarge):
        open_single(b" " * (BATCH_BYTES - 1) + b"{}")


def test_a_batch_unfolds_to_little_more_than_was_sent() -> None:
    """Small on the wire is not small in the outbox: zeros, and one context for all."""
    few = [b"{}"] * 100
    allowed = b'{"batch":[' + b",".join(few) + b'],"context":{"a":"' + b"x" * 32_000 + b'"}}'
    assert len(open_batch(allowed).items) == len(few)
    for count, context, what in [
        (BATCH_ITEMS + 1, 0, "2,501 items"),
        (1, CONTEXT_BYTES, "context has 32,"),
        (200, 32_000, "for each of 200 items"),
    ]:
        items = b",".join([b"0"] * count)
        with pytest.raises(TooLarge, match=what):
            open_batch(b'{"batch":[' + items + b'],"context":{"a":"' + b"x" * context + b'"}}')
    with pytest.raises(TooLarge, match="2,501 items"):
        open_events(b"[" + b",".join([b"0"] * (BATCH_ITEMS + 1)) + b"]")


@given(body=st.binary(max_size=200))
def test_any_bytes_are_opened_or_refused(body: bytes) -> None:
    for opened in (open_batch, open_single):
        with suppress(Malformed):
            assert isinstance(opened(body), Parcel)
