"""What tests of the kernel ask for."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.commands import Commands
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases
from tests.chaos.choosing import Case, shorten
from tests.kitchen import NOON, Open


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


@pytest.fixture
def clock() -> TestClock:
    return TestClock(NOON)


@pytest.fixture
async def hosts(sample_url: str, clock: TestClock) -> AsyncIterator[Open]:
    """Opens hosts of the sample on one database, each as if in a process of its own."""
    async with AsyncExitStack() as stack:

        async def open_host(**more: Any) -> Host:
            settings = Settings(database_url=sample_url, **more)
            host = Host(databases.SAMPLE, settings, clock=clock)
            return await stack.enter_async_context(host)

        yield open_host


@pytest.fixture
async def host(hosts: Open) -> Host:
    return await hosts()


@pytest.fixture
def commands(host: Host) -> Commands:
    """Those of the kitchen."""
    return Commands(host.databases["kitchen"].metadata)
