"""Our reading of litellm's price list, against litellm's own calculator."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from agentroute.adapters.models.language_model import LiteLlm
from agentroute.adapters.models.prices import Prices, Tokens, price_list
from agentroute.errors import ConfigurationError
from agentroute.ids import NANOS_PER_USD

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

# Of these, prices are the same at any hour, and litellm has no discounts of its own.
PLAIN = ("openai", "anthropic", "azure", "gemini", "mistral", "xai", "groq", "together_ai", "deepinfra")
# Of these, some models are cheaper off peak, or have dearer reasoning tokens, of which there are none here.
VARYING = ("dashscope", "deepseek", "fireworks_ai", "perplexity")

CALLS = [
    Tokens(1_000, 500),
    Tokens(150_000, 10, cached=1_000),
    Tokens(300_000, 100),
    Tokens(5_000, 100, cached=2_000, cache_written=1_000),
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def litellm() -> Any:
    await LiteLlm().prepare()
    return importlib.import_module("litellm")


def listed(providers: tuple[str, ...]) -> Iterator[str]:
    """Models with a price, by their full names."""
    for name, entry in price_list().items():
        provider = str(entry.get("litellm_provider"))
        if provider not in providers or entry.get("mode") != "chat":
            continue
        model = name if name.startswith(f"{provider}/") else f"{provider}/{name}"
        try:
            Prices().of(model)
        except ConfigurationError:
            continue
        yield model


def by_litellm(litellm: Any, model: str, tokens: Tokens) -> float:
    """Nano-dollars by litellm's calculator."""
    provider, _, name = model.partition("/")
    details = {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.cache_written}
    usage = litellm.Usage(
        prompt_tokens=tokens.read,
        completion_tokens=tokens.written,
        total_tokens=tokens.read + tokens.written,
        prompt_tokens_details=details if tokens.cached else None,
    )
    costs = litellm.cost_per_token(model=name, custom_llm_provider=provider, usage_object=usage)
    return sum(costs) * NANOS_PER_USD


async def test_the_list_is_whole(litellm: Any) -> None:
    assert len(price_list()) > 4_000
    assert litellm.model_cost.keys() - price_list().keys() == set()


async def test_litellm_comes_to_the_same_price(litellm: Any) -> None:
    models = list(listed(PLAIN))
    assert len(models) > 300
    for model in models:
        for tokens in CALLS:
            price = Prices().of(model)
            tokens_only = price.cost(tokens) - price.usd_per_call * NANOS_PER_USD
            expected = by_litellm(litellm, model, tokens)
            assert tokens_only == pytest.approx(expected, rel=1e-6, abs=2), (model, tokens)


async def test_litellm_never_exceeds_the_worst_case(litellm: Any) -> None:
    models = [*listed(PLAIN), *listed(VARYING)]
    for model in models:
        for tokens in CALLS:
            worst = Prices().of(model).worst(tokens.read, tokens.written)
            assert by_litellm(litellm, model, tokens) <= worst + 1, (model, tokens)
