"""The composition root: from settings to a running application."""

from collections.abc import Sequence
from importlib import import_module
from importlib.resources import files
from typing import Any

from litestar.types import ASGIApp

from martech.kernel.auth import Follower, Keyring
from martech.kernel.clock import Clock
from martech.kernel.host import Host
from martech.kernel.http.application import application, described
from martech.kernel.http.health import Pulse
from martech.kernel.module import Module
from martech.kernel.process import Process
from martech.kernel.settings import Settings, SettingsError


def installed() -> list[str]:
    """Every folder under modules/ that has a manifest; one without is only a contract."""
    folder = files("martech.modules")
    return sorted(f.name for f in folder.iterdir() if f.joinpath("module.py").is_file())


def load(names: Sequence[str]) -> list[Module]:
    """The manifests of *names*. Raises `SettingsError` for one that is not installed."""
    there = installed()
    for name in names:
        if name not in there:
            raise SettingsError(f"There is no module {name!r}; installed are {', '.join(there)}.")
    return [import_module(f"martech.modules.{name}.module").module for name in names]


def hosted(settings: Settings) -> list[Module]:
    """The modules that this process is to run."""
    return load(settings.modules or installed())


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    process: Process | None = None,
    pulse: Pulse | None = None,
    modules: Sequence[Module] | None = None,
) -> ASGIApp:
    """What uvicorn serves: every hosted module's routes, and what any host answers.

    *process* is shared with the bus in the other thread, *pulse* is how it shows that it lives.
    Raises `ManifestError` or `SettingsError` if something does not fit together.
    """
    host = Host(modules or hosted(settings), settings, clock=clock, process=process)
    keyring = Keyring(settings.issuer_keys)
    follower = Follower(keyring, host.issuer(), host.clock, snapshot=settings.key_snapshot)
    return application(host, keyring, follower, pulse)


def describe() -> dict[str, Any]:
    """The OpenAPI document of a host with every installed module. Opens no database."""
    return described(Host(load(installed()), Settings()))
