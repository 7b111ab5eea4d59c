"""When it happened: the sender's clock error is taken out, and no clock can make nonsense of it."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.modules.tracking.domain.instants import EPOCH, Unreadable, happened_at
from tests.modules.tracking.items import NOON

moments = st.integers(min_value=946_684_800, max_value=1_795_000_000)
times = moments.map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=365))
skews = st.timedeltas(min_value=timedelta(days=-3650), max_value=timedelta(days=3650))
garbage = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())


@given(received_at=times, age=spans, skew=skews)
def test_an_error_of_the_senders_clock_cancels_out(
    received_at: datetime, age: timedelta, skew: timedelta
) -> None:
    sent_at = received_at + skew
    original = sent_at - age
    expected = received_at - age if age else received_at
    assert happened_at(original.isoformat(), sent_at.isoformat(), received_at) == max(
        expected, EPOCH
    )


@given(original=times)
def test_without_the_time_of_sending_the_original_is_believed(original: datetime) -> None:
    assert happened_at(original.isoformat(), None, NOON) == original


@given(original=garbage, sent_at=garbage | times.map(datetime.isoformat))
def test_garbage_is_refused_or_a_time_that_was(original: object, sent_at: object) -> None:
    with suppress(Unreadable):
        assert EPOCH < happened_at(original, sent_at, NOON) <= NOON


@pytest.mark.parametrize(
    "told",
    [
        "yesterday",
        "Wed, 01 Jan 2020 00:00:00 GMT",
        "2020-13-01T00:00:00Z",
        "20200101120000",
        20200101120000,
        "1577836800000000",
        2**64 - 1,
        1e300,
        True,
        ["2020-01-01"],
        {},
    ],
)
def test_what_cannot_be_read_is_refused_and_never_taken_for_now(told: object) -> None:
    with pytest.raises(Unreadable):
        happened_at(told, None, NOON)


@pytest.mark.parametrize("told", [None, "", "  "])
def test_what_says_no_time_happened_on_receipt(told: str | None) -> None:
    assert happened_at(told, None, NOON) == NOON


@given(original=times)
def test_a_number_is_read_as_seconds_or_milliseconds_since_1970(original: datetime) -> None:
    milliseconds = round(original.timestamp() * 1000)
    for told in (milliseconds, milliseconds / 1000, str(milliseconds), str(milliseconds / 1000)):
        assert happened_at(told, None, NOON) == original


@given(original=times, sent_at=garbage)
def test_a_garbled_time_of_sending_is_as_good_as_none(original: datetime, sent_at: object) -> None:
    happened = happened_at(original.isoformat(), sent_at, NOON)
    assert happened == original or isinstance(sent_at, str | int)


@pytest.mark.parametrize(
    "original",
    [
        "2026-11-21T12:00:01Z",  # a second ahead
        "9999-12-31T23:59:59.999Z",
        "0001-01-01T00:00:00Z",  # the zero of Go
        "1970-01-01T00:00:00.000Z",  # and of C
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ],
)
@pytest.mark.parametrize("sent_at", [None, "2026-11-21T12:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_the_future_and_the_time_before_computers_are_now(
    original: str, sent_at: str | None
) -> None:
    assert EPOCH < happened_at(original, sent_at, NOON) <= NOON


@pytest.mark.parametrize(
    "told",
    [
        "2026-11-21T11:00:00Z",
        "2026-11-21T11:00:00.000Z",
        "2026-11-21T11:00:00.000000+00:00",
        "2026-11-21T12:00:00+01:00",
        "2026-11-21T11:00:00.000000",
        "2026-11-21T11:00:00.000000000Z",
        "2026-11-21 11:00:00",
        "2026-11-21T11:00:00z",
        "2026-11-21T11:00:00+0000",
        "20261121T110000Z",
        "2026-11-21 11:00:00 UTC",
        " 2026-11-21T11:00:00Z ",
        1795258800,
        1795258800.0,
        1795258800000,
        "1795258800",
        "1795258800.000",
        "1795258800000",
    ],
)
def test_the_spellings_of_real_clients_are_read(told: object) -> None:
    assert happened_at(told, None, NOON) == NOON - timedelta(hours=1)
