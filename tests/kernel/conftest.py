"""What tests of the kernel ask for."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.choosing import Case, shorten


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What moves from a database to one of its kind is told once in a short run, from one kind to
    the other always."""
    shorten(config, items, Path(__file__).parent, _in_short)


def _in_short(case: Case) -> bool:
    if "there" not in case.given or case.name == "test_everything_moves_and_goes_on_where_it_was":
        return True
    return case.given.get("kind") != case.given["there"]


@pytest.fixture
def root_logger() -> Iterator[None]:
    """A command configures the logs of its process; here that is the tests'."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
