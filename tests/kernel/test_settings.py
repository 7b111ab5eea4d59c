"""Settings come from the environment, and a wrong one is refused in a sentence that names it."""

from pathlib import Path
from typing import Literal

import msgspec
import pytest

from martech.kernel.auth import Issuer
from martech.kernel.settings import Settings, SettingsError

ONE, TWO = (Issuer(Issuer.make()).published for _ in range(2))

WRONG = [
    ("MARTECH_DATABASE_URL", "mysql://localhost/x", "sqlite:///FOLDER"),
    ("MARTECH_DATABASE_URL", "sqlite://", "names no folder"),
    ("MARTECH_DATABASE_URL", "sqlite://host/var", "names no folder"),
    ("MARTECH_DATABASE_URL", f"sqlite:///{__file__}", "names a file"),
    ("MARTECH_SHOP_DATABASE_URL", "var/martech", "postgresql://HOST/DATABASE"),
    ("MARTECH_REDIS_URL", "localhost:6379", "redis://"),
    ("MARTECH_REDIS_URL", "http://localhost", "redis://"),
    ("MARTECH_DATABASE_URL", "postgresql://[::1/martech", "no URL"),
    ("MARTECH_ISSUER_KEYS", "one,two", "public key"),
    ("MARTECH_PORT", "eighty", "must be a number"),
    ("MARTECH_PORT", "65536", "between 0 and 65535"),
    ("MARTECH_PORT", "-1", "between 0 and 65535"),
    ("MARTECH_PORT", "8000.5", "whole number"),
    ("MARTECH_PORT", "nan", "between 0 and 65535"),
    ("MARTECH_LOG_LEVEL", "loud", "debug, info, warning, error"),
    ("MARTECH_MAX_REQUESTS", "0", "between 1 and"),
    ("MARTECH_MAX_REQUESTS", "many", "must be a number"),
    ("MARTECH_DRAIN_SECONDS", "-1", "between 0 and 3600"),
    ("MARTECH_DRAIN_SECONDS", "inf", "between 0 and 3600"),
    ("MARTECH_KEY_SNAPSHOT", "/no/such/folder/keys.json", "no such folder"),
    ("MARTECH_PEERS", "shop", "MODULE=http://HOST:PORT"),
    ("MARTECH_PEERS", "http://10.0.0.7:8000", "MODULE=http://HOST:PORT"),
    ("MARTECH_PEERS", "shop=10.0.0.7:8000", "MODULE=http://HOST:PORT"),
    ("MARTECH_PEERS", "shop=http://", "MODULE=http://HOST:PORT"),
    ("MARTECH_PEERS", "shop=http://there:80000", "no URL"),
    ("MARTECH_PEERS", "shop=http://a,shop=http://b", "names shop twice"),
    ("MARTECH_PEERS", "shop=http://there", "MARTECH_PEER_SECRET"),
    ("MARTECH_PEER_SECRET", "short", "shorter than 16 characters"),
    ("MARTECH_PEER_SECRET", "a secret with spaces in it", "no spaces"),
    ("MARTECH_PEER_SECRET", "sixteen-letters-ü", "letters, digits and signs"),
    ("MARTECH_BROKER_URL", "amqp://there", "redis://"),
    ("MARTECH_BROKER_URL", "there:6379", "redis://"),
    ("MARTECH_MODULE", "shop", "not a setting"),
    ("MARTECH_DATABASE", "sqlite:///var", "not a setting"),
    ("MARTECH_OUTBOX_RETENTION", "30d", "not a setting"),
]


