"""An oracle behind a real socket, and a host that knows it for a peer; on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases
from tests.kernel.remote.oracle.module import module as oracle
from tests.kernel.remote.serving import SECRET, served


@pytest.fixture
def there(kind: str, tmp_path: Path) -> Settings:
    """Those of the oracle's host."""
    url = databases.fresh(kind, [oracle], tmp_path)
    return Settings(database_url=url, peer_secret=SECRET)


@pytest.fixture
async def home(there: Settings) -> AsyncIterator[Host]:
    """The oracle's host."""
    async with served([oracle], there) as host:
        yield host


@pytest.fixture
def peers(home: Host) -> Settings:
    """Those of a host that knows where the oracle is."""
    return Settings(peers={"oracle": home.settings.public}, peer_secret=SECRET)


@pytest.fixture
async def here(peers: Settings) -> AsyncIterator[Host]:
    """A host from which the oracle is asked."""
    async with Host([], peers) as host:
        yield host
