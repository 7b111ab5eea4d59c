"""tenant, key: who may call."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click
from rich.markup import escape

from martech.cli.terminal import FIRST, ask_access, of_access, out, settings_of
from martech.kernel.errors import Invalid
from martech.kernel.settings import Settings


@click.group()
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
    opened = asyncio.run(ask_access(settings, name, lambda access: access.open_tenant(name)))
    print_opened(opened)


@click.group()
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
    of_access(settings, "service").Catalogue(settings).check(wanted["scopes"])
    end = None if days is None else datetime.now(UTC) + timedelta(days=days)
    try:
        issued = asyncio.run(
            ask_access(settings, tenant, lambda a: a.issue(**wanted, expires_at=end))
        )
    except Invalid as exc:
        raise click.UsageError(f"{exc.detail} See --scope, --user and --days.") from None
    _print_key(issued)


@key.command("list")
@tenant_option
@settings_of
def key_list(settings: Settings, tenant: str) -> None:
    """List the first 1000 keys of a tenant; their tokens are not kept anywhere."""
    page = asyncio.run(ask_access(settings, tenant, lambda a: a.keys(limit=1000)))
    if not page.data:
        out.print(f"The tenant {escape(tenant)} has no keys, or there is none of that name.")
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
    _print_key(asyncio.run(ask_access(settings, tenant, lambda a: a.rotate(key_id, hours))))


@key.command("revoke")
@click.argument("key_id", type=click.UUID)
@tenant_option
@settings_of
def key_revoke(settings: Settings, key_id: UUID, tenant: str) -> None:
    """Revoke KEY_ID: it stops working everywhere within seconds."""
    asyncio.run(ask_access(settings, tenant, lambda a: a.revoke(key_id)))
    out.print(f"{key_id} is revoked")


def print_opened(opened: Any) -> None:
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
