"""A module leaves: a repository of its own, with the kernel, itself, and its neighbours' faces.

    sources     which files go along
    mentions    what a file names, by which that is told
    project     what is said once for the whole tree, said for one module
    pages       what is written for it: README, compose file, CI
    remains     what it leaves behind: files that fall, and lines to mend

Nothing is taken out here; `leaves` says what may be deleted once the module runs elsewhere.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import martech
from martech.kernel.errors import Conflict
from martech.kernel.extract import pages, project, remains, sources
from martech.kernel.extract.remains import Mending
from martech.kernel.extract.sources import neighbours
from martech.kernel.module import Module

__all__ = ["Mending", "extract", "leaves", "mendings", "neighbours", "remove"]


def extract(module: Module, into: Path, derived: Mapping[str, str]) -> list[str]:
    """Write *module*'s own repository to *into*; the paths in it. *derived* is what
    `published.files` makes of this module alone.

    Raises `Conflict` where *into* holds something or cannot be written, or there is no source tree
    to copy from.
    """
    root = _root()
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise Conflict(f"{into} is not an empty folder. Name one that is empty or not there.")
    copied = sources.of(module, root)
    written = {
        **{path: (root / path).read_bytes() for path in copied},
        **_encoded(derived),
        **_encoded(project.files(root, module, copied)),
        **_encoded(pages.files(module, derived[f"contracts/{module.name}/openapi.json"])),
    }
    try:
        _write(written, into)
    except OSError as exc:
        raise Conflict(
            f"{exc.filename or into} cannot be written: {exc.strerror}. Name another folder, or "
            "make room; what was begun there is for you to delete."
        ) from None
    return sorted(written)


def _write(written: Mapping[str, bytes], into: Path) -> None:
    for path, content in written.items():
        file = into / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    for path in pages.PROGRAMS:
        (into / path).chmod(0o755)


def leaves(module: Module) -> list[str]:
    """What may be deleted in the monolith, which then knows *module* by its contract alone."""
    root = _root()
    return [*sources.left_behind(module, root), *remains.falls(module.name, root)]


def mendings(module: Module) -> list[Mending]:
    """What is to be mended by hand when that is deleted; asked before it is."""
    return remains.mendings(module.name, _root())


def remove(module: Module) -> None:
    """Delete it."""
    root = _root()
    for path in leaves(module):
        gone = root / path
        if gone.is_dir():
            shutil.rmtree(gone)
        else:
            gone.unlink(missing_ok=True)


def _root() -> Path:
    """The source tree; an installed wheel has neither tests nor a Makefile to give away."""
    root = Path(martech.__file__).parents[2]
    if not (root / "pyproject.toml").is_file() or not (root / "tests").is_dir():
        raise Conflict("There is no source tree here. Run it in a clone of the repository.")
    return root


def _encoded(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in texts.items()}
