"""A copy of the tree with two specimen modules in it, on which violations are tried."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "martech"
MODULES = SRC / "modules"
SPECIMEN = Path(__file__).parent / "specimen"


class Copy:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.src = folder / "src" / "martech"
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SRC, self.src, ignore=ignore)
        for module in ["fruits", "baskets"]:
            shutil.copytree(SPECIMEN / module, self.src / "modules" / module, ignore=ignore)
        shutil.copy(ROOT / ".importlinter", folder)

    @contextlib.contextmanager
    def with_lines(self, added: dict[str, str]) -> Iterator[None]:
        """*added* text at the end of each file (`baskets/service.py`, `../kernel/db.py`)."""
        before: dict[Path, str | None] = {}
        folders: list[Path] = []
        for name, text in added.items():
            path = (self.src / "modules" / name).resolve()
            before[path] = path.read_text() if path.exists() else None
            folders += [folder for folder in path.parents if not folder.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{before[path] or ''}\n{text}\n")
        try:
            yield
        finally:
            for path, text in before.items():
                path.unlink() if text is None else path.write_text(text)
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)

    def broken(self, sentence: str | None = None) -> set[str]:
        """The sentences (`seams`, `faces`, …) that the linter finds broken here, of all or of one.

        What it read of a file it keeps beside the copy, by the time at which that was written.
        """
        only = ["--contract", sentence] if sentence else []
        return lint(self.folder, "--cache-dir", str(self.folder / "read"), *only)


def sentences() -> dict[str, str]:
    """Each sentence of .importlinter by its short name."""
    config = ConfigParser()
    config.read(ROOT / ".importlinter")
    prefix = "importlinter:contract:"
    return {
        config[section]["name"]: section.removeprefix(prefix)
        for section in config.sections()
        if section.startswith(prefix)
    }


def lint(folder: Path, *options: str) -> set[str]:
    """Run the linter as `make lint` does, but for *options*; the short names of what it finds
    broken."""
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(.+?) BROKEN\b", ran.stdout, re.MULTILINE)
    if not found and "0 broken" not in ran.stdout:
        raise AssertionError(f"lint-imports could not run:\n{ran.stdout}{ran.stderr}")
    names = sentences()
    return {names[name] for name in found}
