"""The JSON schema sent with a model call, in the subset that providers enforce while the model writes.

That subset closes every object and requires every property, and it knows few keywords. The others are left
out, not approximated: whoever asked validates the answer anyway.
"""

import re
from typing import Any, cast

from pydantic import BaseModel

KEPT = frozenset({
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "format", "items",
    "properties", "type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minItems", "maxItems", "prefixItems",
})  # fmt: skip
"""Keywords that are passed on."""

FORMATS = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"})
"""Formats of strings that are passed on."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


def response_format(answer: type[BaseModel]) -> dict[str, Any]:
    """Build the ``response_format`` of a chat completion that must answer with `answer` as a JSON object.

    Strict, so that the provider cannot leave the schema, unless a part of the model is open (a mapping
    with free keys, any value at all): that is more than the strict subset can express.
    """
    whole = answer.model_json_schema()
    if "$ref" in whole:  # the model contains itself
        whole = {**whole["$defs"][whole["$ref"].removeprefix("#/$defs/")], "$defs": whole["$defs"]}
    schema = _subset(whole)
    name = _NOT_IN_A_NAME.sub("_", answer.__name__)[:64]
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "strict": not _is_open(schema), "schema": schema},
    }


def _subset(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    node = cast("dict[str, Any]", schema)
    if "$ref" in node:  # may have no neighbours
        return {"$ref": node["$ref"]}
    if "oneOf" in node:
        node = {**node, "anyOf": node["oneOf"]}
    kept = {key: _value(key, value) for key, value in node.items() if key in KEPT}
    if kept.get("format") not in FORMATS:
        kept.pop("format", None)
    if "properties" in kept:
        kept |= {"required": list(kept["properties"]), "additionalProperties": False}
    return kept


def _value(key: str, value: Any) -> Any:
    """The value of a keyword: a schema, a list or a mapping of schemas, or plain data."""
    match key:
        case "properties" | "$defs":
            return {name: _subset(each) for name, each in value.items()}
        case "anyOf" | "prefixItems":
            return [_subset(each) for each in value]
        case "items" | "additionalProperties":
            return _subset(value)
        case _:
            return value


def _is_open(schema: Any) -> bool:
    """Whether a part of the schema says nothing, or something the strict subset has no words for."""
    if not isinstance(schema, dict):
        return False
    node = cast("dict[str, Any]", schema)
    if not node.keys() & {"type", "anyOf", "$ref", "enum", "const"} or "prefixItems" in node:
        return True
    if node.get("type") == "object" and "properties" not in node:
        return True
    named: dict[str, Any] = {**node.get("properties", {}), **node.get("$defs", {})}
    return any(_is_open(each) for each in (*named.values(), *node.get("anyOf", ()), node.get("items")))