@pytest.mark.parametrize(("name", "value", "cure"), WRONG, ids=[f"{n}={v}" for n, v, _ in WRONG])
def test_a_wrong_setting_is_refused_in_a_sentence_that_names_it(
    name: str, value: str, cure: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({name: value})
    assert name in str(refused.value)
    assert cure in str(refused.value)
    assert str(refused.value).endswith(".")


PEERS = {
    "MARTECH_PEERS": " shop=http://10.0.0.7:8000/ , kitchen=https://there",
    "MARTECH_PEER_SECRET": "0123456789abcdef",
}


def test_peers_are_named_with_where_they_are() -> None:
    settings = Settings.from_env({**PEERS, "MARTECH_BROKER_URL": "kafka://a:9092"})
    assert settings.peers == {"shop": "http://10.0.0.7:8000", "kitchen": "https://there"}
    assert (settings.peer_secret, settings.broker_url) == ("0123456789abcdef", "kafka://a:9092")


def test_a_module_runs_here_or_there() -> None:
    with pytest.raises(SettingsError, match="shop is in MARTECH_MODULES and in MARTECH_PEERS"):
        Settings.from_env({**PEERS, "MARTECH_MODULES": "ledger,shop"})


def test_without_settings_there_is_a_file_a_module_on_this_machine() -> None:
    assert Settings.from_env({}) == Settings()
    assert Settings().database_of("shop") == "sqlite:///var/martech"


def test_an_empty_setting_is_none_and_spaces_do_not_count() -> None:
    env = {"MARTECH_PORT": "  ", "MARTECH_REDIS_URL": "", "MARTECH_LOG_LEVEL": " debug "}
    settings = Settings.from_env(env)
    assert (settings.port, settings.redis_url, settings.log_level) == (8000, None, "debug")


def test_everything_can_be_set(tmp_path: Path) -> None:
    settings = Settings.from_env(
        {
            "MARTECH_DATABASE_URL": "postgresql://localhost/martech",
            "MARTECH_SHOP_DATABASE_URL": f"sqlite:///{tmp_path}",
            "MARTECH_MODULES": "ledger, shop,",
            "MARTECH_ISSUER_KEYS": f"{ONE}, {TWO}",
            "MARTECH_KEY_SNAPSHOT": str(tmp_path / "keys.json"),
            "MARTECH_REDIS_URL": "redis://localhost:6379/1",
            "MARTECH_HOST": "0.0.0.0",
            "MARTECH_PORT": "9000",
            "MARTECH_LOG_LEVEL": "warning",
            "MARTECH_MAX_REQUESTS": "64",
            "MARTECH_DRAIN_SECONDS": "2.5",
            "MARTECH_OTLP_ENDPOINT": "http://collector:4318",
            "MARTECH_TRACE_RATIO": "0.5",
            "MARTECH_FAILPOINTS": "outbox.after_insert=kill@3",
            "PATH": "/usr/bin",
        }
    )
    assert settings == Settings(
        database_url="postgresql://localhost/martech",
        database_urls={"shop": f"sqlite:///{tmp_path}"},
        modules=("ledger", "shop"),
        issuer_keys=(ONE, TWO),
        key_snapshot=tmp_path / "keys.json",
        redis_url="redis://localhost:6379/1",
        host="0.0.0.0",
        port=9000,
        log_level="warning",
        max_requests=64,
        drain_seconds=2.5,
        otlp_endpoint="http://collector:4318",
        trace_ratio=0.5,
        failpoints="outbox.after_insert=kill@3",
    )


def test_one_module_can_live_elsewhere() -> None:
    settings = Settings.from_env({"MARTECH_SHOP_DATABASE_URL": "postgresql://there/x"})
    assert settings.database_of("shop") == "postgresql://there/x"
    assert settings.database_of("ledger") == "sqlite:///var/martech"


def test_what_only_the_tests_read_is_none_of_our_business() -> None:
    assert Settings.from_env({"MARTECH_TEST_POSTGRES_URL": "postgresql://x"}) == Settings()


class Oven(msgspec.Struct, frozen=True):
    degrees: int = 180
    fuel: Literal["gas", "wood"] = "gas"
    door: str = "shut"

    def __post_init__(self) -> None:
        if self.door not in ("shut", "open"):
            raise ValueError("The door is shut or open.")


KITCHEN = {"kitchen": Oven, "shop": None}


def test_a_module_reads_what_it_declares() -> None:
    env = {"MARTECH_KITCHEN_DEGREES": "220", "MARTECH_KITCHEN_FUEL": "wood"}
    assert Settings.from_env(env, KITCHEN).of(Oven) == Oven(degrees=220, fuel="wood")
    assert Settings.from_env({}, KITCHEN).of(Oven) == Settings().of(Oven) == Oven()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MARTECH_KITCHEN_DEGREES", "hot", "MARTECH_KITCHEN_DEGREES is wrong"),
        ("MARTECH_KITCHEN_FUEL", "coal", "MARTECH_KITCHEN_FUEL is wrong"),
        ("MARTECH_KITCHEN_DOOR", "ajar", "MARTECH_KITCHEN_.*The door is shut or open"),
        ("MARTECH_KITCHEN_COLOUR", "red", "MARTECH_KITCHEN_COLOUR is not a setting"),
        ("MARTECH_SHOP_DEGREES", "1", "MARTECH_SHOP_DEGREES is not a setting"),
        ("MARTECH_KITCHN_DATABASE_URL", "sqlite:///x", "no module kitchn.*kitchen, shop"),
        ("MARTECH_PUBLIC_URL", "example.com", "MARTECH_PUBLIC_URL.*http"),
    ],
)
def test_a_wrong_setting_of_a_module_is_refused_likewise(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Settings.from_env({name: value}, KITCHEN)


def test_the_public_url_is_where_we_listen_unless_it_is_said() -> None:
    assert Settings(port=1234).public == "http://127.0.0.1:1234"
    assert Settings(public_url="https://mail.example.com/").public == "https://mail.example.com"


def test_a_store_stands_beside_its_modules_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("martech.kernel.settings.STORES", "/srv/stores")
    settings = Settings(
        database_url="sqlite:////srv/data",
        database_urls={"there": "postgresql://u:p@host:5432/acme?ssl=1"},
        store_urls={"elsewhere": "duckdb:///x.duckdb?threads=8"},
    )
    assert settings.store_of("counts", "duckdb") == "duckdb:////srv/data/counts.duckdb"
    assert settings.store_of("there", "duckdb") == "duckdb:////srv/stores/acme/there.duckdb"
    assert settings.store_of("elsewhere", "duckdb") == "duckdb:///x.duckdb?threads=8"
