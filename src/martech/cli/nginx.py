"""nginx: one address for several hosts."""

import click

from martech.app import load
from martech.kernel.files import installed
from martech.kernel.host import Host
from martech.kernel.http import proxy
from martech.kernel.settings import Settings


@click.command("nginx")
@click.option("--peers", required=True, help="As MARTECH_PEERS: MODULE=http://HOST:PORT,…")
@click.option("--rest", required=True, help="The host of all other modules: http://HOST:PORT.")
@click.option("--listen", default="80", show_default=True, help="Where nginx is to be reached.")
def nginx_(peers: str, rest: str, listen: str) -> None:
    """Print a file for nginx' conf.d that leads every path to the host that serves it.

    It is rendered from the manifests: the paths of modules and protocols, and how large a body
    each takes. What only hosts ask each other (/_ports, /_outbox) leads nowhere.

    \b
    Example:
      martech nginx --peers personalization=http://personalization:8000 --rest http://martech:8000
    """
    pairs = [entry.strip().partition("=") for entry in peers.split(",")]
    host = Host(load(installed()), Settings())
    elsewhere = {module: url for module, _, url in pairs}
    click.echo(proxy.rendered(host, elsewhere, rest, listen), nl=False)
