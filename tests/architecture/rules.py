"""The house rules that a program can read off one file: a rule takes it and says what is wrong."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 40
NAMELESS = {"util", "utils", "helper", "helpers", "common", "base", "manager", "managers"}
HOME_OF = {  # which file of a module defines what
    "Event": ("contract",),
    "Folded": ("contract",),
    "Item": ("contract",),
    "View": ("contract", "http"),
    "Command": ("domain",),
    "Request": ("http",),
}
RAW_SQL = {"text", "literal_column", "TextClause", "orm"}
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}
CLOCKS |= {("time", "time"), ("time", "monotonic"), ("time", "perf_counter")}
DICE = {"uuid1", "uuid4", "uuid7", "randint", "choice", "token_hex", "token_bytes", "urandom"}
SLEEPS = {("time", "sleep"), ("asyncio", "sleep"), ("anyio", "sleep"), ("trio", "sleep")}
SKIPS = {("pytest", "skip"), ("pytest", "importorskip"), ("pytest", "xfail")}
SKIPS |= {("mark", "skip"), ("mark", "skipif"), ("mark", "xfail")}
MOCKS = {"mock", "Mock", "MagicMock", "AsyncMock", "patch", "create_autospec"}

LOOPS = (
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)

Rule = Callable[[Path, str], list[str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


# --- modules ------------------------------------------------------------------------------------


def the_edge_commits(path: Path, source: str) -> list[str]:
    """An adapter is an edge itself: the engine of a store has transactions of its own."""
    if kind_of(path) == "adapters":
        return []
    return _attributes(source, {"commit", "rollback", "begin", "begin_nested"})


def settings_come_from_the_host(path: Path, source: str) -> list[str]:
    names = {"environ", "environb", "getenv", "putenv", "from_env"}
    return _attributes(source, names) + _names(source, names)


def time_is_an_argument(path: Path, source: str) -> list[str]:
    return _calls_of(source, CLOCKS)


def domain_throws_no_dice(path: Path, source: str) -> list[str]:
    return _names(source, DICE) + _attributes(source, DICE) if kind_of(path) == "domain" else []


def types_are_kept(path: Path, source: str) -> list[str]:
    """No Any, cast or ignore."""
    ways = re.compile(r"type:\s*ignore|noqa|mypy:|pyright:|pragma: no cover")
    comments = [comment for comment in _comments(source) if ways.search(comment)]
    return _names(source, {"Any", "cast"}) + _attributes(source, {"Any", "cast"}) + comments


def statements_are_built(path: Path, source: str) -> list[str]:
    """Core statements only: raw text would pass the second wall, and sessions hide statements."""
    nodes = _nodes(source)
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    found = {alias.name for node in imports if _is_sqlalchemy(node.module) for alias in node.names}
    whole = any(
        isinstance(node, ast.Import) and "sqlalchemy" in ast.unparse(node) for node in nodes
    )
    orm = [node.module for node in imports if (node.module or "").startswith("sqlalchemy.orm")]
    raw = sorted(RAW_SQL & found) + (_attributes(source, RAW_SQL) if whole else [])
    return raw + [str(module) for module in orm] + _attributes(source, {"exec_driver_sql"})


def a_thing_is_defined_where_it_belongs(path: Path, source: str) -> list[str]:
    return [
        f"{node.name} is a {base} and belongs in {' or '.join(HOME_OF[base])}.py"
        for node in _nodes(source)
        if isinstance(node, ast.ClassDef)
        for base in _bases(node)
        if base in HOME_OF and kind_of(path) not in HOME_OF[base]
    ]


def what_a_route_takes_is_strict(path: Path, source: str) -> list[str]:
    """A struct of http.py is a Request (or an answer, a View), never a lenient Struct."""
    if kind_of(path) != "http":
        return []
    return [
        f"{node.name} is a lenient Struct"
        for node in _nodes(source)
        if isinstance(node, ast.ClassDef) and "Struct" in _bases(node)
    ]


def a_port_is_asked_in_one_round_trip(path: Path, source: str) -> list[str]:
    """Never in a loop: a neighbour far away would be asked a thousand times."""
    if kind_of(path) not in {"service", "http", "handlers"}:
        return []
    nodes = _nodes(source)
    ports = {f"self.{name}" for name in _constructor(nodes)} - {"self.tx"}
    return [
        ast.unparse(asked.value)
        for loop in nodes
        if isinstance(loop, LOOPS)
        for asked in _awaits(loop)
        if ast.unparse(asked.value).rpartition("(")[0].startswith(tuple(f"{p}." for p in ports))
    ]


def a_unit_holds_nothing_of_the_world(path: Path, source: str) -> list[str]:
    """Inside `async with unit() as service` a job awaits its service and nothing else."""
    if kind_of(path) != "jobs":
        return []
    units = [
        (block, str(item.optional_vars and ast.unparse(item.optional_vars)))
        for block in _nodes(source)
        if isinstance(block, ast.AsyncWith)
        for item in block.items
        if ast.unparse(item.context_expr).startswith("unit(")
    ]
    return [
        ast.unparse(awaited.value)
        for block, service in units
        for statement in block.body
        for awaited in _awaits(statement)
        if not ast.unparse(awaited.value).startswith(f"{service}.")
    ]


# --- everything in src --------------------------------------------------------------------------


def everything_is_finished(path: Path, source: str) -> list[str]:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    comments = [comment for comment in _comments(source) if marks.search(comment)]
    return _names(source, {"NotImplementedError", "NotImplemented"}) + comments


def an_init_is_empty(path: Path, source: str) -> list[str]:
    """A storey's and a module's; `martech` says its version, and a file grown to a package is that
    file still."""
    if path.name != "__init__.py":
        return []
    folder, above = path.parent.name, path.parent.parent.name
    if folder == "martech":
        return [] if _only_says(source, "__version__") else ["more than the version"]
    empty = folder in {"kernel", "modules"} or above == "modules"
    return ["not empty"] if empty and source.strip() else []


def a_name_says_something(path: Path, source: str) -> list[str]:
    classes = [node.name for node in _nodes(source) if isinstance(node, ast.ClassDef)]
    names = [path.stem, path.parent.name, *classes]
    return [
        f"{name}: name what it does, not that it is {word!r}"
        for name in names
        for word in sorted(_words(name) & NAMELESS)
    ]


# --- everything ---------------------------------------------------------------------------------


def a_file_is_short(path: Path, source: str) -> list[str]:
    lines = source.count("\n")
    return [f"{lines} lines"] if lines > LINES_OF_A_FILE else []


def a_function_is_short(path: Path, source: str) -> list[str]:
    """Its decorators and its docstring do not count."""
    return [
        f"{function.name} has {length} lines"
        for function in _functions(_nodes(source))
        if (length := _length(function)) > LINES_OF_A_FUNCTION
    ]


# --- tests --------------------------------------------------------------------------------------


def tests_wait_for_what_they_want(path: Path, source: str) -> list[str]:
    """In chaos and in a sink a delay is the load or the defect itself; elsewhere it is a guess.

    ``asyncio.sleep(0)`` is no delay: it is one turn of the loop. ``asyncio.wait(…, timeout=…)`` is
    one, but in a loop: that asks again for what it wants.
    """
    if {"chaos", "sinks"} & set(path.parts):
        return []
    delays = _calls_of(re.sub(r"\basyncio\.sleep\(0\)", "turn()", source), SLEEPS)
    return delays + _waits_once(source)


def tests_use_what_is_real(path: Path, source: str) -> list[str]:
    return _names(source, MOCKS) + _attributes(source, MOCKS - {"patch"})


def tests_are_run(path: Path, source: str) -> list[str]:
    return _calls_of(source, SKIPS)


def tests_assert(path: Path, source: str) -> list[str]:
    if not path.name.startswith("test_"):
        return []
    asserts = any(isinstance(node, ast.Assert) for node in _nodes(source))
    return [] if asserts or _calls_of(source, {("pytest", "raises")}) else ["asserts nothing"]


# --- reading ------------------------------------------------------------------------------------


def kind_of(path: Path) -> str:
    """`http` for modules/x/http.py and for modules/x/http/views.py alike."""
    parts = path.with_suffix("").parts
    return parts[parts.index("modules") + 2] if "modules" in parts[:-2] else path.stem


@lru_cache(maxsize=1)
def _nodes(source: str) -> Sequence[ast.AST]:
    """All of a file. Of the one that was read last it is kept: each rule looks through it."""
    return list(ast.walk(ast.parse(source)))


def _constructor(nodes: Sequence[ast.AST]) -> list[str]:
    """The names that the service's constructor is given."""
    made = [f for f in _functions(nodes) if f.name == "__init__"]
    return [argument.arg for f in made for argument in [*f.args.args[1:], *f.args.kwonlyargs]]


