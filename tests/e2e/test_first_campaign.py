"""docs/first-campaign.md is run as it stands: every command, against a real server and sink."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import environment, serving

pytestmark = [pytest.mark.whole, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "first-campaign.md"


@contextmanager
def mail_server(log: Path) -> Iterator[str]:
    """Its address; what it accepts stands in *log*."""
    command = [sys.executable, "-m", "tests.sinks.smtp", "--port", "0", "--log", str(log)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().rpartition(" ")[2].strip()
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def told() -> str:
    """All commands of the page, as one script."""
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE))


def test_the_page_ends_in_one_mail_and_one_conversion(tmp_path: Path) -> None:
    log = tmp_path / "mails.jsonl"
    with mail_server(log) as address:
        env = environment(
            tmp_path,
            MARTECH_DELIVERY_SMTP_URL=f"smtp://{address}?tls=none",
            MARTECH_DELIVERY_SENDER="Shop <news@shop.example>",
        )
        with serving(env) as served:
            keys = served.keys()
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", told()],
                env={**env, "URL": served.url, "WRITE": keys["mtw"], "SECRET": keys["mts"]},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
    assert done.returncode == 0, done.stdout + done.stderr
    (mail,) = [json.loads(line) for line in log.read_text().splitlines()]
    assert mail["to"] == ["ada@example.com"]
    assert "Subject: Thank you, Ada\r\n" in mail["data"]
    assert '"status":"completed"' in done.stdout
    assert '"delivered":1' in done.stdout
    assert '"converted":1' in done.stdout
