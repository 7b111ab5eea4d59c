"""Which of the times that callers say there are."""

from datetime import UTC, datetime

import pytest

from martech.kernel.clock import reachable
from martech.kernel.errors import Invalid


def test_a_time_is_the_same_in_utc() -> None:
    said = datetime.fromisoformat("2026-12-01T09:00:00+01:00")
    assert reachable(said, "at") == said
    assert reachable(said, "at").tzinfo is UTC


@pytest.mark.parametrize("said", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_no_utc_reaches_is_refused_by_its_name(said: str) -> None:
    with pytest.raises(Invalid, match="years 2 to 9998") as refused:
        reachable(datetime.fromisoformat(said), "until")
    assert refused.value.field == "until"
