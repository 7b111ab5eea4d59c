"""In which order workers tell the tests: long ones first, and none of them lost."""

import pytest

from tests.conftest import long_ones_first


@pytest.mark.parametrize("workers", [1, 3, 64])
def test_every_test_is_told_once_and_a_long_one_first(
    request: pytest.FixtureRequest, workers: int
) -> None:
    items = request.session.items
    ordered = long_ones_first(items, workers)
    assert sorted(item.nodeid for item in ordered) == sorted(item.nodeid for item in items)
    long = {item.path for item in items if item.get_closest_marker("timeout")}
    assert not long or ordered[0].path in long
