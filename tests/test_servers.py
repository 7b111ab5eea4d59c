"""The tests bring their own servers, and take them away again."""

import asyncio
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
import redis
from confluent_kafka.admin import AdminClient

from tests import servers, watchers

ROOT = Path(__file__).parents[1]
NOWHERE = Path("/nonexistent")


def ask(url: str, question: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(run())


def test_the_lock_brings_a_postgresql_of_its_own() -> None:
    bin = servers.find_postgres(path="", debian=NOWHERE)
    assert "site-packages" in bin.parts
    server = servers.start_postgres(bin)
    assert str(ask(server.url, "SHOW server_version")).startswith("18")


def test_the_lock_brings_a_redis_of_its_own() -> None:
    program = servers.find_redis(path="")
    assert "site-packages" in program.parts
    server = servers.start_redis(program)
    assert redis.Redis.from_url(server.url).ping()


def test_the_lock_brings_a_kafka_of_its_own() -> None:
    program = servers.find_tansu(path="")
    assert "site-packages" in program.parts
    server = servers.start_kafka(program)
    asking = AdminClient({"bootstrap.servers": urlsplit(server.url).netloc})
    assert len(asking.list_topics(timeout=30).brokers) == 1
    watchers.stop(server)


def test_postgresql_never_runs_as_root() -> None:
    server = servers.start_postgres(servers.find_postgres())
    expected = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    assert psutil.Process(server.pid).username() == expected


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_is_restarted_has_what_it_had_where_it_was(by: signal.Signals) -> None:
    before = servers.start_postgres(servers.find_postgres())
    ask(before.url, "CREATE TABLE t AS SELECT 1 AS x")
    after = watchers.restart(before, by)
    assert after.url == before.url
    assert after.pid != before.pid
    assert ask(after.url, "SELECT x FROM t") == 1
    watchers.stop(after)
    assert after.pid
    assert not psutil.pid_exists(after.pid)


def test_programs_that_nobody_may_read_are_copied(tmp_path: Path) -> None:
    closed = tmp_path / "installation" / "bin"
    closed.mkdir(parents=True, mode=0o700)
    (closed / "postgres").touch(0o755)
    copy = servers._reachable(closed, tmp_path / "home")
    assert copy.parent.parent == tmp_path / "home"
    assert os.access(copy / "postgres", os.X_OK)
    assert servers._reachable(Path("/usr/bin"), tmp_path) == Path("/usr/bin")


def test_a_database_is_a_copy_of_its_template_and_its_own() -> None:
    template = servers.fresh_database()
    ask(template, "CREATE TABLE t AS SELECT 1 AS x")
    one, other = servers.fresh_database(template), servers.fresh_database(template)
    ask(one, "INSERT INTO t VALUES (2)")
    assert ask(one, "SELECT count(*) FROM t") == 2
    assert ask(other, "SELECT count(*) FROM t") == 1


def test_copies_are_given_back_and_what_was_there_before_stays() -> None:
    template = servers.fresh_database()
    before = servers.fresh_database(template)
    with servers.copies_given_back():
        copy, made = servers.fresh_database(template), servers.fresh_database()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        ask(copy, "SELECT 1")
    assert [ask(url, "SELECT 1") for url in (template, before, made)] == [1, 1, 1]


def test_a_redis_database_is_empty_and_its_own() -> None:
    one = redis.Redis.from_url(servers.fresh_redis())
    one.set("key", "value")
    assert redis.Redis.from_url(servers.fresh_redis()).dbsize() == 0


def test_workers_share_the_databases_of_one_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "3")
    shares = []
    for worker in range(3):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{worker}")
        shares.append(servers.databases_of_ours(16))
    assert [*shares[0], *shares[1], *shares[2]] == list(range(15))
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "9")
    with pytest.raises(servers.Missing, match="16 databases, and 9 workers need 2 each"):
        servers.databases_of_ours(16)


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_what_is_missing_is_named_and_never_skipped(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_postgres_wheels", list)
    monkeypatch.setattr(servers, "_package", lambda name: None)
    with pytest.raises(servers.Missing, match=f"MARTECH_TEST_{kind.upper()}_URL"):
        servers.find_postgres("", NOWHERE) if kind == "postgres" else servers.find_redis("")
    with pytest.raises(servers.Missing, match="tansu"):
        servers.find_tansu("")


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_server_ends_with_the_tests_even_when_they_are_killed(kind: str) -> None:
    code = f"import tests.servers as s; print(s.{kind}().pid, flush=True); input()"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MARTECH_TEST_")}
    tests = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert tests.stdout
    server = psutil.Process(int(tests.stdout.readline()))
    watcher, home = server.parent(), Path(server.cwd())
    assert watcher
    assert home.exists()
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    psutil.wait_procs([server, watcher], timeout=20)
    assert not server.is_running()
    assert not home.exists()
