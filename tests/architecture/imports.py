"""Reads what a file of a module imports, wherever it stands in it, and says what is not allowed.

The lists are in imports.toml. Unlike import-linter this looks at names, not at files, so it knows
libraries that nobody has installed, and it refuses the ways around an import statement.
"""

import ast
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

LISTS = Path(__file__).with_name("imports.toml")

# What would import without an import statement, in whatever kind of file.
DYNAMIC_MODULES = ("importlib", "imp", "runpy", "pkgutil", "zipimport", "builtins", "sys")
DYNAMIC_NAMES = {"__import__", "__builtins__", "__loader__", "eval", "exec", "compile", "globals"}


class Kind(NamedTuple):
    may: frozenset[str]
    never: frozenset[str] | None


@cache
def kinds() -> dict[str, Kind]:
    lists = tomllib.loads(LISTS.read_text())

    def allowed(kind: str) -> frozenset[str]:
        entry = lists[kind]
        inherited = allowed(entry["like"]) if "like" in entry else frozenset()
        return inherited | frozenset(entry.get("may", []))

    return {
        kind: Kind(allowed(kind), frozenset(entry["never"]) if "never" in entry else None)
        for kind, entry in lists.items()
    }


def refused(source: str, *, module: str, kind: str) -> list[str]:
    """What *source*, a file of this *kind* in *module*, imports and must not."""
    tree = ast.parse(source)
    found = [
        name
        for name in _imported(tree, f"martech.modules.{module}")
        if not _fine(name, module, kind)
    ]
    ways_around = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in DYNAMIC_NAMES
    }
    return sorted({*found, *ways_around})


def _imported(tree: ast.AST, package: str) -> list[str]:
    """Every name imported, at the top or late, for types or for good, as `a.b.c`."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            stem = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            origin = ".".join(part for part in [stem, node.module] if part)
            names += [f"{origin}.{alias.name}" for alias in node.names]
    return names


def _fine(name: str, module: str, kind: str) -> bool:
    if _under(name, DYNAMIC_MODULES):
        return False
    if _under(name, [f"martech.modules.{module}"]):
        return True  # .importlinter holds the direction inside a module
    may, never = kinds()[kind]
    parts = name.split(".")
    if parts[:2] == ["martech", "modules"]:
        return ("contracts" in may or never is not None) and parts[3:4] == ["contract"]
    return not _under(name, never) if never is not None else _under(name, may)


def _under(name: str, roots: "frozenset[str] | list[str] | tuple[str, ...]") -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)
