"""The file of a module's store, where it has one, goes where its database goes."""

import os
import shutil
from hashlib import file_digest
from pathlib import Path
from typing import NamedTuple

from martech.kernel.errors import Conflict
from martech.kernel.module import Module
from martech.kernel.settings import Settings


class Copied(NamedTuple):
    """All of a store beside where it is to be; nothing, where there is none to be moved."""

    target: Path | None = None

    def put_in_place(self) -> None:
        """Under its name, and so that it stays there if the power fails."""
        if self.target:
            _arriving(self.target).replace(self.target)
            folder = os.open(self.target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def remove(self) -> None:
        if self.target:
            _arriving(self.target).unlink()


async def copy(module: Module, before: Settings, after: Settings, *, replace: bool) -> Copied:
    """*replace* is whether a file that is there already is one of this module's, of no use now.

    A store that is named by MARTECH_<MODULE>_STORE_URL, or that a server keeps, stays there.
    Raises `Unavailable` while another process has it open.
    """
    if not module.engines:
        return Copied()
    default = next(iter(module.engines))
    old, new = (settings.store_of(module.name, default) for settings in (before, after))
    engine = module.engines[old.partition(":")[0]]
    source, target = engine.kept_in(old), engine.kept_in(new)
    if old == new or source is None or target is None or not source.exists():
        return Copied()
    if target.exists() and not replace:
        raise Conflict(f"There is a store in {target} already. Nothing was changed; remove it.")
    opened = engine(old)
    try:
        await opened.place("")  # nobody else has it; and closing it leaves all of it in the file
    finally:
        await opened.close()
    _copy(source, target)
    return Copied(target)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving = _arriving(target)
    try:
        _copy_and_compare(source, arriving)
    except BaseException:
        arriving.unlink(missing_ok=True)
        raise


def _copy_and_compare(source: Path, arriving: Path) -> None:
    shutil.copyfile(source, arriving)
    if _hash(source) != _hash(arriving):
        raise Conflict(f"{arriving} is not what {source} is. Look after that disk.")
    with arriving.open("rb") as file:
        os.fsync(file.fileno())


def _arriving(target: Path) -> Path:
    return target.with_name(f"{target.name}.arriving")


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return file_digest(file, "sha256").digest()
