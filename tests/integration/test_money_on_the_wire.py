"""Money over real HTTP: what providers are really asked for, what they claim, and who spends more than was allowed.

The contrast is litellm's own budgets, in the same test, against the same server, with the same calls.
"""

import importlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from agentroute import Agent, Budget, Goal, Quota, RunResult
from agentroute.adapters.models.language_model import LiteLlm
from agentroute.adapters.models.model_step import ModelStep, llm_step
from agentroute.adapters.models.prices import Price, Prices
from agentroute.ids import dollars
from agentroute.testing import ModelServer, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

MODEL = "openai/priced"
PRICE = Price(input_usd_per_million=1.0, output_usd_per_million=100.0)
READ, WRITTEN, MOST_WRITTEN = 100, 100, 200
COST = (READ * 1.0 + WRITTEN * 100.0) / 1e6


class Ticket(BaseModel):
    text: str


class Summary(BaseModel):
    text: str


GOOD = Reply({"text": "It broke."}, usage=(READ, WRITTEN))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
async def litellm_loaded() -> None:
    await LiteLlm().prepare()


def step(address: str, *, min_tokens: int | None = None, timeout_s: float = 20.0) -> ModelStep:
    """A step whose worst case is some two usual calls."""
    [only] = llm_step(
        "summarise",
        inputs=[Ticket],
        output=Summary,
        prompt="Summarise {Ticket}.",
        models=[MODEL],
        max_tokens=MOST_WRITTEN,
        min_tokens=min_tokens,
        max_input_bytes=1_000,
        timeout_s=timeout_s,
        language_model=LiteLlm(prices=Prices({MODEL: PRICE}), api_base=address, api_key="any"),
    )
    return only


def desk(tool: ModelStep, **options: Any) -> Agent:
    return Agent(name="desk", tools=[tool], goals=[Goal("summary", [Summary])], trace=False, **options)


async def once(tool: ModelStep, **options: Any) -> tuple[RunResult, Agent]:
    agent = desk(tool, **options)
    return await agent.run(Ticket(text="My printer is broken.")), agent


def billed(server: ModelServer) -> float:
    """USD that the provider charges for what it really answered."""
    return len(server.requests) * COST


# -------------------------------------------------------------------- the contrast


@contextmanager
def litellm_settings(**settings: Any) -> Generator[Any]:
    """Settings of litellm, which are global, for a while; its price list too, which calls add to."""
    litellm: Any = importlib.import_module("litellm")
    prices = dict(litellm.model_cost)
    before = {name: getattr(litellm, name) for name in (*settings, "callbacks", "_current_cost")}
    litellm.callbacks = list(before["callbacks"])
    try:
        for name, value in settings.items():
            setattr(litellm, name, value)
        yield litellm
    finally:
        for name, value in before.items():
            setattr(litellm, name, value)
        litellm.model_cost.clear()
        litellm.model_cost.update(prices)


async def hundred(call: Any) -> int:
    """Make a hundred calls at once; how many were refused."""
    refused = 0

    async def one() -> None:
        nonlocal refused
        try:
            await call()
        except Exception:  # noqa: BLE001  # whoever refuses says so in its own words
            refused += 1

    async with anyio.create_task_group() as calls:
        for _ in range(100):
            calls.start_soon(one)
    return refused


ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Summarise."}], "max_tokens": MOST_WRITTEN}


async def test_where_litellm_overspends_its_budgets_agentroute_does_not() -> None:
    """A budget for ten calls, a hundred calls at once: by what the server really answered."""
    budget = 10 * COST
    figures: dict[str, float] = {}
    price = {"input_cost_per_token": 1.0 / 1e6, "output_cost_per_token": 100.0 / 1e6}
    slow = replace(GOOD, delay_s=0.3)

    async with ModelServer(slow) as server:
        with litellm_settings(max_budget=budget, _current_cost=0.0) as litellm:
            await hundred(
                lambda: litellm.acompletion(
                    model=MODEL, api_base=server.base_url, api_key="any", max_retries=0, **price, **ASK
                )
            )
            figures["litellm.max_budget"] = billed(server)

    async with ModelServer(slow) as server:
        with litellm_settings() as litellm:
            where = {"model": MODEL, "api_base": server.base_url, "api_key": "any", **price}
            router = litellm.Router(
                model_list=[{"model_name": "priced", "litellm_params": where}],
                provider_budget_config={"openai": {"budget_limit": budget, "time_period": "1d"}},
                num_retries=0,
            )
            await hundred(lambda: router.acompletion(model="priced", **ASK))
            figures["litellm's provider budget"] = billed(server)

    async with ModelServer(slow) as server:
        agent = desk(step(server.base_url), quotas=[Quota(usd=budget)], max_concurrency=100)
        await hundred(lambda: agent.run(Ticket(text="My printer is broken.")))
        figures["agentroute's quota"] = billed(server)

    assert figures["agentroute's quota"] <= budget + 1e-12
    assert figures["agentroute's quota"] > budget / 3, "it does use what there is"
    assert figures["litellm.max_budget"] > budget
    assert figures["litellm's provider budget"] > budget


