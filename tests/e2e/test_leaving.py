"""docs/extraction.md is run as it stands: a module leaves, dies, comes again, and comes back."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.commands import ROOT, environment
from tests.servers import free_port

pytestmark = [pytest.mark.whole, pytest.mark.timeout(180)]

PAGE = ROOT / "docs" / "extraction.md"
MADE = {
    "make venv && . .venv/bin/activate": ":",
    'make -C "$TRY/personalization" venv': """mkdir -p "$TRY/personalization/.venv/bin"
cat > "$TRY/personalization/.venv/bin/martech" <<END
#!/bin/sh
PYTHONPATH="$TRY/personalization/src" exec python -m martech "\\$@"
END
chmod +x "$TRY/personalization/.venv/bin/martech" """,
}
"""Two environments, a minute each: the one of this test does for both."""


def told() -> str:
    """All commands of the page's ten minutes, as one script, on ports that are free."""
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE))
    for command, instead in MADE.items():
        assert command in script
        script = script.replace(command, instead)
    here, there = str(free_port()), str(free_port())
    alone = script.replace("MARTECH_PORT=8001", f"MARTECH_PORT={there}")
    return f"export MARTECH_PORT={here}\n" + alone.replace(":8000", f":{here}").replace(
        ":8001", f":{there}"
    )


def said(script: str, env: Mapping[str, str]) -> str:
    """What bash says, which must succeed. Nothing that it has started outlives it."""
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        found, _ = shell.communicate(timeout=150)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, found
    return found


def test_a_module_leaves_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = said(told(), environment(tmp_path, TMPDIR=str(tmp_path), PATH=path))
    assert "personalization is gone\n" in found
    first, both = [json.loads(line) for line in found.splitlines() if line.startswith('{"data"')]
    assert len(first["data"]) == 1
    assert len(both["data"]) == 2
    assert "personalization is back" in found
