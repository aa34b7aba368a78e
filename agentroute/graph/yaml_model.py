"""Files as pydantic models: what does not fit is told in words, at its line and column."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from agentroute.errors import DocumentError
from agentroute.graph.yaml_positions import ENOUGH, LIMITS, Flaw, Limits, Loc, Positions, brief
from agentroute.graph.yaml_source import load_yaml

ModelT = TypeVar("ModelT", bound=BaseModel)

_MISTAKE = "mistake"

_SEARCH = 300_000
"""How much is compared for one suggestion: some 30 ms, as what is close is found by comparing letters."""


@dataclass(frozen=True, slots=True)
class _Mistake:
    """What `mistake` was told; words for it are sought only if it is among those that are told."""

    why: str
    at: Loc
    other: Loc | None
    near: tuple[str, Sequence[str]] | None

    def __str__(self) -> str:
        return self.why

    def sentence(self, positions: Positions, loc: Loc) -> str:
        """All of it, for a mistake that was found at `loc` of the file."""
        root = loc[: len(loc) - len(self.at)]
        where = f"; the other is on line {positions.value((*root, *self.other))[0]}" if self.other else ""
        return self.why + where + (suggestion(*self.near) if self.near else "")


def parse_model(model: type[ModelT], text: str, *, file: str, limits: Limits = LIMITS) -> ModelT:
    """Read YAML or JSON text as a `model`.

    Raises:
        DocumentError: It is not readable, or does not fit; all problems found are told.
    """
    data, positions = load_yaml(text, file=file, limits=limits)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise to_document_error(error, positions, model) from None


def to_document_error(error: ValidationError, positions: Positions, model: type[BaseModel]) -> DocumentError:
    """Put what pydantic found into words, each at its line and column.

    Args:
        error: Raised by validating ``positions.data`` as a `model`.
        positions: Where its parts stand, from `load_yaml`.
        model: Knows which keys would have been right.
    """
    known: list[Mapping[str, Any]] = []

    def keys_at(loc: Loc) -> Sequence[str]:
        if not known:
            known.append(model.model_json_schema())
        return _keys_at(known[0], loc)

    told = [detail for detail in error.errors(include_url=False) if not _follows_from_others(detail)]
    return positions.refuse([_flaw(detail, positions, keys_at) for detail in told[:ENOUGH]])


def model_schema(model: type[BaseModel], *, schema_id: str, title: str, example: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the files that `parse_model` reads, as editors like it."""
    schema = model.model_json_schema()
    for node in [schema, *schema.get("$defs", {}).values()]:
        for field in (node, *node.get("properties", {}).values()):
            field.pop("title", None)
            if "description" in field:
                field["description"] = " ".join(field["description"].split())
            if field.get("default", ...) is None or isinstance(field.get("default"), dict):
                del field["default"]  # None stands for a key that is left out, and cannot be written
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schema_id, "title": title}
    return {**head, **schema, "examples": [example]}


def mistake(
    loc: Loc, why: str, *, other: Loc | None = None, near: tuple[str, Sequence[str]] | None = None
) -> InitErrorDetails:
    """One flaw that a model's own validator found; see `refuse`.

    Args:
        loc: Where, seen from the model.
        why: One sentence.
        other: A second place that belongs to it, seen from the model too.
        near: A wrong word and the right ones; the closest is suggested.
    """
    told = _Mistake(why, loc, other, near)
    return InitErrorDetails(type=PydanticCustomError(_MISTAKE, "{told}", {"told": told}), loc=loc, input=None)


def refuse(mistakes: Iterable[InitErrorDetails]) -> None:
    """Raise `mistakes` from a validator, if there are any; pydantic adds them to what it found itself."""
    if first := list(islice(mistakes, 100)):
        raise ValidationError.from_exception_data("file", first)


def suggestion(wrong: str, known: Sequence[str]) -> str:
    """``; did you mean ...?``, if something in `known` is close."""
    if len(known) * len(wrong) ** 2 > _SEARCH:
        return ""
    near = get_close_matches(wrong, known, n=1)
    return f"; did you mean {brief(near[0])}?" if near else ""


def _flaw(detail: ErrorDetails, positions: Positions, keys_at: Callable[[Loc], Sequence[str]]) -> Flaw:
    loc, kind = detail["loc"], detail["type"]
    if kind == "extra_forbidden":
        return Flaw(positions.key(loc), loc[:-1], lambda: _unknown_key(str(loc[-1]), keys_at(loc[:-1])))
    if kind == "missing":
        return Flaw(positions.value(loc[:-1]), loc[:-1], f"key {brief(loc[-1])} is missing")
    if loc[-1:] == ("[key]",):
        return Flaw(positions.key(loc[:-1]), loc[:-2], lambda: _why(detail, positions))
    context = detail.get("ctx", {})
    if kind == "too_long":
        beyond = (*loc, context["max_length"])
        return Flaw(positions.value(beyond), loc, f"more than {context['max_length']:,} items")
    if kind == "union_tag_invalid":
        loc = (*loc, context["discriminator"].strip("'"))
    return Flaw(positions.value(loc), loc, lambda: _why(detail, positions))


