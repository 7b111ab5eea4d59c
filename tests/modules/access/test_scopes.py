"""Which scopes a key may be given, by what a host knows of the modules that there are. One that
does not know them all refuses none."""

from pathlib import Path

import pytest

from martech.app import describe, installed
from martech.kernel.errors import Invalid
from martech.kernel.settings import Settings
from martech.modules.access.service import Catalogue
from tests.commands import environment, run
from tests.modules.access.conftest import Desk, Office

pytestmark = pytest.mark.anyio


def test_a_key_may_have_each_scope_that_a_route_asks_for() -> None:
    operations = [each for path in describe()["paths"].values() for each in path.values()]
    asked = {one["x-scope"] for one in operations if ":" in one.get("x-scope", "")}
    assert len(asked) > len(installed())
    Catalogue(Settings()).check(asked)


@pytest.mark.whole
def test_an_unknown_scope_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Invalid) as refused:
        Catalogue(Settings()).check(["profile:read"])
    assert "'profile:read'" in refused.value.detail
    for known in (*installed(), "read", "write", "manage", "hear", "operate"):
        assert known in refused.value.detail


@pytest.mark.whole
def test_the_command_line_refuses_it_too(tmp_path: Path) -> None:
    done = run("key", "issue", "--scope", "profile:read", env=environment(tmp_path))
    assert done.returncode == 1
    assert "'profile:read' is not a scope" in done.stderr


@pytest.mark.whole
async def test_a_request_for_one_is_refused(desk: Desk) -> None:
    answer = await desk.call(
        "POST", "/keys", {"kind": "secret", "name": "k", "scopes": ["profile:read"]}
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "scopes")


async def test_who_hosts_some_of_the_modules_grants_the_scopes_of_any(office: Office) -> None:
    asked = ["loyalty:read", "personalization:read"]
    Catalogue(Settings(modules=("access",))).check(asked)
    await office.open()
    async with office.asks() as access:
        issued = await access.issue("secret", name="elsewhere", scopes=asked)
    assert issued.key.scopes == asked
