"""What is wrong with the way out is said at the start, in a sentence, and no secret with it."""

from pathlib import Path

import pytest

from martech.kernel.host import Host
from martech.kernel.settings import Settings, SettingsError
from martech.modules.delivery.domain.settings import DeliverySettings
from martech.modules.delivery.module import module as delivery
from tests.modules.delivery.stand import MODULES
from tests.modules.delivery.visiting import dkim_key

pytestmark = pytest.mark.anyio

SIGNED = {"dkim_selector": "s1", "dkim_domain": "shop.example"}


async def start(url: str, **settings: str) -> None:
    own = DeliverySettings(**settings)  # type: ignore[arg-type]
    known = Settings(database_url=url, of_modules={DeliverySettings: own})
    async with Host(MODULES, known) as host:
        assert host.resources["delivery"].keys() == set(delivery.resources)


async def test_a_key_that_is_one_is_taken(delivery_url: str, tmp_path: Path) -> None:
    await start(delivery_url, dkim_key=dkim_key(tmp_path), **SIGNED)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory."),
        ("secret", "must be a private key in PEM"),
        ("x" * 100_000, "is too large to be a key."),
    ],
)
async def test_a_key_that_is_none_stops_the_start(
    content: str | None, sentence: str, delivery_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=sentence) as refused:
        await start(delivery_url, dkim_key=str(file), **SIGNED)
    assert "MARTECH_DELIVERY_" in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_certificates_that_are_none_stop_the_start(delivery_url: str) -> None:
    with pytest.raises(SettingsError, match="certificates in '/nowhere' cannot be read") as refused:
        await start(delivery_url, smtp_url="smtps://me:secret@mail.example?ca=/nowhere")
    assert "secret" not in str(refused.value)
