"""nginx: one address for several hosts."""

import re
from pathlib import Path
from typing import Any

import click
import msgspec

from martech.app import describe
from martech.kernel import published
from martech.kernel.files import faces, installed
from martech.kernel.http import proxy
from martech.kernel.settings import SECRET, Settings, SettingsError

LISTEN = re.compile(r"((\*|[\w.-]+|\[[0-9a-fA-F:.]+\]):)?(?P<port>\d{1,5})")


def _listen(_context: click.Context, _parameter: click.Parameter, said: str) -> str:
    found = LISTEN.fullmatch(said)
    if not found or not 1 <= int(found["port"]) <= 65535:
        raise click.BadParameter(f"{said!r} must be a port, or ADDRESS:PORT.")
    return said


def _peers(said: str) -> dict[str, str]:
    """As the settings read them."""
    try:
        read = Settings.from_env({"MARTECH_PEERS": said, "MARTECH_PEER_SECRET": "-" * SECRET})
    except SettingsError as exc:
        raise SettingsError(str(exc).replace("MARTECH_PEERS", "--peers")) from None
    return dict(read.peers)


@click.command("nginx")
@click.option("--peers", required=True, help="As MARTECH_PEERS: MODULE=http://HOST:PORT,…")
@click.option("--rest", required=True, help="The host of all other modules: http://HOST:PORT.")
@click.option(
    "--listen",
    default="80",
    show_default=True,
    callback=_listen,
    help="Where nginx is to be reached: a port, or ADDRESS:PORT.",
)
def nginx_(peers: str, rest: str, listen: str) -> None:
    """Print a file for nginx' conf.d that leads every path to the host that serves it.

    It is rendered from what the modules promise: their paths and those of protocols, and how large
    a body each takes. What only hosts ask each other (/_ports, /_outbox, /_replays)
    leads nowhere. Of a module that has a repository of its own, contracts/MODULE/openapi.json is
    read, which stayed here.

    \b
    Example:
      martech nginx --peers personalization=http://personalization:8000 --rest http://martech:8000
    """
    click.echo(proxy.rendered(_promised(), _peers(peers), rest, listen), nl=False)


def _promised() -> dict[str, Any]:
    """The OpenAPI document of every module that is here, or has left its contracts here."""
    here = installed()
    document = describe()
    promised = {name: published.openapi_of(document, name) for name in here}
    for name in set(faces()) - set(here):
        left = Path("contracts", name, "openapi.json")
        if left.exists():
            promised[name] = msgspec.json.decode(left.read_bytes())
    return {name: promised[name] for name in sorted(promised)}
