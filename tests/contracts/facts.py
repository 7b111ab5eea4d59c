"""Which change of a JSON Schema a reader survives, by the judgement of another registry.

The facts, not the words, of what Confluent's Schema Registry holds its JSON Schema comparison to
(diff-schema-examples.json: SINGLE, and diff-combined-schema-examples.json: COMBINED; a row's
number is its place there): whether it calls the step from the first schema to the second
compatible for a reader of the second. Names and values are ours; COMBINED leaves out the object
with one field in which all of its schemas stand.
"""

from typing import Any

Table = list[tuple[bool, Any, Any]]

WORDS = {"more": "additionalProperties", "others": "additionalItems", "no": "not", "id": "$id"}


def schema(**words: Any) -> dict[str, Any]:
    said = {WORDS.get(word, word): value for word, value in words.items()}
    if "ref" in said:
        said["$ref"] = f"#/definitions/{said.pop('ref')}"
    if "patterns" in said:
        said["patternProperties"] = said.pop("patterns")
    if "must" in said:
        said["required"] = said.pop("must").split()
    return said


def fields(**words: Any) -> dict[str, Any]:
    """An object's fields; what is no schema's word is a field."""
    of_object = {"more", "must", "patterns", "dependencies", "minProperties", "maxProperties"}
    properties = {word: value for word, value in words.items() if word not in of_object}
    return schema(properties=properties, **{w: words[w] for w in of_object & words.keys()})


def struct(**words: Any) -> dict[str, Any]:
    return {"type": "object", **(fields(**words) if words else {})}


def array(**words: Any) -> dict[str, Any]:
    return schema(type="array", **words)


def text(**words: Any) -> dict[str, Any]:
    return schema(type="string", **words)


def number(**words: Any) -> dict[str, Any]:
    return schema(type="number", **words)


def whole(**words: Any) -> dict[str, Any]:
    return schema(type="integer", **words)


def flag() -> dict[str, Any]:
    return schema(type="boolean")


def nothing() -> dict[str, Any]:
    return schema(type="null")


def one_of(*schemas: Any) -> dict[str, Any]:
    return schema(oneOf=list(schemas))


def any_of(*schemas: Any) -> dict[str, Any]:
    return schema(anyOf=list(schemas))


def all_of(*schemas: Any) -> dict[str, Any]:
    return schema(allOf=list(schemas))


