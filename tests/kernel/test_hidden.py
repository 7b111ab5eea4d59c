"""What a log and an `error` column say of something that failed: never about whom it was."""

import traceback
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError

from martech.kernel.admission import Admission
from martech.kernel.db.hiding import said
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from martech.kernel.telemetry import RequestTimes
from tests import databases
from tests.sample.shop.service import ShopService
from tests.sample.shop.tables import sales
from tests.serving import serve

pytestmark = pytest.mark.anyio

TENANT = UUID(int=1)
WHOM = "ada@example.com"


async def refused(host: Host, *numbers: object) -> DBAPIError:
    """How the database refuses sales of these numbers to `WHOM`."""
    rows = [{"tenant": TENANT, "number": number, "buyer": WHOM} for number in numbers]
    with pytest.raises(DBAPIError) as found:
        async with host.databases["shop"].transaction(TENANT) as tx:
            for row in rows:
                await tx.execute(insert(sales), [row])
    return found.value


async def test_an_error_of_the_database_names_no_value(sample: Host) -> None:
    error = await refused(sample, 77_001, 77_001)
    shown = "".join(traceback.format_exception(error))
    assert "sales" in shown
    assert not {each for each in (WHOM, "77001", str(TENANT)) if each in shown}


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_nor_does_one_of_a_value_that_the_driver_cannot_send(sample: Host) -> None:
    error = await refused(sample, WHOM)
    shown = "".join(traceback.format_exception(error))
    assert "query argument" in shown
    assert WHOM not in shown


async def test_what_is_written_down_of_it_is_its_class_its_code_and_what_was_wrong(
    sample: Host, kind: str
) -> None:
    error = await refused(sample, 1, 1)
    code, wrong = {
        "sqlite": ("SQLITE_CONSTRAINT_PRIMARYKEY", "UNIQUE constraint failed"),
        "postgresql": ("23505", 'violates unique constraint "pk_sales"'),
    }[kind]
    written = said(error)
    assert written.startswith(f"IntegrityError {code}: ")
    assert wrong in written
    assert "INSERT" not in written
    assert "\n" not in written


def test_of_every_other_error_what_it_says_is_written_down() -> None:
    assert said(ValueError("no such thing")) == "ValueError: no such thing"
    assert len(said(ValueError("x" * 9_999))) == 2_000


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("error", [ZeroDivisionError(), Unavailable("The mint is away.")])
async def test_a_log_names_the_route_that_failed_and_not_who_stands_in_its_path(
    sample_url: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(self: ShopService, article: str) -> int:
        raise error

    monkeypatch.setattr(ShopService, "change_price", fail)
    async with serve(databases.SAMPLE, Settings(database_url=sample_url)) as served:
        answer = await served.client.put(f"/shop/v1/prices/{WHOM}", headers=served.headers())
    assert answer.is_server_error
    assert "PUT /shop/v1/prices/{article" in caplog.text
    assert WHOM not in caplog.text


async def test_nor_does_the_last_resort_name_anybody(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        scope["path_template"] = "/people/{email}"
        raise ZeroDivisionError

    transport = httpx.ASGITransport(Admission(broken, RequestTimes(), most=1))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        assert (await client.get(f"/people/{WHOM}")).status_code == 500
    assert "GET /people/{email} failed" in caplog.text
    assert WHOM not in caplog.text
