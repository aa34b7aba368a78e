"""Efforts through the real litellm: on the wire, in the reservation, and against what litellm itself refuses."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from agentroute import Agent, Budget, Goal, LiteLlm, ModelTier, Price, Prices, RunResult, llm_step
from agentroute.adapters.models.model_step import ModelStep
from agentroute.adapters.models.model_tier import EFFORTS
from agentroute.adapters.models.prices import price_list
from agentroute.errors import DefinitionError
from agentroute.ids import dollars
from agentroute.testing import ModelServer, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

MODEL = "openai/thinks"
PRICE = Price(input_usd_per_million=1.0, output_usd_per_million=100.0)


class Ticket(BaseModel):
    text: str


class Summary(BaseModel):
    text: str


TICKET = Ticket(text="My printer is broken.")
GOOD = Reply({"text": "It broke."}, usage=(300, 20))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
async def litellm() -> Any:
    await LiteLlm().prepare()
    return importlib.import_module("litellm")


def steps(address: str, *tiers: str | ModelTier) -> list[ModelStep]:
    return llm_step(
        "summarise",
        inputs=[Ticket],
        output=Summary,
        prompt="Summarise {Ticket}.",
        models=tiers,
        max_tokens=50,
        max_input_bytes=1_000,
        language_model=LiteLlm(prices=Prices({MODEL: PRICE}), api_base=address, api_key="any"),
    )


async def run(tools: list[ModelStep], **options: Any) -> RunResult:
    agent = Agent(name="desk", tools=tools, goals=[Goal("summary", [Summary])], trace=False, **options)
    return await agent.run(TICKET)


@pytest.mark.parametrize("model", [MODEL, "openai/gpt-5-mini"])
@pytest.mark.parametrize("effort", [None, *EFFORTS])
async def test_the_effort_arrives_on_the_wire(model: str, effort: Any) -> None:
    async with ModelServer(GOOD) as server:
        result = await run(steps(server.base_url, ModelTier(model, effort=effort, max_tokens=60)))
    assert result.outcome == "succeeded"
    [request] = server.requests
    assert request.body.get("reasoning_effort") == effort
    assert (request.body.get("max_tokens") or request.body.get("max_completion_tokens")) == 60


async def test_the_dearer_effort_takes_over_where_the_cheaper_one_fails() -> None:
    def script(request: Any) -> Reply:
        return GOOD if request.body["reasoning_effort"] == "high" else Reply("I would rather not.", usage=(300, 20))

    async with ModelServer(script) as server:
        low, high = ModelTier(MODEL, effort="low"), ModelTier(MODEL, effort="high", max_tokens=500)
        result = await run(steps(server.base_url, low, high), budget=Budget(usd=1))
    assert (result.outcome, result.route) == ("succeeded", [f"summarise@{MODEL}:high"])
    efforts = [request.body["reasoning_effort"] for request in server.requests]
    assert efforts == ["low"] * (len(efforts) - 1) + ["high"]
    assert len(efforts) > 1


async def test_what_is_reserved_is_the_worst_case_of_the_tier_s_own_tokens() -> None:
    """One nano-dollar short of it, the tier is not asked; with just that, and no usage told, all of it is charged."""
    thinking = ModelTier(MODEL, effort="high", max_tokens=2_000)
    async with ModelServer(Reply(GOOD.content, usage=None)) as server:
        [tool] = steps(server.base_url, thinking)
        [plain] = steps(server.base_url, MODEL)
        assert tool.spec.cost.worst - plain.spec.cost.worst == (2_000 - 50) * 100_000
        assert (await run([tool], budget=Budget(usd=dollars(tool.spec.cost.worst) - 1e-9))).outcome == "escalated"
        assert not server.requests
        result = await run([tool], budget=Budget(usd=dollars(tool.spec.cost.worst)))
    assert (result.outcome, result.cost_usd) == ("succeeded", dollars(tool.spec.cost.worst))


def listed(*providers: str) -> Iterator[str]:
    """Chat models with a price, by their full names."""
    for name, entry in price_list().items():
        provider = str(entry.get("litellm_provider"))
        if provider in providers and entry.get("mode") == "chat" and entry.get("output_cost_per_token"):
            yield name if name.startswith(f"{provider}/") else f"{provider}/{name}"


async def test_what_is_refused_at_the_door_litellm_or_its_list_refuses_too(litellm: Any) -> None:
    """Of OpenAI's listed models none is refused that litellm lets through, but old ones tuned by their users."""
    refused = let_through = 0
    for model in listed("openai"):
        for effort in EFFORTS:
            try:
                ModelTier(model, effort=effort).check_listed("step")
                let_through += 1
            except DefinitionError:
                refused += 1
                if "/ft:" in model:
                    continue
                with pytest.raises(litellm.UnsupportedParamsError):
                    litellm.get_optional_params(
                        model=model.removeprefix("openai/"), custom_llm_provider="openai", reasoning_effort=effort
                    )
    assert refused > 50
    assert let_through > 50


@pytest.mark.parametrize("effort", EFFORTS)
async def test_no_effort_makes_litellm_ask_for_more_tokens_than_were_reserved(litellm: Any, effort: str) -> None:
    """Some providers think on a budget of tokens; litellm may choose that, but not raise the limit of the whole."""
    asked = 0
    for model in listed("anthropic", "gemini", "openai", "mistral", "xai", "deepseek"):
        provider, _, name = model.partition("/")
        try:
            sent = litellm.get_optional_params(
                model=name, custom_llm_provider=provider, reasoning_effort=effort, max_tokens=3_000
            )
        except (litellm.UnsupportedParamsError, litellm.BadRequestError):
            continue
        limits = ("max_tokens", "max_completion_tokens", "max_output_tokens")
        assert [sent[limit] for limit in limits if limit in sent] == [3_000], model
        asked += 1
    assert asked > 50