SINGLE: Table = [
    (True, fields(), schema()),
    (True, schema(id="x"), schema(id="y")),
    (True, schema(title="x"), schema(title="y")),
    (True, schema(description="x"), schema(description="y")),
    (False, struct(), array()),
    (False, text(minLength=10), text(minLength=11)),
    (True, text(minLength=11), text(minLength=10)),
    (True, text(maxLength=10), text(maxLength=12)),
    (False, text(maxLength=12), text(maxLength=10)),
    (True, text(pattern="[0-9a-f]+"), text()),
    (False, text(pattern="[0-9]+"), text(pattern="[0-9a-f]+")),
    (True, text(pattern="[0-9]+"), text(pattern="[0-9]+")),
    (True, number(maximum=10), number()),
    (True, number(maximum=10), number(maximum=11)),
    (False, number(maximum=11), number(maximum=10)),
    (True, number(minimum=10), number()),
    (False, number(minimum=10), number(minimum=11)),
    (True, number(minimum=11), number(minimum=10)),
    (True, number(multipleOf=10), number()),
    (True, number(multipleOf=10), number(multipleOf=2)),
    (False, number(multipleOf=10), number(multipleOf=11)),
    (False, number(), whole()),
    (True, whole(), number()),
    (True, schema(no=number()), schema(no=whole())),
    (False, schema(no=whole()), schema(no=number())),
    (True, text(enum=["x"]), text()),
    (False, fields(a=schema(const="x")), fields(a=schema(const="y"))),
    (False, all_of(text(), schema(enum=["x"])), all_of(text(), schema(enum=["y"]))),
    (True, all_of(text(), schema(enum=["x"])), all_of(schema(enum=["x", "y"]), text())),
    (True, schema(type=["object"]), schema(type=["object", "array"])),
    (False, one_of(text()), one_of(number())),
    (True, one_of(text()), one_of(number(), text())),
    (False, fields(a=text()), fields(b=text())),
    (False, fields(a=text()), fields(a=number())),
    (True, fields(a=text(), more=False), fields(a=text(), b=number(), more=False)),
    (
        True,
        fields(a=text(), more=False, patterns={"^t_": text(), "^n_": whole()}),
        fields(a=text(), n_1=number(), more=False, patterns={"^t_": text(), "^n_": whole()}),
    ),
    (True, fields(a=text(), more=text()), fields(a=text(), b=text(), more=text())),
    (False, fields(a=text(), more=text()), fields(a=text(), b=number(), more=text())),
    (False, fields(a=text(), more=text()), fields(a=text(), b=text(), must="b", more=text())),
    (
        True,
        fields(a=text(), n_1=whole(), more=False),
        fields(a=text(), more=False, patterns={"^t_": text(), "^n_": number()}),
    ),
    (True, fields(a=text(), b=text(), more=False), fields(a=text(), more=text())),
    (False, fields(a=text(), b=number(), more=False), fields(a=text(), more=text())),
    (
        True,
        fields(a=text(), b=one_of(nothing(), text()), more=False),
        fields(a=text(), more=one_of(nothing(), text())),
    ),
    (
        True,
        fields(a=text(), b=text(), more=False),
        fields(a=text(), more=one_of(nothing(), text())),
    ),
    (False, fields(a=text()), fields(a=text(), b=number())),
    (False, one_of(fields(a=text())), one_of(fields(a=number()))),
    (True, one_of(text()), all_of(text())),
    (False, one_of(text(), whole()), all_of(text())),
    (
        False,
        fields(a=number(), b=text(), dependencies={"a": ["b"]}),
        fields(a=number(), b=text(), dependencies={"b": ["a"]}),
    ),
    (True, schema(dependencies={"a": text(), "b": text()}), schema(dependencies={"a": text()})),
    (True, schema(dependencies={"a": text()}), schema(dependencies={})),
    (False, schema(dependencies={"a": text()}), schema(dependencies={"a": number()})),
    (False, schema(dependencies={"a": text()}), schema(dependencies={"b": text()})),
    (True, fields(a=text(), must="a"), fields(a=text())),
    (False, fields(a=text()), fields(a=text(), must="a")),
    (True, fields(a=text(), must="a"), fields(a=text(), must="b")),
    (True, fields(maxProperties=1), fields()),
    (True, schema(maxProperties=1), schema(maxProperties=2)),
    (False, schema(maxProperties=2), schema(maxProperties=1)),
    (True, fields(minProperties=2), fields()),
    (False, schema(minProperties=1), schema(minProperties=2)),
    (True, schema(minProperties=2), schema(minProperties=1)),
    (False, array(), array(items=text())),
    (True, array(items=text()), array()),
    (True, array(items=[text(), number()]), array()),
    (
        True,
        array(items=[text(), number()], others=text()),
        array(items=[text(), number(), text()], others=text()),
    ),
    (
        False,
        array(items=[text(), number()], others=text()),
        array(items=[text(), number(), number()], others=text()),
    ),
    (
        True,
        array(items=[text(), number(), text()], others=text()),
        array(items=[text(), number()], others=text()),
    ),
    (
        True,
        array(
            items=[text(), number(), one_of(nothing(), text())], others=one_of(nothing(), text())
        ),
        array(items=[text(), number()], others=one_of(nothing(), text())),
    ),
    (
        False,
        array(items=[text(), number(), number()], others=text()),
        array(items=[text(), number()], others=text()),
    ),
    (False, array(items=[text()]), array(items=[number()])),
    (False, array(maxItems=2), array(maxItems=1)),
    (True, array(minItems=1), array()),
    (False, array(minItems=1), array(minItems=2)),
    (True, array(minItems=2), array(minItems=1)),
    (True, array(uniqueItems=True), array()),
    (
        False,
        array(items=schema(ref="part"), definitions={"part": text()}),
        array(items=schema(ref="part"), definitions={"part": number()}),
    ),
    (True, text(), schema(ref="part", definitions={"part": text()})),
    (True, schema(ref="part", definitions={"part": text()}), text()),
    (True, fields(more=False), fields()),
    (False, schema(more=True), schema(more=False)),
    (False, schema(more=True), schema(more=number())),
    (True, schema(more=True), fields(a=True, more=True)),
    (True, fields(a=True, more=True), schema(more=True)),
    (True, schema(more=False), fields(a=False, more=False)),
    (True, fields(a=False, more=False), schema(more=False)),
    (False, schema(more=text()), schema(more=number())),
    (False, schema(others=True), schema(others=False)),
    (False, schema(others=text()), schema(others=number())),
    (True, array(others=True, items=[number()]), array(others=True, items=[number(), True])),
    (True, array(others=True, items=[number(), True]), array(others=True, items=[number()])),
    (True, array(others=False, items=[number()]), array(others=False, items=[number(), False])),
    (True, array(others=False, items=[number(), False]), array(others=False, items=[number()])),
    (
        True,
        array(items=[text(), number()], others=False),
        array(items=[text(), number(), flag()], others=True),
    ),
    (
        True,
        array(items=[text(), number(), flag()], others=False),
        array(items=[text(), number()], others=True),
    ),
    (True, array(items=[text(), number()], others=True), array(items=[text()], others=True)),
    (True, array(items=[text()], others=False), array(items=[text(), number()], others=False)),
    (True, array(items=[text(), number()], others=False), array(items=[text()], others=number())),
    (True, array(items=[text()], others=number()), array(items=[text(), number()], others=True)),
    (True, text(), one_of(number(), text())),
    (True, nothing(), one_of(number(), nothing())),
    (True, one_of(number()), one_of(text(), number())),
    (True, text(maxLength=3), one_of(number(), text())),
    (True, fields(a=text(), more=False), fields(a=text(), b=text(), more=False)),
]

