"""The command line: arguments in, sentences out. The work is in `app` and in the modules."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from martech import __version__, app
from martech.kernel import audit, failpoints, migrate, parked, published, telemetry
from martech.kernel.bus.replay import replay
from martech.kernel.errors import Error
from martech.kernel.failpoints import FailpointError
from martech.kernel.files import installed
from martech.kernel.migrate import DatabaseUnfit
from martech.kernel.module import ManifestError
from martech.kernel.settings import Settings, SettingsError

T = TypeVar("T")

FIRST = "first"
"""The tenant that is there from the beginning."""

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class Martech(click.Group):
    """Whatever is refused is refused in a sentence: 2 for the set-up, 1 for the request."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (SettingsError, ManifestError, DatabaseUnfit) as refused:
            err.print(f"martech: {escape(str(refused))}", soft_wrap=True)
            context.exit(2)
        except Error as refused:
            err.print(f"martech: {escape(refused.detail)}", soft_wrap=True)
            context.exit(1)


@click.group(cls=Martech, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="martech")
def main() -> None:
    """A marketing platform in one process that can be taken apart.

    \b
    Begin:
      martech serve                      http://127.0.0.1:8000, keys are printed once
      martech migrate --check            are the databases what this version needs?
      martech key issue --scope '*:read' a key that can look at everything
      martech parked list                what needs a person

    Settings come from the environment: MARTECH_DATABASE_URL (sqlite:///var/martech, one file a
    module, or postgresql://…), MARTECH_<MODULE>_DATABASE_URL, MARTECH_<MODULE>_STORE_URL
    (duckdb:///FILE?memory_mb=192), MARTECH_REDIS_URL, MARTECH_MODULES, MARTECH_HOST, MARTECH_PORT,
    MARTECH_PUBLIC_URL (how the world reaches us: links in mails), MARTECH_LOG_LEVEL,
    MARTECH_MAX_REQUESTS, MARTECH_DRAIN_SECONDS, MARTECH_ISSUER_KEYS (public keys),
    MARTECH_KEY_SNAPSHOT (a file), MARTECH_FAILPOINTS (tests); and what modules read for
    themselves, such as MARTECH_DELIVERY_SMTP_URL: docs/modules lists it.
    """


