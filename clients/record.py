"""Writes tests/recordings/ anew: python -m clients.record

Each client tells its story to a real platform, through a relay that writes down what passes.
What is different on every machine is replaced: the key, ports and connection headers.
"""

import base64
import gzip
import json
import re
import sys
import tempfile
from pathlib import Path

from clients.platform import platform
from clients.programs import CLIENTS
from clients.relay import OWN, Passed, relay

INTO = Path(__file__).parent.parent / "tests" / "recordings"
KEY = "WRITE_KEY"
LOCAL = re.compile(r"127\.0\.0\.1:\d+")
DROPPED = (*OWN, "host")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, platform(Path(folder)) as served:
        for client in CLIENTS:
            with relay(served.port) as way:
                client.run(way.url, served.write_key)
            unwelcome = [passed for passed in way.passed if not 200 <= passed.status < 300]
            if unwelcome:
                sys.exit(f"{client.name} was not understood: {unwelcome}")
            requests = [recorded(passed, served.write_key) for passed in way.passed]
            file = INTO / f"{client.name}.json"
            file.write_text(json.dumps(requests, indent=1, ensure_ascii=False) + "\n")
            print(f"{file.name}: {len(requests)} requests")


def recorded(passed: Passed, key: str) -> dict[str, object]:
    """A gzipped body is written down as text and marked; whoever replays it gzips it again."""
    zipped = passed.body.startswith(b"\x1f\x8b")
    body = (gzip.decompress(passed.body) if zipped else passed.body).decode()
    headers = {
        name.lower(): anonymous(value, key)
        for name, value in passed.headers
        if name.lower() not in DROPPED
    }
    return {
        "method": passed.method,
        "path": anonymous(passed.path, key),
        "headers": headers,
        "gzip": zipped,
        "body": anonymous(body, key),
    }


def anonymous(text: str, key: str) -> str:
    basic = base64.b64encode(f"{key}:".encode()).decode()
    return LOCAL.sub("shop.example.com", text.replace(basic, f"{{{KEY}}}").replace(key, KEY))


if __name__ == "__main__":
    INTO.mkdir(parents=True, exist_ok=True)
    main()
