"""What a module leaves behind is found: files that fall with it, and lines that somebody mends."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from martech.kernel.extract import remains

TREE = {
    "tests/modules/toys/counting.py": "",
    "tests/modules/toys/test_counts.py": "from tests.modules.toys.counting import count",
    "tests/modules/games/conftest.py": "PORTS = load(['toys'])\nASKED = '/toys/v1/toys'",
    "tests/inside.py": "from martech.modules.toys.service import ToyService",
    "tests/test_inside.py": "from tests.inside import toy",
    "tests/test_counting.py": "from tests.modules.toys import counting",
    "tests/test_face.py": "from martech.modules.toys.contract import Toys",
    "tests/test_other.py": "from martech.modules.toyshops.service import ToyShopService",
    "tests/test_started.py": "import os\n\nMODULES = load(['games', 'toys'])",
    "tests/test_path.py": "def test() -> None:\n    ask(f'{url}/toys/v1/toys/{toy}')",
    "benchmarks/play.py": "from martech.modules.toys import domain",
    "benchmarks/__main__.py": "from benchmarks import (\n    play,\n    rest,\n)",
    "benchmarks/rest.py": "SAID = 'toys'",
    "clients/node_modules/toys.py": "from martech.modules.toys import domain",
    "compose.yaml": (
        "services:\n  toys:\n    environment:\n      MARTECH_MODULES: toys\n"
        "  rest:\n    environment:\n      MARTECH_PEERS: toys=http://toys:8000\n"
    ),
    "deploy/nginx/split.conf": "#   martech nginx --peers toys=http://toys:8000\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return written(tmp_path, TREE)


def written(root: Path, files: Mapping[str, str]) -> Path:
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_what_imports_the_inside_falls_and_what_stands_on_it(root: Path) -> None:
    assert remains.falls("toys", root) == [
        "benchmarks/play.py",
        "tests/inside.py",
        "tests/test_counting.py",
        "tests/test_inside.py",
    ]


def test_what_names_it_otherwise_is_named_with_its_line_and_stays(root: Path) -> None:
    found = [(path, line, why.split(" ")[0]) for path, line, why in remains.mendings("toys", root)]
    assert found == [
        ("compose.yaml", 4, "starts"),
        ("compose.yaml", 7, "says"),
        ("deploy/nginx/split.conf", 1, "says"),
        ("benchmarks/__main__.py", 2, "imports"),
        ("tests/test_path.py", 2, "asks"),
        ("tests/test_started.py", 3, "starts"),
    ]


def test_whom_nobody_names_leaves_nothing_behind(root: Path) -> None:
    assert remains.falls("puzzles", root) == []
    assert remains.mendings("puzzles", root) == []
