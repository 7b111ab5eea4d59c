"""`.importlinter` holds on the tree, and each of its sentences catches what it is there for."""

import pytest

from tests.architecture.copies import MODULES, ROOT, Copy, lint, sentences

B = "from martech.modules.baskets"
F = "from martech.modules.fruits"
LAZY = "def late() -> None:\n    "
TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "

# what somebody might do: (where: what they add) -> the sentence that stops them
VIOLATIONS: list[tuple[str, dict[str, str], str]] = [
    # a module reaches past its neighbour's face
    ("service imports another service", {"baskets/service.py": f"{F}.service import x"}, "seams"),
    ("tables of another, late", {"baskets/service.py": f"{LAZY}{F}.tables import x"}, "seams"),
    (
        "domain of another, for types",
        {"baskets/service.py": f"{TYPES}{F}.domain import x"},
        "seams",
    ),
    ("another's package", {"baskets/service.py": "from martech.modules import fruits"}, "seams"),
    ("another, relatively", {"baskets/service.py": "from ..fruits import domain"}, "seams"),
    ("another, all of it", {"baskets/domain.py": f"{F}.domain import *"}, "seams"),
    ("another's manifest", {"baskets/module.py": f"{F}.module import module as m"}, "seams"),
    ("another's adapters", {"fruits/jobs.py": f"{B}.adapters import COURIERS"}, "seams"),
    ("another's http", {"baskets/http.py": f"{F} import http"}, "seams"),
    # faces
    ("contract imports a contract", {"baskets/contract.py": f"{F}.contract import Fruit"}, "faces"),
    (
        "two listen to each other",
        {"fruits/handlers.py": f"{B}.contract import BasketSent"},
        "circles",
    ),
    ("contract imports tables", {"fruits/contract.py": f"{F}.tables import FRUITS"}, "anatomy"),
    ("contract imports domain", {"baskets/contract.py": f"{B}.domain import ROOM"}, "anatomy"),
    ("contract imports litestar", {"fruits/contract.py": "import litestar"}, "copyable"),
    ("contract imports sqlalchemy", {"fruits/contract.py": f"{LAZY}import sqlalchemy"}, "copyable"),
    (
        "contract imports the database",
        {"fruits/contract.py": "from martech.kernel.db import Transaction"},
        "copyable",
    ),
    # the domain
    ("domain imports sqlalchemy", {"fruits/domain.py": "import sqlalchemy"}, "purity"),
    ("domain through tables", {"fruits/domain.py": f"{F}.tables import FRUITS"}, "purity"),
    (
        "domain through the kernel",
        {"fruits/domain.py": "from martech.kernel.db import Transaction"},
        "purity",
    ),
    ("domain reads the clock", {"fruits/domain.py": f"{LAZY}import time"}, "purity"),
    ("domain throws dice", {"fruits/domain.py": "from random import choice"}, "purity"),
    ("domain reads a file", {"fruits/domain.py": "from pathlib import Path"}, "purity"),
    (
        "domain, grown to a package",
        {
            **dict.fromkeys(
                ["plums/__init__.py", "plums/contract.py", "plums/domain/__init__.py"], ""
            ),
            "plums/domain/x.py": "import redis",
        },
        "purity",
    ),
    # the direction inside a module
    ("service imports http", {"fruits/service.py": f"{F} import http"}, "anatomy"),
    ("service imports handlers", {"baskets/service.py": f"{B} import handlers"}, "anatomy"),
    ("service imports jobs", {"baskets/service.py": f"{B} import jobs"}, "anatomy"),
    (
        "service imports the manifest",
        {"baskets/service.py": f"{B}.module import module"},
        "anatomy",
    ),
    ("one door opens another", {"baskets/handlers.py": f"{B}.http import PutFruit"}, "anatomy"),
    ("handlers call jobs", {"baskets/handlers.py": f"{B}.jobs import send_basket"}, "anatomy"),
    ("tables import domain", {"baskets/tables.py": f"{B}.domain import ROOM"}, "anatomy"),
    ("adapters import service", {"baskets/adapters.py": f"{B} import service"}, "anatomy"),
    ("a tenth file", {"fruits/helpers.py": "x = 1"}, "anatomy"),
    ("a tenth file, a package", {"fruits/models/__init__.py": ""}, "anatomy"),
    # tables
    ("http imports tables", {"fruits/http.py": f"{F}.tables import FRUITS"}, "custody"),
    ("handlers import tables", {"baskets/handlers.py": f"{B} import tables"}, "custody"),
    ("jobs import tables", {"baskets/jobs.py": f"{LAZY}{B}.tables import BASKETS"}, "custody"),
    ("adapters import tables", {"baskets/adapters.py": f"{B} import tables"}, "custody"),
    ("the kernel imports tables", {"../kernel/x.py": f"{B}.tables import BASKETS"}, "custody"),
    # the outside world
    ("service imports adapters", {"baskets/service.py": f"{B} import adapters"}, "outside"),
    ("http imports adapters", {"baskets/http.py": f"{B} import adapters"}, "outside"),
    (
        "handlers import adapters",
        {"baskets/handlers.py": f"{B}.adapters import COURIERS"},
        "outside",
    ),
    ("handlers import httpx", {"baskets/handlers.py": "import httpx"}, "world"),
    ("jobs import aiohttp", {"baskets/jobs.py": f"{LAZY}import aiohttp"}, "world"),
    ("jobs import dramatiq", {"baskets/jobs.py": "import dramatiq"}, "world"),
    ("service imports redis", {"baskets/service.py": "from redis.asyncio import Redis"}, "world"),
    ("adapters import redis", {"baskets/adapters.py": "import redis"}, "world"),
    ("adapters import dramatiq", {"baskets/adapters.py": "import dramatiq"}, "world"),
    ("adapters import a second client", {"baskets/adapters.py": "import httpx"}, "world"),
    # storeys
    ("kernel imports a module", {"../kernel/x.py": f"{F}.contract import Fruit"}, "storeys"),
    (
        "kernel imports the app",
        {"../app.py": "", "../kernel/x.py": "import martech.app"},
        "storeys",
    ),
    (
        "module imports the app",
        {"../app.py": "", "fruits/http.py": "import martech.app"},
        "storeys",
    ),
    (
        "module imports the command line",
        {"../__main__.py": "", "fruits/http.py": "import martech.__main__"},
        "storeys",
    ),
    (
        "through the kernel",
        {"../kernel/x.py": f"{F} import service", "baskets/service.py": "import martech.kernel.x"},
        "storeys",
    ),
    ("a fifth storey", {"../shared/__init__.py": "x = 1"}, "storeys"),
    ("a file beside the app", {"../tools.py": "x = 1"}, "storeys"),
    # circles
    (
        "two kernel files know each other",
        {"../kernel/x.py": "import martech.kernel.y", "../kernel/y.py": "import martech.kernel.x"},
        "circles",
    ),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("copy"))


def test_the_tree_keeps_every_sentence() -> None:
    assert lint(ROOT, "--no-cache") == set()


def test_two_legal_modules_keep_every_sentence(copy: Copy) -> None:
    assert copy.broken() == set()


def test_a_neighbour_that_left_only_its_face_is_legal(copy: Copy) -> None:
    with copy.with_lines({"plums/__init__.py": "", "plums/contract.py": "import msgspec"}):
        assert copy.broken() == set()


@pytest.mark.parametrize(
    ("added", "sentence"), [v[1:] for v in VIOLATIONS], ids=[v[0] for v in VIOLATIONS]
)
def test_a_violation_is_caught(copy: Copy, added: dict[str, str], sentence: str) -> None:
    with copy.with_lines(added):
        assert copy.broken(sentence) == {sentence}


def test_every_sentence_was_seen_to_break() -> None:
    assert {sentence for _, _, sentence in VIOLATIONS} == set(sentences().values())


def test_no_sentence_names_a_module() -> None:
    said = (ROOT / ".importlinter").read_text()
    names = [f.parent.name for f in MODULES.glob("*/contract.py")]
    assert [name for name in names if f"modules.{name}" in said] == []
