"""Every module's history leads to its tables, and back."""

from pathlib import Path

import pytest

from martech import app
from martech.kernel import migrate
from martech.kernel.module import Module
from tests import databases, servers

pytestmark = pytest.mark.anyio

MODULES = app.load(app.installed())


@pytest.fixture(params=MODULES, ids=lambda module: module.name)
def module(request: pytest.FixtureRequest) -> Module:
    found = request.param
    assert isinstance(found, Module)
    return found


def empty(kind: str, folder: Path) -> str:
    return servers.fresh_database() if kind == databases.KINDS[1] else f"sqlite:///{folder}/empty"


async def test_a_history_leads_to_what_the_tables_say_and_back_and_there_again(
    kind: str, module: Module, tmp_path: Path
) -> None:
    url = empty(kind, tmp_path)
    await migrate.upgrade(module, url)
    assert await migrate.drift(module, url) == []
    await migrate.check(module, url)

    await migrate.downgrade(module, url, revision="base")
    assert await migrate.current(module, url) is None

    await migrate.upgrade(module, url)
    assert await migrate.drift(module, url) == []
