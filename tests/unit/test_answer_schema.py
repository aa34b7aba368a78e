"""The schema sent with a model call stays within what providers enforce."""

import datetime as dt
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AnyUrl, BaseModel, Field

from agentroute.adapters.models.answer_schema import response_format


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    title: str = "a field may be called like a keyword"


class Dog(BaseModel):
    kind: Literal["dog"]
    default: int = 3


class Everything(BaseModel):
    """A bit of everything."""

    score: int = Field(ge=0, le=5, description="higher is better")
    note: str | None = None
    colour: Colour = Field(description="a reference with a neighbour", default=Colour.RED)
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]
    at: dt.datetime
    price: Decimal
    link: AnyUrl
    code: Annotated[str, Field(min_length=2, max_length=9, pattern="^[a-z]+$")]


class Tree(BaseModel):
    children: list["Tree"] = []


class FreeKeys(BaseModel):
    found: dict[str, int]


class Anything(BaseModel):
    value: Any


class Pair(BaseModel):
    pair: tuple[int, str]


class Untyped(BaseModel):
    parts: list  # pyright: ignore[reportMissingTypeArgument]


class Nothing(BaseModel):
    pass


ALLOWED = {
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "format", "items", "maximum",
    "minimum", "properties", "required", "type",
}  # fmt: skip


def schemas(node: Any) -> list[dict[str, Any]]:
    """Every schema within a schema."""
    inner = [*node.get("properties", {}).values(), *node.get("$defs", {}).values(), *node.get("anyOf", [])]
    inner += [node["items"]] if "items" in node else []
    return [node, *(each for part in inner for each in schemas(part))]


def schema_of(model: type[BaseModel]) -> tuple[bool, dict[str, Any]]:
    sent = response_format(model)
    assert sent["type"] == "json_schema"
    return sent["json_schema"]["strict"], sent["json_schema"]["schema"]


@pytest.mark.parametrize("model", [Everything, Tree, Nothing])
def test_a_closed_model_is_sent_strictly(model: type[BaseModel]) -> None:
    strict, schema = schema_of(model)
    assert strict
    assert schema["type"] == "object"
    for each in schemas(schema):
        assert each.keys() <= ALLOWED
        assert "$ref" not in each or len(each) == 1
        if each.get("type") == "object":
            assert each["additionalProperties"] is False
            assert each["required"] == list(each["properties"])


def test_what_a_keyword_would_hide_is_kept() -> None:
    _, schema = schema_of(Everything)
    assert list(schema["properties"]) == ["score", "note", "colour", "pets", "at", "price", "link", "code"]
    assert schema["properties"]["score"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 5,
        "description": "higher is better",
    }
    assert set(schema["$defs"]["Cat"]["properties"]) == {"kind", "title"}
    assert set(schema["$defs"]["Dog"]["properties"]) == {"kind", "default"}
    assert schema["properties"]["at"]["format"] == "date-time"
    assert "format" not in schema["properties"]["link"]


@pytest.mark.parametrize("model", [FreeKeys, Anything, Pair, Untyped])
def test_an_open_model_is_sent_all_the_same_but_not_strictly(model: type[BaseModel]) -> None:
    strict, schema = schema_of(model)
    assert not strict
    assert list(schema["properties"]) == list(model.model_fields)


def test_the_name_is_one_that_providers_take() -> None:
    class Box(BaseModel):
        size: int

    Box.__name__ = "Box[int] " * 20
    name = response_format(Box)["json_schema"]["name"]
    assert name.startswith("Box_int_")
    assert len(name) <= 64
