"""Where in the properties of an event a value stands: ``revenue``, ``products.category``."""

from msgspec import Struct

from martech.kernel.errors import Invalid

NAMES = 6
LENGTH = 500


class Path(Struct, frozen=True):
    """What stands before the last name may be a list; then each of its elements is a line, and
    *leaf* is looked up in every line. Otherwise it is the one line itself."""

    names: tuple[str, ...]

    @property
    def text(self) -> str:
        return ".".join(self.names)

    @property
    def lines(self) -> str:
        """Where the lines stand, as a JSON pointer (RFC 6901); empty for the event itself."""
        return _pointer(self.names[:-1])

    @property
    def leaf(self) -> str:
        """Where in a line the value stands, as a JSON pointer."""
        return _pointer(self.names[-1:])


def path(text: str, field: str) -> Path:
    """Read *text*; raise `Invalid` for the query parameter *field*."""
    names = tuple(text.split("."))
    if not all(names) or len(names) > NAMES or len(text) > LENGTH:
        raise Invalid(
            f"A property is up to {NAMES} names with dots between, {LENGTH} characters at most, "
            "such as products.category.",
            field=field,
        )
    return Path(names)


def _pointer(names: tuple[str, ...]) -> str:
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
