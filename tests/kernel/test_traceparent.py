"""Which trace a request is part of, as W3C's Trace Context has it."""

import pytest

from martech.kernel.telemetry import Trace

T, S = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def carried(*sent: str) -> str | None:
    """What goes on of the ``traceparent`` headers *sent*; None if a new trace begins."""
    trace = Trace.of([(b"traceparent", each.encode("latin-1")) for each in sent])
    return trace.traceparent if trace.trace == T else None


@pytest.mark.parametrize(
    ("sent", "goes_on"),
    [
        (f"00-{T}-{S}-00", f"00-{T}-{S}-00"),
        (f"00-{T}-{S}-01", f"00-{T}-{S}-01"),
        (f"00-{T}-{S}-03", f"00-{T}-{S}-01"),  # what else it says may mean anything one day
        (f"00-{T}-{S}-fe", f"00-{T}-{S}-00"),
        (f"cc-{T}-{S}-01", f"00-{T}-{S}-01"),  # a later version begins like this one
        (f"01-{T}-{S}-01-what-the-future-will-be-like", f"00-{T}-{S}-01"),
        (f"cc-{T}-{S}-01-", f"00-{T}-{S}-01"),
    ],
)
def test_a_request_carries_its_trace_on(sent: str, goes_on: str) -> None:
    assert carried(sent) == goes_on


@pytest.mark.parametrize(
    "sent",
    [
        f"00-{T}-{S}-01-more",
        f"00-{T}-{S}-01-",
        f"00-{T}-{S}-01\n",
        f"ff-{T}-{S}-01",
        f"cc-{T}-{S}-01.what",
        f"cc-{T}-{S}-0",
        f"0-{T}-{S}-01",
        f"00-{T.upper()}-{S}-01",
        f"00-{'0' * 32}-{S}-01",
        f"00-{T}-{'0' * 16}-01",
        f"cc-{T}-{'0' * 16}-01",
        f"00-{T}-{S}-é1",
        "",
    ],
)
def test_what_cannot_be_read_begins_a_new_one(sent: str) -> None:
    assert carried(sent) is None


def test_so_do_two_for_nobody_knows_which_is_true() -> None:
    one, other = f"00-{T}-{S}-01", f"00-{T[::-1]}-{S}-01"
    assert carried(one, one) is None
    assert carried(one, other) is None
    assert carried(other, one) is None
