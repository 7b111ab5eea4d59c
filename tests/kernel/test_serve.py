"""The process itself: how it starts, how it stops, and what survives when it is killed."""

import json
import signal
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner

from martech.__main__ import main
from martech.app import installed, load
from tests import servers
from tests.commands import ROOT, Command, environment, interpreter, run, serving

pytestmark = pytest.mark.timeout(120)

USER = {"email": "ada@example.com", "role": "viewer"}


@pytest.mark.whole
def test_the_first_start_makes_the_databases_and_prints_keys_once(tmp_path: Path) -> None:
    env = environment(tmp_path)
    with serving(env, start=interpreter) as first:
        keys = first.keys()
        assert set(keys) == {"mtw", "mts"}
        ready = httpx.get(f"{first.url}/health/ready")
        assert ready.json()["ready"], ready.text
        assert ready.json()["checks"]["bus"] == "ok"
        answer = httpx.get(
            f"{first.url}/access/v1/tenant", headers={"authorization": f"Bearer {keys['mts']}"}
        )
        assert answer.json()["name"] == "first"
        assert "/docs" in httpx.get(first.url).text
        assert first.stop() == 0
    assert sum("set MARTECH_DELIVERY_SMTP_URL" in line for line in first.logged) == 1
    with serving(env) as second:
        assert second.keys() == {}
        answer = httpx.get(
            f"{second.url}/access/v1/tenant", headers={"authorization": f"Bearer {keys['mts']}"}
        )
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("settings", "reached"),
    [
        ({}, "http://127.0.0.1:{port}"),
        ({"MARTECH_HOST": "0.0.0.0"}, "http://127.0.0.1:{port}"),  # as in a container
        ({"MARTECH_PUBLIC_URL": "https://mail.example/"}, "https://mail.example"),
    ],
)
def test_the_links_it_prints_lead_to_where_it_is_reached(
    tmp_path: Path, settings: dict[str, str], reached: str
) -> None:
    with serving(environment(tmp_path, **settings)) as served:
        assert served.process.stdout
        begun, link = served.said[-1], served.process.stdout.readline()
        base = reached.format(port=served.url.rpartition(":")[2])
        assert f"(docs: {base}/docs)" in begun
        assert link == f"look at it: {base}/#key={served.keys()['mts']}\n"


def test_sigterm_lets_a_request_finish(tmp_path: Path) -> None:
    slow = environment(tmp_path, MARTECH_FAILPOINTS="http.before_reply=sleep:1500")
    with serving(slow) as served, ThreadPoolExecutor(1) as pool:
        headers = {"authorization": f"Bearer {served.keys()['mts']}"}
        began = threading.Event()

        def add() -> httpx.Response:
            with httpx.Client() as client:
                client.get(f"{served.url}/health/live")
                began.set()
                return client.post(f"{served.url}/access/v1/users", headers=headers, json=USER)

        request = pool.submit(add)
        began.wait(10)
        wait_until_inside(served.url, 1)
        assert served.stop() == 0
        assert request.result().status_code == 201


def test_sigterm_lets_whoever_has_connected_ask(tmp_path: Path) -> None:
    with serving(environment(tmp_path)) as served:
        place = "127.0.0.1", int(served.url.rpartition(":")[2])
        with socket.create_connection(place) as early:
            served.process.send_signal(signal.SIGTERM)
            wait_until_refused(place)
            early.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            said = b"".join(iter(lambda: early.recv(4096), b""))
        assert said.startswith(b"HTTP/1.1 200 ")
        assert served.process.wait(timeout=30) == 0


def wait_until_refused(place: tuple[str, int]) -> None:
    with suppress(OSError):
        while True:
            socket.create_connection(place).close()


def wait_until_inside(url: str, requests: int) -> None:
    """Until *requests* others are being answered; the one that asks is inside too."""
    while f"martech_http_inside {requests + 1}.0" not in httpx.get(f"{url}/metrics").text:
        pass


