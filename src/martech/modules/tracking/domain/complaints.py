"""The decoder's complaints in the sender's words."""

import re

import msgspec

from martech.modules.tracking.domain.free import Refused

_COMPLAINT = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>[^`]*)`)?", re.DOTALL)
_WORDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a fraction",
    "int": "a whole number",
    "object": "an object",
    "str": "text",
}


def refused(error: msgspec.ValidationError) -> Refused:
    """``Expected `str`, got `int` - at `$.name``` becomes "name must be text, …"."""
    match = _COMPLAINT.fullmatch(str(error))
    what, path = (match["what"], match["path"]) if match else (str(error), None)
    field = (path or "").lstrip(".") or None
    kinds = re.findall(r"`([^`]*)`", what)
    if what.startswith("Expected") and len(kinds) == 2:
        wanted = " or ".join(_WORDS.get(kind, kind) for kind in kinds[0].split(" | "))
        given = _WORDS.get(kinds[1], kinds[1])
        return Refused(f"{field or 'This'} must be {wanted}; {given} was sent.", field)
    if what.startswith("Object missing") and kinds:
        return Refused(f"{kinds[0]} is missing.", kinds[0])
    return Refused(f"{what}.", field)
