"""On a terminal the demo's page stays when the story is over: who watched it sees how it ended."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytestmark = [pytest.mark.whole, pytest.mark.timeout(300)]

STAYS = "the page stays until Ctrl-C"


def shown(terminal: int) -> Iterator[str]:
    """What is written to it, piece by piece, until nobody has it open any more."""
    try:
        while piece := os.read(terminal, 4096):
            yield piece.decode(errors="replace")
    except OSError:  # so Linux says that the other side is closed
        return


def hears_ctrl_c() -> None:
    """What a shell runs in its background, the tests perhaps, does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_on_a_terminal_the_page_stays_until_ctrl_c(tmp_path: Path) -> None:
    terminal, side = pty.openpty()
    command = [sys.executable, "-m", "demo", "--home", str(tmp_path), "--limit", "50"]
    with subprocess.Popen(
        command,
        stdout=side,
        stderr=side,
        preexec_fn=hears_ctrl_c,  # noqa: PLW1509 - it touches nothing of ours
    ) as demo:
        os.close(side)
        said, pieces = "", shown(terminal)
        while STAYS not in said:
            piece = next(pieces, None)
            assert piece is not None, said
            said += piece
        address = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert address
        assert httpx.get(f"{address[0]}/health/ready").status_code == 200
        demo.send_signal(signal.SIGINT)
        "".join(pieces)  # to its end
        assert demo.wait() == 0
    os.close(terminal)
    with pytest.raises(httpx.ConnectError):
        httpx.get(address[0])
