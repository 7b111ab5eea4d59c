"""What a module leaves behind in the tree it came from: files that fall, and lines to mend.

A test or a benchmark that imports the inside of a module is of no use where there is none, nor is
what stands on it. What asks its routes, starts it by name or deploys it is right again once
somebody says where it runs now: that is named, and left alone.
"""

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from martech.kernel.extract.mentions import imports, started

AROUND = ("benchmarks", "clients", "demo", "tests")
"""Folders of code that stands on modules, and on which no module stands."""

DEPLOYED = ("compose.yaml", "deploy/**/*.conf")
DOOR = "__main__.py"
"""Leads to more than what fell: it is mended, and does not fall."""


class Mending(NamedTuple):
    """A line that somebody has to look at, and why."""

    path: str
    line: int
    why: str


def falls(name: str, root: Path) -> list[str]:
    """The files around the modules that import the inside of *name*, or a file that does."""
    return sorted(path for path in _fallen(name, root) if not _is_own(path, name))


def mendings(name: str, root: Path) -> list[Mending]:
    """What else names *name* as if it were here: deployment first, then code."""
    fallen = _fallen(name, root)
    found = [each for pattern in DEPLOYED for each in _deployed(name, root, pattern)]
    for path in sorted(set(_code(root)) - fallen):
        if path.endswith(DOOR):
            found += _leading(path, root, _dotted(fallen))
        if not path.startswith("tests/modules/"):  # stand-ins of neighbours bear their names
            found += _coded(path, root, name)
    return found


def _fallen(name: str, root: Path) -> set[str]:
    """With the module's own tests, on which others may stand."""
    importing = {path: imports(root / path) for path in _code(root) if not path.endswith(DOOR)}
    fallen = {path for path in importing if _is_own(path, name)}
    while more := {
        path
        for path, imported in importing.items()
        if path not in fallen and _reaches(imported, name, _dotted(fallen))
    }:
        fallen |= more
    return fallen


def _reaches(imported: frozenset[str], name: str, fallen: Collection[str]) -> bool:
    return any(each in fallen or _is_inside(each, name) for each in imported)


def _is_inside(imported: str, name: str) -> bool:
    match imported.split("."):
        case ["martech", "modules", found, inside, *_]:
            return found == name and inside != "contract"
    return False


def _is_own(path: str, name: str) -> bool:
    return path.startswith(f"tests/modules/{name}/")


def _dotted(paths: Collection[str]) -> set[str]:
    """How files are imported."""
    return {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in paths}


def _deployed(name: str, root: Path, pattern: str) -> Iterator[Mending]:
    """Whoever starts it from this image, and whoever says where it is."""
    reasons = {
        rf"MARTECH_MODULES: .*\b{name}\b": f"starts {name} from the image of this tree, which has "
        "it no more: name that of its repository",
        rf"\b{name}=http": f"says where {name} is: there it has to be",
    }
    for file in sorted(root.glob(pattern)):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            for sign, why in reasons.items():
                if re.search(sign, line):
                    yield Mending(str(file.relative_to(root)), number, why)


def _leading(path: str, root: Path, fallen: Collection[str]) -> Iterator[Mending]:
    """The lines of a door that lead to what fell."""
    for node in ast.walk(ast.parse((root / path).read_text())):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    imported = f"{module}.{alias.name}"
                    if imported in fallen or module in fallen:
                        yield Mending(path, alias.lineno, f"imports {imported}, which falls")


def _coded(path: str, root: Path, name: str) -> Iterator[Mending]:
    """Where *path* first asks one of its routes, and where it first starts it by name."""
    texts = list(_texts(root / path))
    asking = [line for line, text in texts if f"/{name}/v" in text]
    if asking:
        yield Mending(path, min(asking), f"asks /{name}/…, which is served elsewhere")
    if name in started(root / path):
        naming = [line for line, text in texts if re.search(rf"\b{name}\b", text)]
        yield Mending(path, min(naming), f"starts {name}, whose code is elsewhere")


def _texts(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _code(root: Path) -> list[str]:
    found = [file for folder in AROUND for file in (root / folder).rglob("*.py")]
    return [str(file.relative_to(root)) for file in found if "node_modules" not in file.parts]
