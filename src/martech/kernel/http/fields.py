"""The decoder's complaints, in the caller's words: which field, what is wrong, what to send."""

import re

from martech.kernel.errors import Invalid

_COMPLAINT = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?(?P<path>\$[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"^Object (?P<verb>missing required|contains unknown) field `(?P<name>[^`]*)`")
_TYPED = re.compile(r"^Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`$")
_BOUNDED = re.compile(r"^Expected `(?P<wanted>[^`]+)` (?P<bound>.+)$")

_WORDS = {
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


def refused_field(complaint: str, inside: str = "") -> Invalid:
    """The `Invalid` for what msgspec says, for example ``Expected `str`, got `int` - at `$.name```.

    *inside* is prefixed to the path, for a part of a body that was decoded on its own.
    """
    match = _COMPLAINT.match(complaint)
    what = match["what"] if match else complaint
    path = (match["path"] or "$" if match else "$")[1:].lstrip(".")
    path = ".".join(filter(None, (inside, path)))
    if named := _NAMED.match(what):
        path = ".".join(filter(None, (path, named["name"])))
        if named["verb"] == "missing required":
            return Invalid(f"{path} is missing. It is required: send it.", field=path)
        return Invalid(f"{path} is not a field here. Leave it out, or mend its name.", field=path)
    return Invalid(f"{path or 'The body'} {_wrong(what)}", field=path or None)


def _wrong(what: str) -> str:
    if typed := _TYPED.match(what):
        return f"must be {_words(typed['wanted'])}, and {_words(typed['given'])} was sent."
    if bounded := _BOUNDED.match(what):
        return f"must be {_words(bounded['wanted'])} {bounded['bound']}."
    return f"is not valid: {what[:1].lower()}{what[1:]}."


def _words(kinds: str) -> str:
    """``str | null`` is "a string or null"."""
    return " or ".join(_WORDS.get(kind, kind) for kind in kinds.split(" | "))
