"""Any pydantic model can be read from a file: unions, choices and keys are refused in words and in their place."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from agentroute.errors import DocumentError
from agentroute.graph.yaml_model import mistake, model_schema, parse_model, refuse


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Slow(Strict):
    type: Literal["slow"]
    seconds: Annotated[float, Field(gt=0, lt=10)]


class Down(Strict):
    type: Literal["down"]
    hard: bool = False


class Plan(Strict):
    title: str | None = None
    steps: list[Annotated[Slow | Down, Field(discriminator="type")]] = Field(default_factory=list[Slow | Down])
    weights: dict[Annotated[str, Field(max_length=3)], int] = Field(default_factory=dict[str, int])

    @model_validator(mode="after")
    def _titled(self) -> "Plan":
        if self.title == "bad":
            refuse([mistake(("title",), "is bad", other=("steps",)), mistake((), "is bad as a whole")])
        return self


def problems(text: str) -> list[str]:
    with pytest.raises(DocumentError) as refused:
        parse_model(Plan, text, file="p.yaml")
    return [str(problem).removeprefix("p.yaml:") for problem in refused.value.problems]


def test_what_fits_is_read() -> None:
    plan = parse_model(Plan, "steps: [{type: slow, seconds: 1}, {type: down, hard: true}]\n", file="p.yaml")
    assert plan.steps == [Slow(type="slow", seconds=1.0), Down(type="down", hard=True)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps: [{type: slwo}]", "1:16: steps[0].type: must be one of slow, down, not 'slwo'; did you mean 'slow'?"),
        ("steps: [{hard: true}]", "1:9: steps[0]: key 'type' is missing"),
        ("steps: [{type: 3}]", "1:16: steps[0].type: must be one of slow, down, not '3'"),
        ("steps: [{type: slow, seconds: 0}]", "1:31: steps[0].seconds: must be above 0, not 0"),
        ("steps: [{type: slow, seconds: 10}]", "1:31: steps[0].seconds: must be below 10, not 10"),
        ("steps: [{type: down, seconds: 1}]", "1:22: steps[0]: unknown key 'seconds'; known are hard, type"),
        ("steps: [{type: down, hadr: true}]", "1:22: steps[0]: unknown key 'hadr'; did you mean 'hard'?"),
        ("steps: [{type: down, hard: 1}]", "1:28: steps[0].hard: expected true or false, not the number 1"),
        ("steps: [slow]", "1:9: steps[0]: expected a mapping (key: value), not the text 'slow'"),
        ("steps: {}", "1:8: steps: expected a list, not a mapping"),
        ("weights: []", "1:10: weights: expected a mapping (key: value), not a list"),
        ("weights: {abcd: 1}", "1:11: weights: String should have at most 3 characters"),
        ("weights: {abc: one}", "1:16: weights.abc: expected a whole number, not the text 'one'"),
        ("weights: {abc: '1'}", "1:16: weights.abc: expected a whole number, not the text '1': remove the quotes"),
    ],
)
def test_what_does_not_fit_is_told(text: str, told: str) -> None:
    assert problems(text) == [told]


def test_a_validator_may_tell_several_mistakes_and_of_two_places() -> None:
    assert problems("title: bad\nsteps: []\n") == [
        "1:1: is bad as a whole",
        "1:8: title: is bad; the other is on line 2",
    ]


def test_the_schema_is_tidied_for_editors() -> None:
    schema: dict[str, Any] = model_schema(Plan, schema_id="urn:x", title="plans", example={"title": "x"})
    assert schema["$id"] == "urn:x"
    assert schema["title"] == "plans"
    assert schema["examples"] == [{"title": "x"}]
    assert "default" not in schema["properties"]["title"]
    assert "title" not in schema["properties"]["steps"]
