"""A URL that is refused is shown without what is nobody's business: its passwords."""

import pytest

from martech.kernel.host import Host
from martech.kernel.http.proxy import rendered
from martech.kernel.settings import Settings, SettingsError, shown
from tests.modules.analytics.counting import MODULES

SETTINGS = [
    "MARTECH_DATABASE_URL",
    "MARTECH_SHOP_DATABASE_URL",
    "MARTECH_PUBLIC_URL",
    "MARTECH_BROKER_URL",
    "MARTECH_REDIS_URL",
    "MARTECH_OTLP_ENDPOINT",
    "MARTECH_PEERS",
]
WRONG = [
    "wrong://ada:hunter2@there/x",
    "wrong://ada:hunter2@there/x?sasl.password=hunter2",
    "wrong://there?password=hunter2",
    "wrong://ada:hunter2/@there/x",
    "wrong://ada:x@hunter2@there/x",
    "redis://ada:hunter2/x@there:6379/0/x",
    "http://[hunter2@there",
    "http://ada:hunter2\u2100@there",
]


@pytest.mark.parametrize("url", WRONG)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_refused_setting_shows_no_password(name: str, url: str) -> None:
    value = f"shop={url}" if name == "MARTECH_PEERS" else url
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({name: value})
    assert name in str(refused.value)
    assert "hunter" not in str(refused.value)


def test_nor_does_a_peer_without_a_name() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({"MARTECH_PEERS": "http://ada:hunter2@there"})
    assert "hunter" not in str(refused.value)


def test_nor_a_host_that_a_proxy_cannot_lead_to() -> None:
    with pytest.raises(SettingsError) as refused:
        rendered({}, {}, "http://ada:hunter2@there/path", "80")
    assert "hunter" not in str(refused.value)


@pytest.mark.anyio
async def test_nor_a_store() -> None:
    settings = Settings(store_urls={"analytics": "chest://ada:hunter2@there"})
    with pytest.raises(SettingsError, match="MARTECH_ANALYTICS_STORE_URL") as refused:
        async with Host(MODULES, settings):
            raise AssertionError
    assert "hunter" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("postgresql://ada:hunter2@there:5432/x?ssl=require", "postgresql://there:5432/x"),
        ("postgresql://ada:hun/ter2@there/x", "postgresql://there/x"),
        ("postgresql://ada:hun?ter2@there/x", "postgresql://…"),
        ("kafka://there?sasl.password=hunter@2", "kafka://…"),
        ("sqlite:///var/martech", "sqlite:///var/martech"),
        ("there:6379", "there:6379"),
        ("ada:hunter2@there", "there"),
    ],
)
def test_what_is_shown_of_a_url_is_where_it_leads(url: str, seen: str) -> None:
    assert shown(url) == seen
