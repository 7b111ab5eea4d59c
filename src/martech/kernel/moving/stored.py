"""The file of a module's store, where it has one, goes where its database goes."""

import os
import shutil
from hashlib import file_digest
from pathlib import Path

from martech.kernel.errors import Conflict
from martech.kernel.module import Module
from martech.kernel.settings import Settings


async def copy(module: Module, before: Settings, after: Settings, *, replace: bool) -> None:
    """*replace* is whether a file that is there already is one of this module's, of no use now.

    A store that is named by MARTECH_<MODULE>_STORE_URL, or that a server keeps, stays there.
    Raises `Unavailable` while another process has it open.
    """
    if not module.engines:
        return
    default = next(iter(module.engines))
    old, new = (settings.store_of(module.name, default) for settings in (before, after))
    engine = module.engines[old.partition(":")[0]]
    source, target = engine.kept_in(old), engine.kept_in(new)
    if old == new or source is None or target is None or not source.exists():
        return
    if target.exists() and not replace:
        raise Conflict(f"There is a store in {target} already. Nothing was changed; remove it.")
    opened = engine(old)
    try:
        await opened.place("")  # nobody else has it; and closing it leaves all of it in the file
    finally:
        await opened.close()
    _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    """All of it, or nothing under its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving = target.with_name(f"{target.name}.arriving")
    shutil.copyfile(source, arriving)
    if _hash(source) != _hash(arriving):
        raise Conflict(f"{arriving} is not what {source} is. Look after that disk.")
    with arriving.open("rb") as file:
        os.fsync(file.fileno())
    arriving.replace(target)


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return file_digest(file, "sha256").digest()
