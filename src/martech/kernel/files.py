"""What lies on disk: files shipped with a module, secrets, and whose a folder is."""

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.resources import files
from pathlib import Path

LOCK = "serving.lock"
LARGEST = 65_536
"""Bytes of a secret; whatever is larger is another file."""


def beside(package: str, name: str) -> str:
    """The text of a file that is shipped in *package* (``__package__``)."""
    return files(package).joinpath(name).read_text("utf-8")


def installed() -> list[str]:
    """Every folder under modules/ that has a manifest; one without is only a contract."""
    return _modules_with("module.py")


def faces() -> list[str]:
    """Every folder under modules/ that has a contract, of those too that live elsewhere."""
    return _modules_with("contract.py")


def face(name: str) -> type:
    """The port in the contract of *name*: by its name, the module's in capitals."""
    contract = import_module(f"martech.modules.{name}.contract")
    port: type = getattr(contract, camel(name))
    return port


def camel(name: str) -> str:
    """``price_changed`` as a class is called: ``PriceChanged``. So a module's port is called, and
    what is made for it in documents."""
    return "".join(word.capitalize() for word in name.split("_"))


def _modules_with(file: str) -> list[str]:
    folder = files("martech.modules")
    return sorted(f.name for f in folder.iterdir() if f.joinpath(file).is_file())


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


@contextmanager
def alone(folders: Iterable[Path]) -> Iterator[None]:
    """Hold *folders* for this process while the block runs; one that was killed holds nothing.
    Raises `ValueError` in a sentence when another process holds one."""
    with ExitStack() as stack:
        for folder in sorted({folder.resolve() for folder in folders}):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                held = stack.enter_context((folder / LOCK).open("a"))
            except OSError:
                continue  # nobody can use it, and whoever opens a database in it says why
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ValueError(
                    f"Another `martech serve` has the databases in {folder}. Stop it. (Who is to "
                    "serve beside it needs a folder of its own: MARTECH_DATABASE_URL=sqlite:///…)"
                ) from None
        yield
