"""Settings come from the environment, are read once, and are refused in a sentence."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from martech.kernel.auth.keys import public_key

S = TypeVar("S")

LEVELS = ("debug", "info", "warning", "error")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - recognised, not listened to
DATABASES = ("sqlite", "postgresql")
BROKERS = ("redis", "rediss", "unix", "kafka")
SECRET = 16
"""Characters of the peers' secret, at least."""

STORES = "var/martech"
"""The folder of stores that have no SQLite file to stand beside."""


_SHOWN = re.compile(
    r"(?P<scheme>[^@?#]*?://)?(?:[^@?#]*@)?(?P<place>[^@?#]*)(?:[?#][^@]*)?", re.DOTALL
)


def shown(url: str) -> str:
    """*url* for a person to see: without its user, its password and its options, which may be
    passwords too. Of one in which these cannot be told apart, only its scheme."""
    if found := _SHOWN.fullmatch(url):
        return f"{found['scheme'] or ''}{found['place']}"
    scheme, sign, _ = url.partition("://")
    return f"{scheme}://…" if sign and "@" not in scheme else "…"


class SettingsError(Exception):
    """A setting is wrong; the message names it and says what would be right."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    database_url: str = "sqlite:///var/martech"
    """A folder for SQLite (``sqlite:///var/martech``, one file per module) or a PostgreSQL URL."""

    public_url: str = ""
    """Under which the outside world reaches us, for links in messages; see `public`."""

    of_modules: Mapping[type, object] = {}
    """What modules read from ``MARTECH_<MODULE>_<FIELD>``, by the struct that declares it."""

    database_urls: Mapping[str, str] = {}
    """Modules that live elsewhere: name -> URL (``MARTECH_<MODULE>_DATABASE_URL``)."""

    store_urls: Mapping[str, str] = {}
    """Where stores of modules are, if not in their place: name -> URL
    (``MARTECH_<MODULE>_STORE_URL``)."""

    modules: tuple[str, ...] = ()
    """The modules to host; empty means all that are installed."""

    peers: Mapping[str, str] = {}
    """Modules that are processes of their own: name -> URL of the host that serves it."""

    peer_secret: str = ""
    """Shared by all hosts of one installation; without it nobody is let at ports and outboxes."""

    broker_url: str | None = None
    """Carries outboxes between hosts (``redis://…``, ``kafka://…``); without one, HTTP does."""

    issuer_keys: tuple[str, ...] = ()
    """Public keys (base64url, Ed25519) by which API keys are verified without asking anybody."""

    key_snapshot: Path | None = None
    """A file in which a host keeps what it knows of keys, for a start without their issuer."""

    redis_url: str | None = None
    """Carries commands between processes; without it they travel in this one."""

    host: str = "127.0.0.1"
    port: int = 8000
    log_level: str = "info"
    max_requests: int = 512
    """Requests in progress at once; past it the answer is 503 with Retry-After."""

    drain_seconds: float = 20.0
    """How long a stopping process may finish what it has begun."""

    otlp_endpoint: str | None = None
    """A collector's OTLP/HTTP address (``http://collector:4318``); without one nothing is recorded.
    What else there is to say of the export, OpenTelemetry's own variables say."""

    trace_ratio: float = 0.01
    """The share of traces that are recorded, of those that begin here."""

    failpoints: str = ""
    """Where to fail on purpose, for chaos tests: ``outbox.after_insert=kill@3``."""

    def database_of(self, module: str) -> str:
        return self.database_urls.get(module, self.database_url)

    def store_of(self, module: str, scheme: str) -> str:
        """Beside the module's SQLite file; of a PostgreSQL database in a folder of its name, so
        that no store is ever taken for another's."""
        if module in self.store_urls:
            return self.store_urls[module]
        kind, _, place = self.database_of(module).partition("://")
        if kind == "postgresql":
            place = f"/{STORES}/{urlsplit(f'//{place}').path.strip('/') or 'postgresql'}"
        return f"{scheme}://{place}/{module}.{scheme}"

    @property
    def public(self) -> str:
        """The public URL, without a slash at its end."""
        host = "127.0.0.1" if self.host in EVERYWHERE else self.host
        return self.public_url.rstrip("/") or f"http://{host}:{self.port}"

    def of(self, kind: type[S]) -> S:
        """A module's own settings; its defaults where nothing was set."""
        found = self.of_modules.get(kind)
        return found if isinstance(found, kind) else kind()

    @staticmethod
    def from_env(
        env: Mapping[str, str], modules: Mapping[str, type[msgspec.Struct] | None] | None = None
    ) -> "Settings":
        """Read ``MARTECH_*`` from *env*; raise `SettingsError` on the first that is wrong.

        *modules* are those installed, with the struct of what each reads; without them a
        module's setting is taken for a misspelling, but for its database's.
        """
        return _Reader(env, modules).settings()


class _Reader:
    def __init__(
        self, env: Mapping[str, str], modules: Mapping[str, type[msgspec.Struct] | None] | None
    ) -> None:
        self.modules = modules
        self.env = {k: v.strip() for k, v in env.items() if k.startswith("MARTECH_") and v.strip()}
        self.read: set[str] = set()

    def settings(self) -> Settings:
        default = Settings()
        settings = Settings(
            database_url=self._database("MARTECH_DATABASE_URL", default.database_url),
            database_urls=self._databases(),
            store_urls=self._stores(),
            public_url=self._url("MARTECH_PUBLIC_URL", ("http", "https")) or "",
            of_modules=self._of_modules(),
            modules=self._names("MARTECH_MODULES"),
            peers=self._peers("MARTECH_PEERS"),
            peer_secret=self._text("MARTECH_PEER_SECRET", ""),
            broker_url=self._url("MARTECH_BROKER_URL", BROKERS),
            issuer_keys=self._public_keys("MARTECH_ISSUER_KEYS"),
            key_snapshot=self._path("MARTECH_KEY_SNAPSHOT"),
            redis_url=self._url("MARTECH_REDIS_URL", ("redis", "rediss", "unix")),
            host=self._text("MARTECH_HOST", default.host),
            port=self._whole("MARTECH_PORT", default.port, 0, 65535),
            log_level=self._choice("MARTECH_LOG_LEVEL", default.log_level, LEVELS),
            max_requests=self._whole("MARTECH_MAX_REQUESTS", default.max_requests, 1, 100_000),
            drain_seconds=self._number("MARTECH_DRAIN_SECONDS", default.drain_seconds, 0, 3600),
            otlp_endpoint=self._url("MARTECH_OTLP_ENDPOINT", ("http", "https")),
            trace_ratio=self._number("MARTECH_TRACE_RATIO", default.trace_ratio, 0, 1),
            failpoints=self._text("MARTECH_FAILPOINTS", ""),
        )
        self._check_peers(settings)
        if unknown := sorted(k for k in self.env if k not in self.read and "_TEST_" not in k):
            raise SettingsError(f"{unknown[0]} is not a setting. Check its spelling, or unset it.")
        return settings

    def _text(self, name: str, default: str) -> str:
        self.read.add(name)
        return self.env.get(name, default)

    def _choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self._text(name, default)
        if value not in allowed:
            raise SettingsError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
        return value

    def _number(self, name: str, default: float, low: float, high: float) -> float:
        value = self._text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            raise SettingsError(f"{name} is {value!r}; it must be a number.") from None
        if not low <= number <= high:
            raise SettingsError(f"{name} is {value}; it must lie between {low} and {high}.")
        return number

    def _whole(self, name: str, default: int, low: int, high: int) -> int:
        number = self._number(name, default, low, high)
        if not number.is_integer():
            raise SettingsError(f"{name} is {number}; it must be a whole number.")
        return int(number)

    def _path(self, name: str) -> Path | None:
        value = self._text(name, "")
        if value and not Path(value).absolute().parent.is_dir():
            raise SettingsError(f"{name} is {value!r}, but there is no such folder.")
        return Path(value) if value else None

    def _url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        value = self._text(name, "")
        if value and self._split(name, value).scheme not in schemes:
            begins = " or ".join(f"{scheme}://" for scheme in schemes)
            raise SettingsError(f"{name} is {shown(value)!r}; it must begin with {begins}.")
        return value or None

    def _database(self, name: str, default: str) -> str:
        url = self._text(name, default)
        parts = self._split(name, url)
        if parts.scheme not in DATABASES:
            raise SettingsError(
                f"{name} is {shown(url)!r}; it must be sqlite:///FOLDER or postgresql://HOST/DATABASE."
            )
        if parts.scheme == "sqlite" and (parts.netloc or len(parts.path) < 2):
            raise SettingsError(f"{name} names no folder; write sqlite:///var/martech.")
        if parts.scheme == "sqlite" and Path(parts.path[1:]).is_file():
            raise SettingsError(f"{name} names a file; it must be a folder, one file per module.")
        return url

    def _split(self, name: str, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            _ = parts.port  # only who asks for it is told that it is wrong
        except ValueError:  # it repeats what it cannot read
            raise SettingsError(
                f"{name} is {shown(url)!r}, which is no URL: its host or its port cannot be read. "
                "In a password, write signs as %40."
            ) from None
        return parts

    def _databases(self) -> dict[str, str]:
        return {of: self._database(name, "") for of, name in self._by_module("_DATABASE_URL")}

    def _stores(self) -> dict[str, str]:
        """Host knows which engines there are."""
        return {of: self._text(name, "") for of, name in self._by_module("_STORE_URL")}

    def _by_module(self, end: str) -> list[tuple[str, str]]:
        """The settings ``MARTECH_<MODULE>…end``, each with its module."""
        start = "MARTECH_"
        names = [k for k in self.env if k.endswith(end) and len(k) > len(start) + len(end) - 1]
        found = [(name[len(start) : -len(end)].lower(), name) for name in names]
        for module, name in found:
            if self.modules is not None and module not in self.modules:
                there = ", ".join(sorted(self.modules))
                raise SettingsError(f"{name}: there is no module {module}. There are {there}.")
        return found

    def _of_modules(self) -> dict[type, object]:
        declared = [(name, kind) for name, kind in (self.modules or {}).items() if kind]
        return {kind: self._struct(f"MARTECH_{name.upper()}_", kind) for name, kind in declared}

    def _struct(self, start: str, kind: type[msgspec.Struct]) -> object:
        """A module's settings: its fields by name, from text. Secrets are never repeated."""
        given: dict[str, object] = {}
        for each in msgspec.structs.fields(kind):
            name = start + each.name.upper()
            if text := self._text(name, ""):
                try:
                    given[each.name] = msgspec.convert(text, each.type, strict=False)
                except msgspec.ValidationError as exc:
                    raise SettingsError(f"{name} is wrong: {exc}.") from None
        try:
            return kind(**given)
        except ValueError as exc:
            raise SettingsError(f"A setting {start}… is wrong: {exc}") from None

    def _public_keys(self, name: str) -> tuple[str, ...]:
        texts = self._names(name)
        for text in texts:
            try:
                public_key(text)
            except ValueError as exc:
                raise SettingsError(f"{name} is wrong: {exc}") from None
        return texts

    def _peers(self, name: str) -> dict[str, str]:
        """``personalization=http://10.0.0.7:8000,profiles=https://…``"""
        found: dict[str, str] = {}
        for entry in self._names(name):
            module, _, url = (part.strip() for part in entry.partition("="))
            parts = self._split(name, url)
            if parts.scheme not in ("http", "https") or not parts.hostname or not module:
                raise SettingsError(
                    f"{name}: {shown(entry)!r} must be MODULE=http://HOST:PORT; commas stand "
                    "between."
                )
            if module in found:
                raise SettingsError(f"{name} names {module} twice.")
            found[module] = url.rstrip("/")
        return found

    @staticmethod
    def _check_peers(settings: Settings) -> None:
        for module in settings.peers:
            if module in settings.modules:
                raise SettingsError(
                    f"{module} is in MARTECH_MODULES and in MARTECH_PEERS; it runs here or there."
                )
        if settings.peers and not settings.peer_secret:
            raise SettingsError(
                "MARTECH_PEERS needs MARTECH_PEER_SECRET, the same on every host: "
                "`openssl rand -base64 32` makes one."
            )
        if settings.peer_secret and len(settings.peer_secret) < SECRET:
            raise SettingsError(f"MARTECH_PEER_SECRET is shorter than {SECRET} characters.")
        if any(not "!" <= sign <= "~" for sign in settings.peer_secret):
            raise SettingsError(
                "MARTECH_PEER_SECRET travels in a header: letters, digits and signs, no spaces."
            )

    def _names(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self._text(name, "").split(",") if part.strip())