def _follows_from_others(detail: ErrorDetails) -> bool:
    """Items that are refused do not count for pydantic, so a list of them is "too short" besides."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail.get("ctx", {})["min_length"]


def _unknown_key(wrong: str, known: Sequence[str]) -> str:
    near = suggestion(wrong, known)
    return f"unknown key {brief(wrong)}{near or '; known are ' + ', '.join(known)}"


_WANTED = {
    "string_type": "text",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}

_BOUNDS = {
    "greater_than": ("gt", "must be above {:g}, not {}"),
    "greater_than_equal": ("ge", "must be {:g} or more, not {}"),
    "less_than": ("lt", "must be below {:g}, not {}"),
    "less_than_equal": ("le", "must be {:g} or less, not {}"),
}


def _why(detail: ErrorDetails, positions: Positions) -> str:
    """One sentence for one error of pydantic's."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == _MISTAKE:
        return context["told"].sentence(positions, detail["loc"])
    if kind in _WANTED:
        return f"expected {_WANTED[kind]}, not {_described(value)}{_quotes(kind, value)}"
    if kind in _BOUNDS:
        bound, sentence = _BOUNDS[kind]
        return sentence.format(context[bound], brief(value))
    if kind == "too_short":
        return f"needs {context['min_length']} or more of them, not {context['actual_length']}"
    if kind == "literal_error":
        return _choice(value, _options(str(context["expected"])))
    if kind == "union_tag_invalid":
        return _choice(context["tag"], _options(str(context["expected_tags"])))
    if kind == "union_tag_not_found":
        return f"key {context['discriminator']} is missing"
    return detail["msg"][:200]


def _described(value: object) -> str:
    """What stands in the file, without all of it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {brief(value)}"
        case str():
            return f"the text {brief(value)}"
        case list() | tuple():
            return "a list"
        case _:
            return "a mapping"


def _quotes(kind: str, value: object) -> str:
    """What to do about quotes, where they are the flaw."""
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return ": put it in quotes"
    if kind in {"float_type", "int_type"} and isinstance(value, str) and _reads_as_number(value):
        return ": remove the quotes"
    return ""


def _reads_as_number(text: str) -> bool:
    return len(text) <= 40 and text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit()


def _options(quoted: str) -> list[str]:
    """Read pydantic's "'a', 'b' or 'c'" back."""
    return [part.strip().strip("'") for part in quoted.replace(" or ", ", ").split(",")]


def _choice(value: object, options: Sequence[str]) -> str:
    wanted = f"one of {', '.join(options)}" if len(options) > 1 else f'the text "{options[0]}"'
    if isinstance(value, str):
        return f"must be {wanted}, not {brief(value)}{suggestion(value, options)}"
    return f"must be {wanted}, not {_described(value)}{': put it in quotes' if str(value) in options else ''}"


def _keys_at(schema: Mapping[str, Any], loc: Loc) -> Sequence[str]:
    """Keys that a JSON Schema allows at `loc`, all branches of a union together."""
    at = list(_branches(schema, schema))
    for part in loc:
        below = [sub for node in at for sub in _below(node, part)]
        at = [branch for sub in below for branch in _branches(sub, schema)] or _tagged(at, part)
    return sorted({key for node in at for key in node.get("properties", {})})


def _tagged(nodes: list[Mapping[str, Any]], tag: str | int) -> list[Mapping[str, Any]]:
    """The branches of a union that `tag` chooses; all of them, if it is no value of theirs."""
    chosen = [node for node in nodes if any(p.get("const") == tag for p in node.get("properties", {}).values())]
    return chosen or nodes


def _below(node: Mapping[str, Any], part: str | int) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, int):
        found = node.get("items")
    else:
        found = node.get("properties", {}).get(part, node.get("additionalProperties"))
    if isinstance(found, Mapping):
        yield found


def _branches(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The node itself behind its references and unions."""
    if "$ref" in node:
        yield from _branches(schema["$defs"][str(node["$ref"]).rsplit("/", 1)[-1]], schema)
        return
    unions = [*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())]
    for branch in unions:
        yield from _branches(branch, schema)
    if not unions:
        yield node
