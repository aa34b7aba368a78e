"""Tiers of a model step: a model and how much it may think, each a tool of its own."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from agentroute.adapters.models.language_model import LiteLlm
from agentroute.adapters.models.model_step import ModelStep, llm_step
from agentroute.adapters.models.model_tier import EFFORTS, ModelTier
from agentroute.adapters.models.prices import Price, Prices
from agentroute.attempt import Attempt, serving
from agentroute.errors import DefinitionError
from agentroute.graph.tool import DECLARED_RIGHT
from agentroute.ids import ArtifactId, AttemptId, RunId, ToolId
from tests.scripted_model import ScriptedModel, Summary, Ticket

BYTES = 1_000


def tiers(*models: Any, **options: Any) -> list[ModelStep]:
    given: dict[str, Any] = {
        "inputs": [Ticket],
        "output": Summary,
        "prompt": "Summarise {Ticket}.",
        "max_tokens": 100,
        "max_input_bytes": BYTES,
        "language_model": ScriptedModel(),
    }
    return llm_step("summarise", models=models, **(given | options))


def test_tiers_are_named_by_model_and_effort() -> None:
    steps = tiers(
        "m/small", ModelTier("m/large"), ModelTier("m/large", effort="low"), ModelTier("m/large", effort="high")
    )
    names = ["summarise@m/small", "summarise@m/large", "summarise@m/large:low", "summarise@m/large:high"]
    assert [step.spec.name for step in steps] == names
    assert {step.spec.produces for step in steps} == {("Summary",)}
    assert len({id(step.step) for step in steps}) == 1, "what they have in common, they share"


def test_price_and_worst_case_follow_from_the_tier_s_own_tokens() -> None:
    plain, thinking = tiers("m", ModelTier("m", effort="high", max_tokens=2_000), usual_share=0.5)
    assert (plain.spec.cost.worst, thinking.spec.cost.worst) == (BYTES + 1_000, BYTES + 20_000)
    assert (plain.spec.tokens, thinking.spec.tokens) == (BYTES + 100, BYTES + 2_000)
    assert (plain.spec.cost.expected, thinking.spec.cost.expected) == (125 + 500, 125 + 10_000)


def test_min_tokens_count_for_every_tier_and_need_not_be_given() -> None:
    steps = tiers(ModelTier("m", max_tokens=80), ModelTier("n", max_tokens=2_000), min_tokens=50)
    assert {step.spec.cost.least for step in steps} == {BYTES + 500}
    [alone] = tiers(ModelTier("m", max_tokens=80))
    assert alone.spec.cost.least == alone.spec.cost.worst == BYTES + 800


def test_latency_is_the_step_s_where_the_tier_has_none() -> None:
    steps = tiers(ModelTier("m", latency_s=0.0), ModelTier("n", latency_s=9.0), "o", latency_s=2.0)
    assert [step.spec.cost.latency_s for step in steps] == [0.0, 9.0, 2.0]


def test_energy_is_the_step_s_where_the_tier_has_none() -> None:
    steps = tiers(ModelTier("m", wh=0.0), ModelTier("n", wh=9.0), "o", wh=2.0)
    assert [step.spec.cost.wh for step in steps] == [0.0, 9.0, 2.0]
    assert tiers("m")[0].spec.cost.wh == 0.0


def test_the_declared_chance_is_for_the_step_router_alone() -> None:
    (sure,), (unsure,), (silent,) = (tiers(ModelTier("m", right=right)) for right in (1.0, 0.2, None))
    said = [made.spec.tier.right for made in (sure, unsure, silent) if made.spec.tier is not None]
    assert said == [1.0, 0.2, DECLARED_RIGHT]
    assert replace(sure.spec, tier=None) == replace(unsure.spec, tier=None) == replace(silent.spec, tier=None)


def test_a_tier_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        ModelTier("m").effort = "low"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.anyio
async def test_the_model_is_asked_with_the_tier_s_effort_and_tokens() -> None:
    model = ScriptedModel()
    attempt = Attempt(RunId("r"), ToolId("t"), AttemptId(1), "", deadline=0.0)
    for step in tiers("m", ModelTier("m", effort="minimal", max_tokens=7), language_model=model):
        with serving(attempt):
            await step.call({ArtifactId("Ticket"): Ticket(text="It is broken.")})
    assert [(asked["model"], asked["effort"], asked["max_tokens"]) for asked in model.asked] == [
        ("m", None, 100),
        ("m", "minimal", 7),
    ]
    assert attempt.model == "m"


@pytest.mark.parametrize(
    ("models", "why"),
    [
        ([ModelTier("m"), "m"], "one or more different tiers"),
        (
            [ModelTier("m", effort="low"), ModelTier("m", effort="low", max_tokens=7)],
            "need different efforts: m:low, m:low",
        ),
        ([ModelTier("m", effort="low"), "m:low"], "different"),
        ([ModelTier("")], "names of models"),
        ([3], "names of models"),
        ([ModelTier("m", effort="extreme")], "tier m:extreme: effort must be one of minimal, low, medium, high"),  # pyright: ignore[reportArgumentType]
        ([ModelTier("m", max_tokens=0)], "tier m: max_tokens must be a whole number"),
        ([ModelTier("m", max_tokens=True)], "max_tokens must be a whole number"),
        ([ModelTier("m", max_tokens=1.5)], "max_tokens must be a whole number"),  # pyright: ignore[reportArgumentType]
        ([ModelTier("m", right=1.01)], "tier m: right must be a number from 0 to 1"),
        ([ModelTier("m", right=float("nan"))], "right must be a number"),
        ([ModelTier("m", latency_s=-1.0)], "latency_s must be a number"),
        ([ModelTier("m", wh=float("inf"))], "tier m: wh must be a number"),
    ],
)
def test_what_cannot_work_is_refused_with_the_step_s_name(models: list[Any], why: str) -> None:
    with pytest.raises(DefinitionError, match=why) as caught:
        tiers(*models)
    assert "llm_step 'summarise'" in str(caught.value)


def test_min_tokens_above_a_tier_s_own_limit_are_refused() -> None:
    with pytest.raises(DefinitionError, match=r"min_tokens must be from 1 to max_tokens \(40, of m:low\), not 50"):
        tiers(ModelTier("m", effort="low", max_tokens=40), min_tokens=50)


class TestWhatLitellmKnows:
    @pytest.mark.parametrize(
        ("model", "effort", "why"),
        [
            ("openai/gpt-4o", "low", "takes no reasoning effort"),
            ("openai/gpt-5.6", "minimal", "does not take the reasoning effort 'minimal'"),
        ],
    )
    def test_an_effort_that_it_refuses_is_refused_at_the_door(self, model: str, effort: Any, why: str) -> None:
        with pytest.raises(DefinitionError, match=why):
            tiers(ModelTier(model, effort=effort), language_model=None)
        [own] = tiers(ModelTier(model, effort=effort))
        assert own.tier.effort == effort, "a language model of one's own may know better"

    @pytest.mark.parametrize("effort", EFFORTS)
    def test_what_it_takes_or_does_not_know_is_let_through(self, effort: Any) -> None:
        unknown = LiteLlm(prices=Prices({"openai/our-own": Price(1, 1)}))
        assert tiers(ModelTier("openai/our-own", effort=effort), language_model=unknown)
        assert tiers(ModelTier("openai/gpt-5-mini", effort=effort), language_model=None)
        assert tiers("openai/gpt-4o", language_model=None)