# -------------------------------------------------------------------- what is asked for, and what is claimed


async def test_with_a_short_budget_the_model_is_asked_for_a_shorter_answer() -> None:
    async with ModelServer(replace(GOOD, usage=(READ, 40))) as server:
        tool = step(server.base_url, min_tokens=50)
        cost = tool.spec.cost
        usd = (dollars(cost.least) + dollars(cost.worst)) / 2
        result, agent = await once(tool, budget=Budget(usd=usd))
    assert (result.outcome, agent.put_aside) == ("succeeded", {})
    [request] = server.requests
    asked = request.body["max_tokens"]
    assert 50 <= asked < MOST_WRITTEN
    assert (1_000 + asked * 100.0) / 1e6 <= usd + COST
    assert asked * 100.0 / 1e6 <= usd


UNUSUAL = {
    "the usage is missing": replace(GOOD, usage=None),
    "the answer is lost": Reply(drop=True),
    "the answer breaks off": replace(GOOD, malformed=True),
    "nothing was written, it says, and here is a text": replace(GOOD, usage=(READ, 0)),
    "it says it read more than there was": replace(GOOD, usage=(10**6, WRITTEN)),
    "it says it wrote more than was allowed": replace(GOOD, usage=(READ, 10**6)),
}


@pytest.mark.parametrize("short", [False, True], ids=["in full", "made smaller"])
@pytest.mark.parametrize("name", UNUSUAL)
async def test_what_nobody_can_know_or_believe_is_charged_at_the_reservation(name: str, short: bool) -> None:  # noqa: FBT001
    """And not above it: a call that was asked for less does not cost what a longer one might have."""
    async with ModelServer(UNUSUAL[name]) as server:
        tool = step(server.base_url, min_tokens=50)
        usd = dollars(tool.spec.cost.least if short else tool.spec.cost.worst)
        result, agent = await once(tool, budget=Budget(usd=usd))
    assert len(server.requests) == 1, "there is no money left for another"
    assert result.cost_usd == pytest.approx(usd, abs=1e-9)
    assert result.cost_usd <= usd + 1e-12
    lied = name.startswith("it says")
    assert list(agent.put_aside) == (["summarise@openai/priced"] if lied else [])
    if lied:
        assert agent.put_aside["summarise@openai/priced"].startswith("it says it ")


async def test_a_call_that_is_cut_off_is_charged_at_the_reservation() -> None:
    async with ModelServer(replace(GOOD, delay_s=20)) as server:
        tool = step(server.base_url, min_tokens=50)
        usd = dollars(tool.spec.cost.least)
        agent = desk(tool, quotas=[Quota(usd=usd)])
        with anyio.move_on_after(0.5):
            await agent.run(Ticket(text="My printer is broken."))
        after = await agent.run(Ticket(text="My printer is broken."))
        assert len(server.requests) == 1
    assert (after.outcome, after.cost_usd, agent.put_aside) == ("escalated", 0, {})


async def test_counts_hold_on_the_wire() -> None:
    async with ModelServer(GOOD) as server:
        tool = step(server.base_url)
        agents: Sequence[Agent] = [
            desk(tool, quotas=[Quota(llm_calls=7)]),
            desk(tool, quotas=[Quota(tokens=3 * tool.spec.tokens)]),
        ]
        for agent in agents:
            before = len(server.requests)
            await hundred(lambda agent=agent: agent.run(Ticket(text="My printer is broken.")))
            made = len(server.requests) - before
            tokens = made * (READ + WRITTEN)
            assert made == 7 if agent is agents[0] else made >= 3 and tokens <= 3 * tool.spec.tokens
