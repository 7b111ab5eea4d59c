"""What every test may ask for. Servers come from tests/servers.py, started once a run."""

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from martech.kernel import settings
from martech.kernel.files import faces, installed
from martech.kernel.host import Host
from martech.kernel.http.server import GARBAGE
from martech.kernel.settings import Settings
from tests import databases, servers
from tests.chaos.choosing import whole_on
from tests.chaos.verdicts import Verdicts

MEMORY = Path("/dev/shm")
ENOUGH = 4 * 2**30  # bytes: three workers were seen to hold a third of them


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="guarantees at full size (make chaos)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only_full: has no short form; `make chaos` runs it")
    config.addinivalue_line("markers", "one_database: in a short run one, which the commit chooses")
    config.addinivalue_line("markers", "whole: needs the inside of every module")
    config.addinivalue_line("markers", "planted: a defect is found out; of databases one is enough")
    _draw_examples(4 if config.getoption("--full") else 1)
    if config.getoption("--full"):
        config.pluginmanager.register(Verdicts())
    else:
        _work_in_memory()


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """Half as many again as there are processors: who runs servers waits for them, too. (At full
    size a test keeps a processor busy by itself.)"""
    processors = yield
    asked = "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ or config.getoption("--full")
    return processors if asked else processors + processors // 2


def _draw_examples(times: int) -> None:
    """Of a property 100, and 250 where it says `@settings.get_profile("thorough")`; *times* so
    many. How busy the machine is says nothing about one."""
    for profile, examples in (("usual", 100), ("thorough", 250)):
        hypothesis.settings.register_profile(profile, deadline=None, max_examples=examples * times)
    hypothesis.settings.load_profile("usual")


def _work_in_memory() -> None:
    """What tests write is gone when they end: where there is room, it never sees a disk."""
    room = shutil.disk_usage(MEMORY).free if os.access(MEMORY, os.W_OK) else 0
    if "TMPDIR" not in os.environ and room > ENOUGH:
        os.environ["TMPDIR"], tempfile.tempdir = str(MEMORY), None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        _leave_out(config, items, lambda item: not _in_short(item))
    if set(faces()) - set(installed()):  # a module is elsewhere
        _leave_out(config, items, _is_of_the_whole)


def _leave_out(
    config: pytest.Config, items: list[pytest.Item], which: Callable[[pytest.Item], bool]
) -> None:
    left = {item for item in items if which(item)}
    config.hook.pytest_deselected(items=list(left))
    items[:] = [item for item in items if item not in left]


def _in_short(item: pytest.Item) -> bool:
    """Everything but what has no short form, or is told of the other database."""
    varied = getattr(item, "callspec", None)
    kind = varied.params.get("kind") if varied else None
    on_one = kind is None or item.get_closest_marker("one_database") is None
    return item.get_closest_marker("only_full") is None and (on_one or kind == whole_on())


def _is_of_the_whole(item: pytest.Item) -> bool:
    by_fixture = "product_url" in getattr(item, "fixturenames", ())
    return by_fixture or item.get_closest_marker("whole") is not None


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the collector need not look through it every time, and
    not oftener than where the product serves."""
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)


def pytest_unconfigure() -> None:
    """Libraries look at the exit whether all that is theirs is given back."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stores that have no SQLite file to stand beside are this run's own."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(settings, "STORES", str(tmp_path_factory.mktemp("stores")))
        yield


@pytest.fixture(autouse=True)
def databases_given_back() -> Iterator[None]:
    with servers.copies_given_back():
        yield


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether a guarantee is shown at full size (`make chaos`) or in its short form."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(params=databases.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Both databases are first class: whatever asks for one is told twice."""
    return str(request.param)


@pytest.fixture
def sample_url(kind: str, tmp_path: Path) -> str:
    """A database with the sample shop and ledger."""
    return databases.fresh(kind, databases.SAMPLE, tmp_path)


@pytest.fixture
async def sample(sample_url: str) -> AsyncIterator[Host]:
    """A host of the sample shop and ledger."""
    async with Host(databases.SAMPLE, Settings(database_url=sample_url)) as host:
        yield host


@pytest.fixture
def product_url(kind: str, tmp_path: Path) -> str:
    """A database with every module of the product."""
    return databases.fresh(kind, databases.product(), tmp_path)


@pytest.fixture
async def product(product_url: str) -> AsyncIterator[Host]:
    """A host of every module of the product."""
    async with Host(databases.product(), Settings(database_url=product_url)) as host:
        yield host
