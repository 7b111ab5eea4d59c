"""A promise that is broken: where, by which rule, and what to do instead."""

from typing import Any

import msgspec


class Broken(msgspec.Struct, frozen=True):
    """One promise of one document that is not kept."""

    rule: str
    pointer: str
    """Into the document as it is now; as it was, where nothing stands there any more."""

    was: Any
    now: Any


class Breach(msgspec.Struct, frozen=True):
    """The same, for who has to do something about it."""

    file: str
    pointer: str
    rule: str
    was: Any
    now: Any = msgspec.field(name="is")
    instead: str


BESIDE = {
    "asyncapi.json": "write V2 beside it, with an upcaster from V1",
    "openapi.json": "write it under /v2/ beside it and deprecate this one, with a sunset",
    "port.json": "add a question beside it and keep this one until nobody asks it",
}
"""The way out that is always open: a new major."""

CURES = {
    "body-lessened": "Go on taking bodies as large as before",
    "body-removed": "Go on taking it, if only to pass over it",
    "bound-changed": "Keep the bounds",
    "command-removed": "Keep the name: rows that are still due are stored under it",
    "content-removed": "Keep the media type",
    "contract-removed": "Bring it back: a module that leaves takes its promises along",
    "default-changed": "Keep the default: who never said otherwise has relied on it",
    "event-removed": "Go on telling it: its listeners would wait for ever, and say nothing",
    "event-renamed": "Keep its name and its address: who hears it asks for it by them",
    "field-added": "Let readers pass over what they do not know first",
    "field-removed": "Keep the field, and go on filling or taking it",
    "folded-changed": "Keep the form on the wire",
    "format-changed": "Keep the format, or add a field beside it with a default",
    "golden-changed": "Put back what was told: nobody can tell it otherwise by now",
    "header-removed": "Go on sending it",
    "newly-inward": "Go on handing it out: outside systems hear it",
    "newly-optional": "Go on writing it always",
    "newly-required": "Make it optional, with a default that the reader fills in",
    "newly-strict": "Go on passing over fields that nobody declared: callers send them",
    "operation-removed": "Bring it back, deprecated, and let it answer until its sunset",
    "operation-renamed": "Keep the operation id: clients are made from it",
    "parameter-removed": "Go on taking it, if only to pass over it",
    "question-removed": "Bring it back: who asks it is deployed on another day",
    "reads-changed": "Keep it a question without effect: who asks it asks again after a failure",
    "scope-changed": "Keep the scope: keys were issued with it",
    "security-changed": "Keep every way in that there was",
    "server-removed": "Go on answering there",
    "source-changed": "Give it a new name: its cursor counts what the old source has told",
    "status-removed": "Go on answering with this status",
    "style-changed": "Keep how it is written on the wire",
    "subject-changed": "Keep the subject: order and erasure go by it",
    "subscription-removed": "Keep the name: the cursor is stored under it",
    "type-changed": "Keep the type, or add a field beside it with a default",
    "unjudged": "Leave it as it is: this word of JSON Schema cannot be compared",
    "upcaster-removed": "Put it back: who listens to the later version hears the past by it",
    "values-added": "Only a list that was open from the start (x-extensible-enum) can grow",
    "values-removed": "Go on reading the values that were written",
}
"""What to do instead, by rule; a new major is added where there is one."""

DATA = {
    "subscription-removed",
    "source-changed",
    "command-removed",
    "contract-removed",
    "golden-changed",
    "operation-renamed",
    "upcaster-removed",
}
"""Names, and what was told, are data: of them there is no second version."""


def breach(file: str, broken: Broken) -> Breach:
    """*broken* of the document *file*, with its cure."""
    cure = CURES[broken.rule]
    if broken.rule not in DATA:
        cure = f"{cure}; or {BESIDE[file.rpartition('/')[2]]}"
    return Breach(file, broken.pointer, broken.rule, broken.was, broken.now, f"{cure}.")