def settings_of(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the settings; read only when it runs, so that --help always helps."""

    @wraps(command)
    def run(**arguments: Any) -> None:
        settings = app.settings_of(os.environ)
        telemetry.configure_logs(settings.log_level)
        try:
            failpoints.arm(settings.failpoints)
        except FailpointError as refused:
            raise SettingsError(f"MARTECH_FAILPOINTS: {refused}") from None
        command(settings, **arguments)

    return run


@main.command()
@click.option("--http-only", is_flag=True, help="Leave bus and jobs to `martech worker`.")
@settings_of
def serve(settings: Settings, http_only: bool) -> None:
    """Answer HTTP, and carry events and commands beside it.

    On SQLite the first start makes the databases; anywhere else `martech migrate` does. Stop it
    with SIGTERM: what has begun is finished (MARTECH_DRAIN_SECONDS).

    \b
    Example:
      MARTECH_PORT=9000 martech serve
      curl http://127.0.0.1:9000/health/ready
    """
    asyncio.run(app.prepare(settings))
    secret = _print_first_keys(settings)
    address = f"http://{settings.host}:{settings.port}"

    def started() -> None:
        out.print(f"[bold]martech[/] {__version__} serves on {address} (docs: {address}/docs)")
        if secret:
            out.print(f"look at it: {address}/#key={secret}", soft_wrap=True)

    sys.exit(app.serve(settings, http_only=http_only, started=started))


@main.command()
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


@main.command("migrate")
@click.argument("modules", nargs=-1)
@click.option("--check", is_flag=True, help="Change nothing; fail if something is to be done.")
@settings_of
def migrate_(settings: Settings, modules: Sequence[str], check: bool) -> None:
    """Bring the schemas of MODULES (default: all) to what this version needs.

    \b
    Examples:
      martech migrate
      martech migrate --check profiles
    """
    chosen = app.load(modules) if modules else app.hosted(settings)
    change = migrate.check if check else migrate.upgrade
    for module in track(chosen, "Checking" if check else "Migrating", console=err, transient=True):
        asyncio.run(change(module, settings.database_of(module.name)))
        out.print(f"{module.name}: at {migrate.head(module)}")


@main.command()
@click.argument("module")
@click.argument("message")
def migration(module: str, message: str) -> None:
    """Write the migration from MODULE's newest one to its tables. Read it before you commit it.

    \b
    Example:
      martech migration profiles "add a column"
    """
    (found,) = app.load([module])
    file = asyncio.run(migrate.revise(found, message))
    out.print(str(file) if file else f"{module}: the tables are as the migrations leave them")


@main.command()
@click.option("--into", default=".", type=click.Path(path_type=Path), help="The repository.")
def contracts(into: Path) -> None:
    """Write contracts/ and docs/modules/ anew: what we promise, as a diff to review."""
    for name, text in published.files(app.load(installed()), app.describe()).items():
        file = into / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        out.print(name)


@main.command()
@settings_of
def modules(settings: Settings) -> None:
    """List the modules: where each is kept, what it hears and does."""
    here = {module.name for module in app.hosted(settings)}
    for module in app.load(installed()):
        kept = click.format_filename(settings.database_of(module.name).rpartition("@")[2])
        where = kept if module.name in here else "not hosted here"
        out.print(f"[bold]{module.name}[/]  {escape(where)}", soft_wrap=True)
        for heard in sorted({t for s in module.subscriptions for t in s.types}):
            out.print(f"    hears {heard}")
        for job in module.jobs:
            out.print(f"    does  {job.command.__name__}")


@main.group()
def tenant() -> None:
    """Open tenants."""


@tenant.command("create")
@click.argument("name")
@settings_of
def tenant_create(settings: Settings, name: str) -> None:
    """Open the tenant NAME and print its first keys; harmless if it is there.

    \b
    Example:
      martech tenant create "Acme Stores"
    """
    opened = asyncio.run(_ask_access(settings, name, lambda access: access.open_tenant(name)))
    _print_opened(opened)


@main.group()
def key() -> None:
    """Issue, list, rotate and revoke API keys."""


tenant_option = click.option("--tenant", default=FIRST, show_default=True, help="Whose key.")


@key.command("issue")
@tenant_option
@click.option("--kind", type=click.Choice(["write", "secret"]), default="secret", show_default=True)
@click.option("--scope", "scopes", multiple=True, help="MODULE:VERB, * for any. Repeatable.")
@click.option("--name", default="from the command line", help="What it is for.")
@click.option("--user", "user_id", type=click.UUID, help="Whose role bounds it, and names it.")
@click.option("--days", type=click.IntRange(1, 36500), help="How long it holds; default: for ever.")
@settings_of
def key_issue(settings: Settings, /, tenant: str, days: int | None, **wanted: Any) -> None:
    """Issue a key. It is shown now and never again.

    \b
    Examples:
      martech key issue --kind write --name "web shop"
      martech key issue --scope profiles:read --scope tracking:read --days 90
    """
    end = None if days is None else datetime.now(UTC) + timedelta(days=days)
    _print_key(
        asyncio.run(_ask_access(settings, tenant, lambda a: a.issue(**wanted, expires_at=end)))
    )


@key.command("list")
@tenant_option
@settings_of
def key_list(settings: Settings, tenant: str) -> None:
    """List the first 1000 keys of a tenant; their tokens are not kept anywhere."""
    page = asyncio.run(_ask_access(settings, tenant, lambda a: a.keys(limit=1000)))
    for one in page.data:
        scopes = " ".join(one.scopes) or "can only send"
        line = f"{one.id} {one.hint} {one.kind} {one.status} ({scopes}) {escape(one.name)}"
        out.print(line, soft_wrap=True)


@key.command("rotate")
@click.argument("key_id", type=click.UUID)
@click.option(
    "--overlap",
    type=click.FloatRange(0, 720),
    default=24,
    show_default=True,
    help="Hours both work.",
)
@tenant_option
@settings_of
def key_rotate(settings: Settings, key_id: UUID, overlap: float, tenant: str) -> None:
    """Issue a successor of KEY_ID; the old key works on for the overlap.

    \b
    Example:
      martech key rotate 0190163d-8694-739b-aea5-966c26f8ad91 --overlap 1
    """
    hours = timedelta(hours=overlap)
    _print_key(asyncio.run(_ask_access(settings, tenant, lambda a: a.rotate(key_id, hours))))


@key.command("revoke")
@click.argument("key_id", type=click.UUID)
@tenant_option
@settings_of
def key_revoke(settings: Settings, key_id: UUID, tenant: str) -> None:
    """Revoke KEY_ID: it stops working everywhere within seconds."""
    asyncio.run(_ask_access(settings, tenant, lambda a: a.revoke(key_id)))
    out.print(f"{key_id} is revoked")


@main.command("audit")
@settings_of
def audit_(settings: Settings) -> None:
    """Verify who did what: every chain of every module, from its beginning.

    Keep what is printed somewhere else. A chain that later is shorter, or has another hash at
    that number, was cut or written anew.
    """
    chains = asyncio.run(_with_host(settings, _chains))
    for name, (tenant, (number, last), broken_at) in chains:
        state = "holds" if broken_at is None else f"[bold red]broken at {broken_at}[/], holds"
        out.print(f"{name} {tenant} {state} up to {number}: {last.hex()}", soft_wrap=True)
    sys.exit(1 if any(chain.broken_at for _, chain in chains) else 0)


@main.group("parked")
def parked_() -> None:
    """Look at what failed to the end, and try it again."""


@parked_.command("list")
@settings_of
def parked_list(settings: Settings) -> None:
    """List parked items and commands, the oldest first: module, id, type, error."""
    found = asyncio.run(_with_host(settings, parked.parked))
    for one in found:
        said = escape(" ".join(one.error.split())[:200])
        line = f"{one.module} [bold]{one.id}[/] {one.type}, {one.attempts} attempts: {said}"
        out.print(line, soft_wrap=True)
    if not found:
        out.print("Nothing is parked.")


@parked_.command("retry")
@click.argument("module")
@click.argument("id_", metavar="ID")
@settings_of
def parked_retry(settings: Settings, module: str, id_: str) -> None:
    """Try the parked ID of MODULE again, with all its attempts.

    \b
    Examples:
      martech parked retry profiles record_what_was_tracked/1042/7
      martech parked retry access 0190163d-8694-739b-aea5-966c26f8ad91
    """
    asyncio.run(_with_host(settings, lambda host: parked.retry(host, module, id_)))
    out.print("It is due again.")


@main.command("replay")
@click.argument("subscription")
@click.option("--from", "position", type=click.IntRange(0), required=True, help="0 is everything.")
@settings_of
def replay_(settings: Settings, subscription: str, position: int) -> None:
    """Have SUBSCRIPTION hear its source again, from behind a position. Nothing happens outside.

    Its handler writes again what it wrote: empty its tables first to build them anew.

    \b
    Example:
      martech replay profiles.record_what_was_tracked --from 0
    """
    asyncio.run(_with_host(settings, lambda host: replay(host, subscription, position)))
    out.print(f"{subscription} hears everything behind {position} again.")


async def _with_host(settings: Settings, do: Callable[[Any], Awaitable[T]]) -> T:
    async with app.opened(settings) as host:
        return await do(host)


async def _chains(host: Any) -> list[tuple[str, audit.Chain]]:
    found = []
    for name, database in host.databases.items():
        async with database.across(write=False) as connection:
            chains = await audit.check(connection, database.metadata)
        found += [(name, chain) for chain in chains]
    return found


async def _ask_access(settings: Settings, tenant: str, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    """Ask the service of access, in a unit of work of *tenant*."""
    if "access" not in {module.name for module in app.hosted(settings)}:
        raise SettingsError("access is not hosted here. Ask where it is, or set MARTECH_MODULES.")
    tenant_id = import_module("martech.modules.access.domain").tenant_id(tenant)
    async with app.opened(settings) as host, host.unit("access", tenant_id) as access:
        return await ask(access)


def _print_first_keys(settings: Settings) -> str | None:
    """On the first start of all, open a tenant, so that there is something to call with; its
    secret key."""
    if not asyncio.run(_with_host(settings, app.is_unused)):
        return None
    opened = asyncio.run(_ask_access(settings, FIRST, lambda a: a.open_tenant(FIRST)))
    _print_opened(opened)
    secrets = [issued.token for issued in opened.keys if issued.key.kind == "secret"]
    return str(secrets[0]) if secrets else None


def _print_opened(opened: Any) -> None:
    out.print(f"tenant [bold]{escape(opened.tenant.name)}[/] {opened.tenant.id}")
    if not opened.keys:
        out.print("It was there before; `martech key issue` makes another key.")
    for issued in opened.keys:
        _print_key(issued)


def _print_key(issued: Any) -> None:
    """On a line of its own and never wrapped, so that it can be copied or cut out."""
    scopes = " ".join(issued.key.scopes) or "can only send"
    out.print(f"{issued.key.kind} key {issued.key.id} ({scopes}), shown this once:")
    out.print(issued.token, soft_wrap=True)


if __name__ == "__main__":
    main()
