"""The composition root: from settings to a running application."""

from collections.abc import Sequence
from importlib import import_module
from importlib.resources import files

from martech.kernel.module import Module
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
