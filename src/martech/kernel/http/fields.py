"""The decoder's complaints, in the caller's words: which field, what is wrong, what to send."""

import re
from typing import Final

from martech.kernel.errors import Invalid
from martech.kernel.http.choices import choice

_COMPLAINT = re.compile(
    r"^(?P<what>.*?)(?: - at (?P<key>`key` in )?`(?P<path>\$[^`]*)`)?$", re.DOTALL
)
_NAMED = re.compile(r"^Object (?P<verb>missing required|contains unknown) field `(?P<name>[^`]*)`")
_TYPED = re.compile(r"^Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`$")
_BOUNDED = re.compile(r"^Expected `(?P<wanted>[^`]+)` (?P<bound>.+)$", re.DOTALL)
_LENGTH = re.compile(r"^of length (?P<sign>>=|<=) (?P<number>\d+)$")
_CHOSEN = re.compile(r"^Invalid (?:enum )?value (?P<given>.*)$", re.DOTALL)

_WORDS: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
    "array": "an array",
    "uuid": "a UUID",
    "datetime": "a time",
    "bytes": "base64",
}

_EXAMPLES: Final = {
    "uuid": "01939f2e-5c3a-7b41-8f6d-2a9c4e7b1d05",
    "datetime": "2026-11-21T08:00:00Z",
}
_FORMS: Final = {
    "Invalid UUID": f"a UUID, such as {_EXAMPLES['uuid']}",
    "Invalid RFC3339 encoded datetime": f"a time with offset, such as {_EXAMPLES['datetime']}",
    "Expected `datetime` with a timezone component": (
        f"a time with offset, such as {_EXAMPLES['datetime']}"
    ),
    "Invalid RFC3339 encoded date": "a date, such as 2026-11-21",
    "Invalid RFC3339 encoded time": "a time of day, such as 08:00:00",
    "Invalid ISO8601 duration": "an ISO 8601 duration, such as P7D or PT36H",
    "Invalid base64 encoded string": "base64, such as aGVsbG8=",
    "Invalid decimal string": "a decimal number, such as 12.50",
    "Integer value out of range": "a smaller number; this one is out of range",
    "Number out of range": "a smaller number; this one is out of range",
}
"""What a value must be that has the right type and the wrong form."""

_COUNTED: Final = {
    "str": ("character", "characters"),
    "bytes": ("byte", "bytes"),
    "array": ("entry", "entries"),
    "object": ("member", "members"),
}

SHOWN = 60
"""Characters of what was sent that are sent back."""


def refused_field(complaint: str, inside: str = "", shape: object = None) -> Invalid:
    """The `Invalid` for what msgspec says, for example ``Expected `str`, got `int` - at `$.name```.

    *inside* is prefixed to the path, for a part of a body that was decoded on its own. *shape* is
    the type that was asked for; it knows what may be chosen.
    """
    match = _COMPLAINT.match(complaint)
    what = match["what"] if match else complaint
    place = (match["path"] or "$" if match else "$")[1:]
    path = ".".join(filter(None, (inside, place.lstrip("."))))
    if named := _NAMED.match(what):
        path = ".".join(filter(None, (path, named["name"])))
        if named["verb"] == "missing required":
            return Invalid(f"{path} is missing. It is required: send it.", field=path)
        return Invalid(f"{path} is not a field here. Leave it out, or mend its name.", field=path)
    whose = path or "The body"
    if match and match["key"]:
        whose = f"A name in {whose}"
    if chosen := _CHOSEN.match(what):
        known = choice(shape, place, of_key=bool(match and match["key"]))
        return Invalid(f"{whose} {_chosen(chosen['given'], known)}", field=path or None)
    return Invalid(f"{whose} {_wrong(what)}", field=path or None)


def _wrong(what: str) -> str:
    if form := _FORMS.get(what):
        return f"must be {form}."
    if typed := _TYPED.match(what):
        wanted, given = typed["wanted"], typed["given"]
        examples = [_EXAMPLES[kind] for kind in wanted.split(" | ") if kind in _EXAMPLES]
        cure = f" Send one such as {examples[0]}." if examples else ""
        return f"must be {_words(wanted)}, and {_words(given)} was sent.{cure}"
    if bounded := _BOUNDED.match(what):
        return f"must be {_words(bounded['wanted'])} {_bound(bounded['wanted'], bounded['bound'])}."
    return f"is not valid: {what[:1].lower()}{what[1:SHOWN]}."


def _words(kinds: str) -> str:
    """``str | null`` is "a string or null"."""
    return " or ".join(_WORDS.get(kind, kind) for kind in kinds.split(" | "))


def _bound(kind: str, bound: str) -> str:
    """``of length >= 1`` is "of at least 1 character"."""
    length = _LENGTH.match(bound)
    if length is None or kind not in _COUNTED:
        return bound
    limit, number = "at least" if length["sign"] == ">=" else "at most", int(length["number"])
    return f"of {limit} {number:,} {_COUNTED[kind][number != 1]}"


def _chosen(given: str, known: list[str]) -> str:
    said = given if len(given) <= SHOWN else f"{given[:SHOWN]}…"
    if not known:
        return f"cannot be {said}. /docs lists what it may be."
    return f"must be one of: {', '.join(known)}. {said} was sent."
