"""What every command needs: somewhere to print, the settings, a host."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.markup import escape

from martech import app
from martech.kernel import failpoints, telemetry
from martech.kernel.errors import Error
from martech.kernel.failpoints import FailpointError
from martech.kernel.files import installed
from martech.kernel.host import Host
from martech.kernel.migrate import DatabaseUnfit
from martech.kernel.module import ManifestError
from martech.kernel.published.gate import Incomparable
from martech.kernel.settings import Settings, SettingsError

T = TypeVar("T")

FIRST = "first"
"""The tenant that is there from the beginning."""

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


class Martech(click.Group):
    """Whatever is refused is refused in a sentence: 2 for the set-up, 1 for the request."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (SettingsError, ManifestError, DatabaseUnfit, Incomparable) as refused:
            err.print(f"martech: {escape(str(refused))}", soft_wrap=True)
            context.exit(2)
        except Error as refused:
            err.print(f"martech: {escape(refused.detail)}", soft_wrap=True)
            context.exit(1)


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


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Host]:
    """A host of what is hosted here. Raises `DatabaseUnfit`, before anything is asked or written,
    where the data is not what this code needs, or is elsewhere."""
    await app.check(settings)
    async with app.opened(settings) as host:
        yield host


async def with_host(settings: Settings, do: Callable[[Host], Awaitable[T]]) -> T:
    async with opened(settings) as host:
        return await do(host)


def of_access(settings: Settings, file: str) -> Any:
    """A file of access. Raises `SettingsError` where it is not hosted."""
    if "access" not in {module.name for module in app.hosted(settings)}:
        cure = ", or add it to MARTECH_MODULES" if "access" in installed() else ""
        raise SettingsError(f"access is not hosted here. Say this where it is{cure}.")
    return import_module(f"martech.modules.access.{file}")


async def ask_access(settings: Settings, tenant: str, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    """What *ask* makes of the service of access, in a unit of work of *tenant*."""
    tenant_id = of_access(settings, "domain").tenant_id(tenant)
    async with opened(settings) as host, host.unit("access", tenant_id) as access:
        return await ask(access)
