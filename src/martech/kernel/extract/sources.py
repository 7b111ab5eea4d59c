"""Which files a module takes along: those that it, the kernel and their tests reach."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from martech.kernel.extract.mentions import imports, is_code, started
from martech.kernel.files import face, faces
from martech.kernel.messages import is_issuer
from martech.kernel.module import Module
from martech.kernel.published.canvas import canvas

PACKAGE = "src/martech"
AS_IT_IS = (".dockerignore", ".gitignore", ".importlinter", "Dockerfile", "LICENSE")
STOREYS = ("__init__.py", "__main__.py", "app.py", "cli", "console", "kernel")
TESTS = [
    "__init__.py",
    "conftest.py",
    "sample",
    "kernel",
    "architecture",
    "contracts/__init__.py",
    "contracts/test_golden.py",
    "contracts/test_published.py",
    "modules/__init__.py",
    "modules/test_migrations.py",
]

OF_THE_WHOLE = frozenset(
    {
        "tests/architecture/test_contributing.py",
        "tests/architecture/test_deploy.py",
        "tests/architecture/test_extraction.py",
        "tests/architecture/test_failpoints.py",
        "tests/architecture/test_readme.py",
        "tests/kernel/test_extract.py",
        "tests/kernel/test_serve.py",
        "tests/modules/access/test_scopes.py",
    }
)
"""Tests of the whole tree: they need every module, every test, the page before all of them, or the
ways in which all of them are deployed."""


def neighbours(module: Module) -> list[str]:
    """Whom it names, and who signs the keys it is shown: every host follows that outbox."""
    issuers = {name for name in faces() if is_issuer(face(name))}
    return sorted(named(module).union(issuers) - {module.name})


def named(module: Module) -> set[str]:
    """Whom it listens to and whom it asks, its jobs included."""
    heard = {subscription.source for subscription in module.subscriptions}
    return heard.union(canvas(module).asks) - {module.name}


def of(module: Module, root: Path) -> list[str]:
    """Everything that is copied as it stands."""
    name = module.name
    source = [f"{PACKAGE}/{part}" for part in STOREYS]
    source += [f"{PACKAGE}/modules/__init__.py", f"{PACKAGE}/modules/{name}"]
    for neighbour in neighbours(module):
        own = f"{PACKAGE}/modules/{neighbour}"
        source += [f"{own}/__init__.py", f"{own}/contract.py"]
    history = ["migrations/env.py", "migrations/script.py.mako", f"migrations/{name}"]
    history.append(f"contracts/{name}/golden")
    return sorted({*_files(root, [*AS_IT_IS, *source, *history]), *_tests(module, root)})


def left_behind(module: Module, root: Path) -> list[str]:
    """What belongs to the module alone, but for its face and what that promises: whoever stays
    goes on reading what was told, and holds a newer face against the promises of this one."""
    own = root / PACKAGE / "modules" / module.name
    face = ("__init__.py", "contract.py", "__pycache__")
    inside = sorted(path for path in own.iterdir() if path.name not in face)
    beside = [f"migrations/{module.name}", f"tests/modules/{module.name}"]
    beside.append(f"docs/modules/{module.name}.md")
    return [*(str(path.relative_to(root)) for path in inside), *beside]


def _tests(module: Module, root: Path) -> set[str]:
    """The tests that can be told where *module* lives alone, and what they are told with."""
    begin = [f"tests/{part}" for part in (*TESTS, f"modules/{module.name}")]
    here = {module.name: True, **dict.fromkeys(neighbours(module), False)}
    chosen: set[str] = set()
    for path in _files(root, begin):
        if not is_code(path) or _can_go(path, root, here):
            chosen.add(path)
    waiting = sorted(chosen)
    while waiting:
        for path in _with_folders(_tested_with(root, waiting.pop()), root):
            if path not in chosen:
                chosen.add(path)
                waiting.append(path)
    return chosen


Here = Mapping[str, bool]
"""The modules there will be, and whether with their inside."""


def _can_go(path: str, root: Path, here: Here, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a test, and whatever it stands on, names nothing that stays behind."""
    if path in OF_THE_WHOLE:
        return False
    if any(_stays(imported, here) for imported in imports(root / path)):
        return False
    if any(_is_away(name, here) for name in started(root / path)):
        return False
    further = set(_tested_with(root, path)) - seen - {path}
    return all(_can_go(other, root, here, seen | further | {path}) for other in further)


def _stays(imported: str, here: Here) -> bool:
    """Whether an import is of a stranger, a neighbour's inside, or of what only the whole has."""
    match imported.split("."):
        case ["demo" | "benchmarks" | "clients", *_]:
            return True
        case ["martech", "modules", name, *inside] if (_modules() / name).is_dir():
            return name not in here or not (here[name] or inside[:1] in ([], ["contract"]))
    return False


def _is_away(name: str, here: Here) -> bool:
    """Whether there will be no inside of a module that there is; others are a test's own."""
    return (_modules() / name).is_dir() and not here.get(name, False)


@cache
def _modules() -> Path:
    return Path(__file__).parents[2] / "modules"


def _tested_with(root: Path, path: str) -> list[str]:
    """The files of tests/ that a file imports."""
    if not is_code(path):
        return []
    names = [name.replace(".", "/") for name in imports(root / path) if name.startswith("tests.")]
    found = [file for name in names for file in (f"{name}.py", f"{name}/__init__.py")]
    return [file for file in found if (root / file).is_file()]


def _with_folders(paths: Iterable[str], root: Path) -> Iterator[str]:
    """And what makes packages of the folders they lie in."""
    for path in paths:
        yield path
        for folder in Path(path).parents:
            if (root / folder / "__init__.py").is_file():
                yield str(folder / "__init__.py")


def _files(root: Path, parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        start = root / part
        for path in [start] if start.is_file() else sorted(start.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(root))
