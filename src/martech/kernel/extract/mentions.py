"""What a file of code names: what it imports, and what it has run by name."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any


def is_code(path: str) -> bool:
    return path.endswith(".py")


def outside(root: Path, paths: Iterable[str]) -> set[str]:
    """The top-level packages that *paths* import."""
    return {
        name.partition(".")[0] for path in paths if is_code(path) for name in imports(root / path)
    }


@cache
def imports(file: Path) -> frozenset[str]:
    """What a file imports, by full name: ``from a.b import c`` may be the module ``a.b.c``."""
    found: set[str] = set()
    for node in ast.walk(_tree(file)):
        match node:
            case ast.Import():
                found.update(alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                found.update((module, *(f"{module}.{alias.name}" for alias in node.names)))
    return frozenset(found)


@cache
def started(file: Path) -> frozenset[str]:
    """What a file has run by name, and so does not import: the words in what it gives to `load`
    and as the modules of a host, there or in a constant of its own."""
    tree = _tree(file)
    constants = dict(pair for node in tree.body for pair in _constants(node))
    given = [each for node in ast.walk(tree) for each in _given(node)]
    given += [constants[name] for name in _of(ast.Name, given, "id") if name in constants]
    texts = [text for text in _of(ast.Constant, given, "value") if isinstance(text, str)]
    return frozenset(name for text in texts for name in re.findall(r"\w+", text))


def _constants(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """A name of the file, and what it stands for."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            yield name, value


def _given(node: ast.AST) -> Iterator[ast.expr]:
    """What is given in a call of `load`, or as MARTECH_MODULES or the setting of that name."""
    match node:
        case ast.Call(func=ast.Name(id="load") | ast.Attribute(attr="load"), args=args):
            yield from args
        case ast.keyword(arg="MARTECH_MODULES" | "modules", value=value):
            yield value
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "MARTECH_MODULES":
                    yield value


def _of(kind: type[ast.AST], trees: Iterable[ast.AST], field: str) -> list[Any]:
    """That field of every node of a kind."""
    nodes = (node for tree in trees for node in ast.walk(tree))
    return [getattr(node, field) for node in nodes if isinstance(node, kind)]


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())
