"""Where something stands in a document: its JSON pointer (RFC 6901), and what is there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    document: Document
    pointer: str
    here: Any
    """`None` where nothing stands: a place that only the other document has."""

    def at(self, *keys: str | int) -> "Place":
        """The place below; nothing stands there when a key is missing on the way."""
        pointer, here = self.pointer, self.here
        for key in keys:
            pointer = f"{pointer}/{escaped(key)}"
            here = _below(here, key)
        return Place(self.document, pointer, here)

    def refers(self) -> bool:
        return isinstance(self.here, Mapping) and "$ref" in self.here

    def followed(self) -> "Place":
        """What stands here, or where its ``$ref`` leads, with what is said beside that. `True`, and
        nothing at all, are a schema without words."""
        place = self
        while place.refers():
            keys = [unescaped(key) for key in place.here["$ref"].removeprefix("#/").split("/")]
            beside = {word: said for word, said in place.here.items() if word != "$ref"}
            target = Place(self.document, "", self.document).at(*keys)
            if target.here is None:
                raise ValueError(f"{place.pointer}/$ref: nothing stands at {place.here['$ref']}")
            place = target.saying({**target.here, **beside} if beside else target.here)
        return place.saying({}) if place.here in (True, None) else place

    def saying(self, here: Any) -> "Place":
        """The same place, read as if *here* stood there."""
        return Place(self.document, self.pointer, here)


def root(document: Document) -> Place:
    return Place(document, "", document)


def escaped(key: str | int) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


def unescaped(key: str) -> str:
    return key.replace("~1", "/").replace("~0", "~")


def _below(here: Any, key: str | int) -> Any:
    if isinstance(here, Mapping):
        return here.get(key)
    if isinstance(here, list) and isinstance(key, int) and key < len(here):
        return here[key]
    return None