def test_what_was_committed_before_a_kill_is_answered_after_it(tmp_path: Path) -> None:
    fatal = environment(tmp_path, MARTECH_FAILPOINTS="http.before_reply=kill@1")
    key = str(uuid4())
    with serving(fatal) as served:
        headers = {"authorization": f"Bearer {served.keys()['mts']}", "idempotency-key": key}
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{served.url}/access/v1/users", headers=headers, json=USER)
        assert served.process.wait() == -signal.SIGKILL
    with serving(environment(tmp_path)) as served:
        again = httpx.post(f"{served.url}/access/v1/users", headers=headers, json=USER)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
        page = httpx.get(f"{served.url}/access/v1/users", headers=headers).json()
        assert [user["email"] for user in page["data"]] == ["ada@example.com"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("MARTECH_DATABASE_URL", "mysql://x"),
        ("MARTECH_PORT", "many"),
        ("MARTECH_LOG_LEVEL", "loud"),
        ("MARTECH_MODULES", "accounting"),
        ("MARTECH_COLOUR", "red"),
        ("MARTECH_FAILPOINTS", "nowhere=kill"),
        ("MARTECH_MAX_REQUESTS", "0"),
    ],
)
def test_a_wrong_setting_is_refused_in_a_sentence(tmp_path: Path, setting: str, value: str) -> None:
    refused = run("serve", env=environment(tmp_path, **{setting: value}))
    assert refused.returncode == 2
    said = " ".join(refused.stderr.split())
    assert said.startswith("martech: ")
    assert said.endswith(".")
    assert value in said or setting in said
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_database_that_is_not_what_is_needed_stops_the_start_unchanged(tmp_path: Path) -> None:
    env = environment(tmp_path)
    assert run("migrate", env=env).returncode == 0
    (tmp_path / "data" / "profiles.db").unlink()
    refused = run("serve", env=env)
    assert refused.returncode == 2
    assert "martech migrate" in refused.stderr
    assert not (tmp_path / "data" / "profiles.db").exists()
    away = environment(tmp_path, MARTECH_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x")
    refused = run("serve", env=away)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_a_taken_port_ends_the_process(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = run("serve", env=environment(tmp_path, MARTECH_PORT=port))
    assert refused.returncode == 2
    assert "Address already in use. Stop what is there, or set MARTECH_PORT" in " ".join(
        refused.stderr.split()
    )


def test_a_second_process_on_the_same_files_is_refused(tmp_path: Path) -> None:
    env = environment(tmp_path)
    with serving(env) as first:
        refused = run("serve", env={**env, "MARTECH_PORT": str(servers.free_port())})
        assert refused.returncode == 2
        assert "Another `martech serve` has the databases in" in " ".join(refused.stderr.split())
        first.process.kill()
        first.process.wait()
        with serving(env):  # what was killed holds nothing
            pass


@pytest.mark.whole
def test_a_store_that_is_somebody_elses_is_refused_at_the_start(tmp_path: Path) -> None:
    env = environment(tmp_path, MARTECH_ANALYTICS_STORE_URL=f"duckdb:///{tmp_path}/own.duckdb")
    assert run("migrate", env=env).returncode == 0
    (tmp_path / "own.duckdb").write_bytes(b"no database at all" * 1000)
    refused = run("serve", env=env)
    assert refused.returncode == 1
    assert "own.duckdb" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("command", [["worker"], ["serve", "--http-only"]])
def test_serving_and_working_apart_is_refused_on_sqlite(
    tmp_path: Path, command: Sequence[str]
) -> None:
    refused = run(*command, env=environment(tmp_path))
    assert refused.returncode == 2
    assert "PostgreSQL" in refused.stderr


def test_serving_and_working_apart_on_postgresql(tmp_path: Path) -> None:
    url = servers.fresh_database()
    shareable = ",".join(m.name for m in load(installed()) if not m.store)
    env = environment(tmp_path, MARTECH_DATABASE_URL=url, MARTECH_MODULES=shareable)
    assert run("serve", env=env).returncode == 2  # never migrates what it might share
    migrated = run("migrate", env=env)
    assert migrated.returncode == 0, migrated.stderr
    assert run("migrate", "--check", env=env).returncode == 0
    worker = Command(["worker"], env, ROOT, log=tmp_path / "worker.log")
    with serving(env, "--http-only") as served:
        ready = httpx.get(f"{served.url}/health/ready").json()
        assert ready["ready"]
        assert "bus" not in ready["checks"]
        assert served.stop() == 0
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


@pytest.mark.parametrize("command", [["worker"], ["serve", "--http-only"]])
@pytest.mark.whole
def test_a_store_that_lets_one_process_in_is_not_served_and_worked_apart(
    tmp_path: Path, command: Sequence[str]
) -> None:
    env = environment(tmp_path, MARTECH_DATABASE_URL=servers.fresh_database())
    assert run("migrate", env=env).returncode == 0
    refused = run(*command, env=env)
    assert refused.returncode == 2
    said = " ".join(refused.stderr.split())
    assert "duckdb file, which lets one process in. Run `martech serve`" in said
    assert "Traceback" not in refused.stderr


def test_logs_are_json_and_name_the_request(tmp_path: Path) -> None:
    failing = environment(tmp_path, MARTECH_FAILPOINTS="http.before_reply=error@1")
    with serving(failing) as served:
        headers = {"authorization": f"Bearer {served.keys()['mts']}", "x-request-id": "mine"}
        answer = httpx.post(f"{served.url}/access/v1/users", headers=headers, json=USER)
        assert answer.status_code == 500
        assert answer.json()["request"] == "mine"
        served.stop()
    failed = [json.loads(line) for line in served.logged]
    assert any(line.get("request") == "mine" and line.get("tenant") for line in failed)


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["worker"],
        ["migrate"],
        ["tenant", "create"],
        ["key", "issue"],
        ["key", "rotate"],
        ["key", "revoke"],
        ["parked", "list"],
        ["parked", "show"],
        ["parked", "retry"],
        ["parked", "drop"],
        ["replay"],
    ],
)
def test_help_teaches_whatever_the_settings(command: Sequence[str]) -> None:
    nonsense = {"MARTECH_DATABASE_URL": "nonsense"}
    shown = CliRunner(env=nonsense).invoke(main, [*command, "--help"])
    assert shown.exit_code == 0
    assert "Usage:" in shown.stdout


