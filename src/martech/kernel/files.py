"""What lies on disk: files shipped with a module, and secrets that a setting names."""

from importlib.resources import files
from pathlib import Path

LARGEST = 65_536
"""Bytes of a secret; whatever is larger is another file."""


def beside(package: str, name: str) -> str:
    """The text of a file that is shipped in *package* (``__package__``)."""
    return files(package).joinpath(name).read_text("utf-8")


def secret(path: str) -> bytes:
    """A key's bytes. Raises `ValueError` in a sentence when there is no such file, or none that
    may be read."""
    file = Path(path)
    try:
        if file.stat().st_size <= LARGEST:
            return file.read_bytes()
    except OSError as exc:
        raise ValueError(f"{path!r} cannot be read: {exc.strerror}.") from None
    raise ValueError(f"{path!r} is too large to be a key.")
