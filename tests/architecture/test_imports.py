"""Each kind of file imports what its list allows; ten libraries planted in each are all caught."""

from pathlib import Path

import pytest

from tests.architecture.copies import MODULES, SPECIMEN
from tests.architecture.imports import kinds, refused

KINDS = [
    "contract",
    "domain",
    "tables",
    "service",
    "http",
    "handlers",
    "jobs",
    "adapters",
    "module",
]
PLANTED = {
    "contract": "litestar sqlalchemy httpx dramatiq redis json os asyncio logging pathlib",
    "domain": "sqlalchemy litestar numpy requests redis os time random socket json",
    "tables": "litestar alembic asyncpg aiosqlite redis os sqlite3 pickle logging time",
    "service": "litestar httpx aiohttp dramatiq redis os asyncio time subprocess secrets",
    "http": "httpx aiohttp dramatiq redis starlette os asyncio threading json logging",
    "handlers": "sqlalchemy litestar httpx dramatiq redis os asyncio time smtplib logging",
    "jobs": "sqlalchemy litestar aiohttp dramatiq redis os asyncio time subprocess urllib",
    "adapters": "dramatiq redis httpx requests pydantic croniter urllib.request http.client"
    " importlib runpy",
    "module": "litestar sqlalchemy msgspec aiohttp redis os asyncio logging typing sys",
}
FORMS = {
    "plain": "import {0}",
    "renamed": "import {0} as x",
    "deep": "import {0}.deep.inside",
    "from": "from {0} import x",
    "late": "def late() -> None:\n    from {0} import x",
    "for types": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import {0}",
    "tried": "try:\n    import {0}\nexcept ImportError:\n    x = None",
    "in a class": "class Late:\n    import {0}",
}
AROUND = [
    "import importlib\nimportlib.import_module('os')",
    "from importlib import import_module",
    "__import__('os')",
    "exec('import os')",
    "eval('__builtins__')",
    "import sys\nsys.modules['os']",
    "import builtins",
    "import runpy",
    "import pkgutil",
    "globals()['x']",
]
FILES = sorted(path for path in MODULES.glob("*/**/*.py") if path.name != "__init__.py")
LEGAL = sorted(path for path in SPECIMEN.glob("*/*.py") if path.name != "__init__.py")


def where(path: Path) -> tuple[str, str]:
    """The module and the kind of a file; a kind grown to a package is its folder."""
    root = SPECIMEN if path.is_relative_to(SPECIMEN) else MODULES
    module, kind, *_ = path.relative_to(root).parts
    return module, kind.removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(where(path)))
def test_a_file_imports_what_its_kind_may(path: Path) -> None:
    module, kind = where(path)
    assert refused(path.read_text(), module=module, kind=kind) == []


@pytest.mark.parametrize("path", LEGAL, ids=lambda path: "/".join(where(path)))
def test_the_legal_form_is_allowed(path: Path) -> None:
    module, kind = where(path)
    assert refused(path.read_text(), module=module, kind=kind) == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_ten_libraries_are_caught(kind: str, form: str) -> None:
    libraries = PLANTED[kind].split()
    missed = [
        library
        for library in libraries
        if not refused(FORMS[form].format(library), module="baskets", kind=kind)
    ]
    assert len(set(libraries)) == 10
    assert missed == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_ways_around_an_import_are_caught(kind: str) -> None:
    missed = [code for code in AROUND if not refused(code, module="baskets", kind=kind)]
    assert missed == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_neighbours_inside_is_caught_by_name_too(kind: str) -> None:
    code = "from ..fruits.service import FruitService"
    assert refused(code, module="baskets", kind=kind) == [
        "martech.modules.fruits.service.FruitService"
    ]


def test_every_kind_of_file_has_a_list() -> None:
    assert sorted(kinds()) == sorted(KINDS)