@pytest.mark.usefixtures("root_logger")
@pytest.mark.whole
def test_a_scope_that_no_route_of_the_product_asks_for_is_refused(tmp_path: Path) -> None:
    """Where a module lives elsewhere it may be one of its."""
    shell = CliRunner(env=environment(tmp_path))
    for asked in (["migrate"], ["tenant", "create", "first"]):
        assert shell.invoke(main, asked).exit_code == 0
    refused = shell.invoke(main, ["key", "issue", "--scope", "profile:read"])
    assert refused.exit_code == 1
    assert "profile:read" in refused.output


@pytest.mark.usefixtures("root_logger")
def test_keys_are_issued_rotated_and_revoked_from_the_command_line(tmp_path: Path) -> None:
    shell = CliRunner(env=environment(tmp_path))

    def martech(*arguments: str, exit_code: int = 0) -> str:
        done = shell.invoke(main, arguments)
        assert done.exit_code == exit_code, done.output
        return done.stdout

    martech("migrate")
    assert "mtw_" in martech("tenant", "create", "first")
    assert "was there before" in martech("tenant", "create", "FIRST")
    issued = martech("key", "issue", "--scope", "access:read")
    key_id = issued.split()[2]
    assert "mts_" in issued
    assert "mts_" in martech("key", "rotate", key_id)
    assert "revoked" in martech("key", "revoke", key_id)
    martech("key", "revoke", str(uuid4()), exit_code=1)
    martech("key", "issue", "--scope", "everything", exit_code=1)
    assert "Nothing is parked" in martech("parked", "list")
    martech("parked", "retry", "access", str(uuid4()), exit_code=1)
    martech("parked", "retry", "profiles", "nothing:1:0", exit_code=1)
    assert "hears everything" in martech(
        "replay", "profiles.record_what_was_tracked", "--from", "0", "--in-place"
    )
    martech("replay", "profiles.nothing", "--from", "0", exit_code=1)
    assert "tracking.events_tracked.v1" in martech("modules")