def _awaits(tree: ast.AST) -> list[ast.Await]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Await)]


def _only_says(source: str, name: str) -> bool:
    """Nothing but a docstring and one assignment to *name*."""
    docstring, *rest = ast.parse(source).body or [ast.Pass()]
    said = [docstring, *rest] if not isinstance(docstring, ast.Expr) else rest
    return all(isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == name for n in said)


def _is_sqlalchemy(module: str | None) -> bool:
    return (module or "").partition(".")[0] == "sqlalchemy"


def _bases(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(base).rpartition(".")[2] for base in node.bases]


def _names(source: str, names: set[str]) -> list[str]:
    """Which of *names* stand in *source*, as a name or as what an import brings."""
    found = []
    for node in _nodes(source):
        if isinstance(node, ast.Name):
            found.append(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found += [part for alias in node.names for part in alias.name.split(".")]
            found += (node.module or "").split(".") if isinstance(node, ast.ImportFrom) else []
    return sorted(names.intersection(found))


def _attributes(source: str, names: set[str]) -> list[str]:
    nodes = _nodes(source)
    return sorted(names.intersection(n.attr for n in nodes if isinstance(n, ast.Attribute)))


def _calls_of(source: str, pairs: set[tuple[str, str]]) -> list[str]:
    """`time.sleep` and `datetime.datetime.now` alike, and `from time import sleep`."""
    found = []
    for node in _nodes(source):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).rpartition(".")[2]
            found += [f"{owner}.{node.attr}"] if (owner, node.attr) in pairs else []
        elif isinstance(node, ast.ImportFrom):
            pulled = [(node.module or "", alias.name) for alias in node.names]
            found += [".".join(pair) for pair in pulled if pair in pairs]
    return sorted(set(found))


def _waits_once(source: str) -> list[str]:
    """Each `asyncio.wait(…, timeout=…)` that stands in no `while`."""
    nodes = _nodes(source)
    again = {id(n) for loop in nodes if isinstance(loop, ast.While) for n in ast.walk(loop)}
    return [
        ast.unparse(node)
        for node in nodes
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "asyncio.wait"
        and any(keyword.arg == "timeout" for keyword in node.keywords)
        and id(node) not in again
    ]


def _comments(source: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def _functions(nodes: Sequence[ast.AST]) -> Iterator[Function]:
    return (n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def _length(function: Function) -> int:
    doc = function.body[0] if ast.get_docstring(function) is not None else None
    docstring = (doc.end_lineno or 0) - doc.lineno + 1 if doc else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
