"""What the tree says once for all modules, said for one: pyproject.toml, the locks, the Makefile.

A dependency stays behind when the code that imports it does. What nothing imports by name (uvloop,
tzdata) is there for the kernel and comes along. The locks lose the same lines and are otherwise the
monolith's, hash by hash; `make lock` there also drops what only those had needed.
"""

import re
import tomllib
from collections.abc import Collection, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

from martech.kernel.extract.mentions import outside
from martech.kernel.extract.sources import PACKAGE
from martech.kernel.module import Module

LOCKS = ("requirements.lock", "requirements-dev.lock")
OF_THE_WHOLE = ("demo", "clients", "bench", "chaos", "extract")
"""Targets of the Makefile, and an extra, that need every module."""

FIRST_KEYS = "printing a first tenant's keys once"
NEIGHBOURS = "beside the neighbours that MARTECH_PEERS names"
"""What the Makefile says of serving, and says where no keys are issued."""

EXAMPLE = "MODULE=profiles"


def files(root: Path, module: Module, copied: Sequence[str]) -> dict[str, str]:
    """Path -> text, for a repository that holds *copied*."""
    pyproject = (root / "pyproject.toml").read_text()
    declared = tomllib.loads(pyproject)["project"]
    gone = _unused(root, declared["dependencies"], copied)
    gone_too = {_distribution(line) for line in declared["optional-dependencies"]["demo"]}
    locks = {lock: _without(gone | gone_too, (root / lock).read_text()) for lock in LOCKS}
    return {
        "pyproject.toml": _pyproject(pyproject, module.name, gone),
        "Makefile": _makefile((root / "Makefile").read_text(), module),
        **locks,
    }


def _unused(root: Path, dependencies: Sequence[str], copied: Sequence[str]) -> set[str]:
    """The dependencies that the monolith imports, and nothing that goes along."""
    here = outside(root, copied)
    whole = outside(root, (str(p.relative_to(root)) for p in (root / PACKAGE).rglob("*.py")))
    providers = packages_distributions()
    left = {_normal(dist) for top in whole - here for dist in providers.get(top, ())}
    kept = {_normal(dist) for top in here for dist in providers.get(top, ())}
    return {_distribution(line) for line in dependencies} & (left - kept)


def _pyproject(text: str, name: str, gone: Collection[str]) -> str:
    text = re.sub(r'^name = "martech"$', f'name = "martech-{name}"', text, flags=re.MULTILINE)
    text = re.sub(r"^demo = \[.*?^\]\n", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not _is_gone(line, gone) and '"martech[demo]"' not in line]
    return "".join(kept).replace('files = ["src", "demo"]', 'files = ["src"]')


def _is_gone(line: str, gone: Collection[str]) -> bool:
    """Whether a line of pyproject.toml is a dependency that is not needed."""
    found = re.match(r'    "([A-Za-z0-9._-]+)', line)
    return bool(found) and _normal(found[1] if found else "") in gone


def _without(gone: Collection[str], lock: str) -> str:
    blocks = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)
    return "".join(block for block in blocks if _distribution(block) not in gone)


def _makefile(text: str, module: Module) -> str:
    kept = [part for part in text.split("\n\n") if part.partition(":")[0] not in OF_THE_WHOLE]
    joined = "\n\n".join(_phony(part) for part in kept).replace(EXAMPLE, f"MODULE={module.name}")
    return joined if module.issuer else joined.replace(FIRST_KEYS, NEIGHBOURS)


def _phony(part: str) -> str:
    """A paragraph of the Makefile whose .PHONY names only what is there."""
    return "\n".join(
        " ".join(word for word in line.split(" ") if word not in OF_THE_WHOLE)
        if line.startswith(".PHONY:")
        else line
        for line in part.split("\n")
    )


def _distribution(requirement: str) -> str:
    """``redis[hiredis]>=8`` is ``redis``."""
    return _normal(next(iter(re.findall(r"^[A-Za-z0-9._-]+", requirement)), ""))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
