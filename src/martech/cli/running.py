"""serve, worker: what goes on until it is stopped."""

import asyncio
import sys

import click

from martech import __version__, app
from martech.cli.keys import print_opened
from martech.cli.terminal import FIRST, ask_access, out, settings_of, with_host
from martech.kernel.settings import Settings


@click.command()
@click.option("--http-only", is_flag=True, help="Leave bus and jobs to `martech worker`.")
@settings_of
def serve(settings: Settings, http_only: bool) -> None:
    """Answer HTTP, and carry events and commands beside it.

    On SQLite the first start makes the databases, in an empty folder; anywhere else, and after an
    upgrade, `martech migrate` does. Stop it with SIGTERM: what has begun is finished
    (MARTECH_DRAIN_SECONDS).

    \b
    Example:
      MARTECH_PORT=9000 martech serve
      curl http://127.0.0.1:9000/health/ready
    """
    asyncio.run(app.prepare(settings))
    secret = _print_first_keys(settings)
    link = settings.public  # which leads somewhere even where it listens everywhere
    place = f"{settings.host}:{settings.port}"

    def started() -> None:
        said = f"[bold]martech[/] {__version__} serves on {place} (docs: {link}/docs)"
        out.print(said, soft_wrap=True)
        if secret:
            out.print(f"look at it: {link}/#key={secret}", soft_wrap=True)

    sys.exit(app.serve(settings, http_only=http_only, started=started))


@click.command()
@settings_of
def worker(settings: Settings) -> None:
    """Carry events and commands, and answer no HTTP (PostgreSQL only).

    \b
    Example, three processes on one database:
      martech serve --http-only
      martech worker
      martech worker
    """
    asyncio.run(app.prepare(settings))
    sys.exit(app.work_alone(settings))


def _print_first_keys(settings: Settings) -> str | None:
    """On the first start of all, open a tenant, so that there is something to call with; its
    secret key."""
    if not asyncio.run(with_host(settings, app.is_unused)):
        return None
    opened = asyncio.run(ask_access(settings, FIRST, lambda a: a.open_tenant(FIRST)))
    print_opened(opened)
    secrets = [issued.token for issued in opened.keys if issued.key.kind == "secret"]
    return str(secrets[0]) if secrets else None