COMBINED: Table = [
    (
        True,
        all_of(schema(enum=["x", "xy", "xyz12"]), text(), schema(maxLength=5)),
        all_of(schema(maxLength=5), schema(enum=["x", "xy", "xyz12"]), text()),
    ),
    (
        False,
        all_of(schema(enum=["x", "xy", "xyz12"]), text(), schema(maxLength=5)),
        all_of(schema(maxLength=5), schema(enum=["x", "xy", "xyz12"]), number()),
    ),
    (True, all_of(text(), text()), all_of(text())),
    (True, all_of(text()), all_of(text(), text())),
    (True, one_of(text()), one_of(number(), text())),
    (True, one_of(text()), one_of(flag(), number(), text())),
    (True, one_of(text(maxLength=5)), one_of(flag(), number(), text(title="x", maxLength=8))),
    (False, one_of(number(), text()), one_of(text())),
    (True, all_of(schema(enum=["x", "xy", "xyz12"]), text()), all_of(text())),
    (False, all_of(text()), all_of(schema(enum=["x", "xy", "xyz12"]), text())),
    (True, one_of(text()), any_of(text())),
    (True, one_of(text()), any_of(number(), text())),
    (True, all_of(text()), any_of(text())),
    (False, one_of(number(), text()), any_of(text())),
    (True, all_of(text()), any_of(number(), text())),
    (True, all_of(number(), text()), any_of(text())),
    (True, any_of(text()), one_of(number(), text())),
    (False, any_of(number(), text()), one_of(text())),
    (True, all_of(number()), one_of(number(), text())),
    (True, all_of(number(), text()), one_of(text())),
    (True, any_of(text()), all_of(text())),
    (True, one_of(text()), all_of(text())),
    (False, any_of(text()), all_of(number(), text())),
    (False, one_of(text()), all_of(number(), text())),
    (True, text(), any_of(number(), text())),
    (True, text(), one_of(number(), text())),
    (True, text(), all_of(text())),
    (False, text(), all_of(number(), text())),
]
