"""Migrated databases for tests: migrated once a run, copied for each test."""

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from martech.app import installed, load
from martech.kernel import migrate
from martech.kernel.module import Module
from tests import servers
from tests.sample.kitchen.module import module as kitchen
from tests.sample.ledger.module import module as ledger
from tests.sample.shop.module import module as shop

KINDS = ("sqlite", "postgresql")
SAMPLE = (shop, ledger, kitchen)


def sample_migrations() -> Path:
    """The sample modules' histories."""
    return _written(*SAMPLE)


@cache
def product() -> tuple[Module, ...]:
    return tuple(load(installed()))


def fresh(kind: str, modules: Sequence[Module], folder: Path) -> str:
    """The URL of a database of its own with *modules* migrated; *folder* is the test's."""
    template = _template(kind, tuple(modules))
    if kind == "postgresql":
        return servers.fresh_database(template)
    copy = folder / "databases"
    shutil.copytree(template.removeprefix("sqlite:///"), copy)
    return f"sqlite:///{copy}"


@cache
def _template(kind: str, modules: tuple[Module, ...]) -> str:
    url = servers.fresh_database() if kind == "postgresql" else f"sqlite:///{_folder('template')}"
    for module in modules:
        _run(migrate.upgrade(module, url, _history(module)))
    return url


def _history(module: Module) -> Path | None:
    """The product's own, or one that is written now, for the sample and for stand-ins."""
    if module in SAMPLE:
        return sample_migrations()
    return None if module in product() else _written(module)


@cache
def _written(*modules: Module) -> Path:
    """Histories as a developer would have them written."""
    folder = _folder("migrations")
    for file in ("env.py", "script.py.mako"):
        shutil.copy(migrate.migrations() / file, folder)
    for module in modules:
        _run(migrate.revise(module, "initial", folder))
    return folder


def _folder(kind: str) -> Path:
    """A new one, gone when the run ends."""
    folder = tempfile.mkdtemp(prefix=f"martech-{kind}-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _run(work: Coroutine[Any, Any, Any]) -> None:
    """Also where an event loop is running: whichever test comes first makes the template."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
