"""What a model call costs: the user's figures, litellm's list, and the bound that both give."""

import subprocess
import sys
from decimal import ROUND_CEILING, Decimal, localcontext
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentroute.adapters.models.language_model import LiteLlm, _tokens
from agentroute.adapters.models.prices import Price, Prices, Tokens
from agentroute.errors import ConfigurationError, DefinitionError

LISTED = Prices()


def test_a_price_is_per_million_tokens() -> None:
    price = Price(input_usd_per_million=2.0, output_usd_per_million=8.0)
    assert price.cost(Tokens(1_000_000, 500_000)) == 6_000_000_000
    assert price.worst(1_000_000, 500_000) == 6_000_000_000


def test_a_fraction_of_a_nano_dollar_is_rounded_up_and_float_noise_is_not() -> None:
    assert Price(0.0001, 0).cost(Tokens(1, 0)) == 1
    assert Price(0.1, 0.2).cost(Tokens(3, 0)) == 300  # 0.1 * 3 is 0.30000000000000004


def test_cached_tokens_have_their_own_price() -> None:
    price = Price(10, 0, cached_usd_per_million=1, cache_write_usd_per_million=20)
    assert price.cost(Tokens(100, 0, cached=50, cache_written=30)) == (20 * 10 + 50 * 1 + 30 * 20) * 1000


def test_more_cached_than_read_is_not_believed() -> None:
    price = Price(10, 0, cached_usd_per_million=1, cache_write_usd_per_million=20)
    assert price.cost(Tokens(100, 0, cached=1_000, cache_written=1_000)) == 100 * 1 * 1000


def test_a_long_prompt_pays_the_price_above_its_threshold_for_all_of_it() -> None:
    price = Price(1, 2, above=((200, Price(3, 4)), (400, Price(5, 6))))
    assert [price.cost(Tokens(read, 1)) for read in (199, 200, 400)] == [201_000, 604_000, 2_006_000]


def test_the_bound_of_a_long_prompt_covers_shorter_ones_at_dearer_rates() -> None:
    odd = Price(1, 9, above=((200, Price(3, 4)),))
    assert odd.worst(300, 10) >= max(odd.cost(Tokens(199, 10)), odd.cost(Tokens(300, 10)))


def test_a_price_per_call_is_added_once() -> None:
    price = Price(1, 1, usd_per_call=0.01, above=((10, Price(2, 2)),))
    assert price.cost(Tokens(20, 0)) == 10_000_000 + 40_000
    assert price.worst(20, 0) == 10_000_000 + 40_000


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), "2", True])
def test_a_figure_that_is_no_price_is_refused(bad: float) -> None:
    with pytest.raises(DefinitionError, match="output_usd_per_million"):
        Price(input_usd_per_million=1, output_usd_per_million=bad)


@pytest.mark.parametrize("field", ["input_usd_per_million", "output_usd_per_million", "usd_per_call"])
def test_only_the_prices_of_caches_may_be_left_open(field: str) -> None:
    with pytest.raises(DefinitionError, match=f"{field} must be a number, not None"):
        Price(**{"input_usd_per_million": 1, "output_usd_per_million": 1, field: None})  # pyright: ignore[reportArgumentType]


STEEP = Price(4, 4)


@pytest.mark.parametrize(
    ("above", "why"),
    [
        (((200, STEEP), (100, Price(2, 2))), "100 tokens must be more than 200; lowest threshold first"),
        (((200, STEEP), (200, Price(2, 2))), "200 tokens must be more than 200"),
        (((0, STEEP),), "0 tokens must be more than 0"),
        (((-1, STEEP),), "-1 tokens must be more than 0"),
        (((float("nan"), STEEP),), "must hold .tokens, Price., not .nan"),
        ((("1", STEEP),), "must hold .tokens, Price., not .'1'"),
        (((True, 4.0),), "must hold .tokens, Price., not .True, "),
        (((1, 4.0),), "must hold .tokens, Price., not .1, 4.0"),
        ((1,), "must hold .tokens, Price., not 1"),
        ([(1, STEEP)], "must be a tuple of .tokens, Price."),
        (((1, Price(1, 1, above=((2, STEEP),))),), "has no `above` of its own"),
    ],
)
def test_thresholds_that_leave_it_open_which_price_counts_are_refused(above: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        Price(1, 1, above=above)


USD = st.one_of(
    st.floats(0, 1000), st.decimals(0, 100, places=3).map(float), st.integers(0, 50), st.sampled_from([0.1, 0.3, 1e-7])
)


@st.composite
def prices(draw: st.DrawFn, *, whole: bool = True) -> Price:
    caches = draw(st.tuples(st.none() | USD, st.none() | USD))
    if not whole:
        return Price(draw(USD), draw(USD), *caches)
    thresholds = sorted(draw(st.sets(st.integers(1, 3000), max_size=3)))
    above = tuple((tokens, draw(prices(whole=False))) for tokens in thresholds)
    return Price(draw(USD), draw(USD), *caches, above=above, usd_per_call=draw(USD))


COUNT = st.integers(0, 4000)


@given(price=prices(), most=st.tuples(COUNT, COUNT), share=st.tuples(*[st.floats(0, 1)] * 4))
def test_a_bill_within_the_bound_never_exceeds_it(
    price: Price, most: tuple[int, int], share: tuple[float, float, float, float]
) -> None:
    """Not by one nano-dollar either; and it is the sum in exact decimals, rounded up."""
    read, written = int(most[0] * share[0]), int(most[1] * share[1])
    cached = int(read * share[2])
    tokens = Tokens(read, written, cached, int((read - cached) * share[3]))
    cost = price.cost(tokens)
    assert cost <= price.worst(*most)
    counts = [each for threshold, each in price.above if read >= threshold]
    rate = counts[-1] if counts else price
    per_token = [
        (read - cached - tokens.cache_written, rate.input_usd_per_million),
        (cached, rate.input_usd_per_million if rate.cached_usd_per_million is None else rate.cached_usd_per_million),
        (
            tokens.cache_written,
            rate.input_usd_per_million
            if rate.cache_write_usd_per_million is None
            else rate.cache_write_usd_per_million,
        ),
        (written, rate.output_usd_per_million),
    ]
    with localcontext(prec=1_000):  # the least float is 5e-324
        total = sum(count * Decimal(str(float(usd))) for count, usd in per_token) * 1000
        total += Decimal(str(float(price.usd_per_call))) * 10**9
        assert cost == total.to_integral_value(ROUND_CEILING)


def test_what_cannot_be_bounded_is_not_used_and_named() -> None:
    """It searches as often as it likes, and bills the sources that it cites."""
    with pytest.raises(ConfigurationError, match="holds citation_cost_per_token, which nobody can bound"):
        LISTED.of("perplexity/sonar-deep-research")


@pytest.mark.parametrize(
    ("model", "read", "written"),
    [("openai/gpt-5-mini", 0.25, 2.0), ("gpt-5-mini", 0.25, 2.0), ("anthropic/claude-sonnet-4-5", 3.0, 15.0)],
)
def test_litellms_list_is_read_by_both_spellings(model: str, read: float, written: float) -> None:
    price = LISTED.of(model)
    assert (price.input_usd_per_million, price.output_usd_per_million) == (read, written)


def test_own_figures_come_before_the_list() -> None:
    assert Prices({"openai/gpt-5-mini": Price(7, 7)}).of("openai/gpt-5-mini") == Price(7, 7)


def test_thresholds_and_tables_of_the_list_are_read() -> None:
    [(tokens, price)] = LISTED.of("gemini/gemini-2.5-pro").above
    assert (tokens, price.input_usd_per_million, price.output_usd_per_million) == (200_000, 2.5, 15.0)
    [(tokens, price)] = LISTED.of("dashscope/qwen-flash").above
    assert (tokens, price.input_usd_per_million) == (256_000, 0.25)


def test_openai_models_are_priced_for_the_tier_that_is_asked_for() -> None:
    assert LISTED.of("openai/gpt-5").service_tier == "default"
    assert LISTED.of("anthropic/claude-sonnet-4-5").service_tier is None


def test_a_model_that_searches_with_every_call_pays_for_the_search() -> None:
    assert LISTED.of("perplexity/sonar-pro").usd_per_call > 0
    assert LISTED.of("openai/gpt-5").usd_per_call == 0


@pytest.mark.parametrize(
    "model",
    [
        "openai/x",
        "openai/claude-sonnet-4-5",  # listed, but as another provider's
        "openai/text-embedding-3-small",  # takes no messages
        "ollama/llama2",  # listed as zero
        "sample_spec",
        "",
    ],
)
def test_what_has_no_price_cannot_be_used_and_the_line_to_add_is_named(model: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        LISTED.of(model)
    line = f'LiteLlm(prices=Prices({{"{model}": Price(input_usd_per_million=..., output_usd_per_million=...)}}))'
    assert line in str(caught.value)
    made = eval(line.replace("...", "1.5"), {"LiteLlm": LiteLlm, "Prices": Prices, "Price": Price})  # noqa: S307  # it must be Python
    assert made.prices.of(model) == Price(1.5, 1.5)


def test_a_price_can_be_zero_if_somebody_says_so() -> None:
    assert Prices({"openai/local": Price(0, 0)}).of("openai/local").worst(10_000, 10_000) == 0


def test_reading_the_list_does_not_import_litellm() -> None:
    code = (
        "import sys; from agentroute.adapters.models.prices import Prices; Prices().of('openai/gpt-5'); "
        "sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("said", "written"),
    [((100, 20, 150), 50), ((100, 20, 120), 20), ((100, 20, 0), 20), ((100, 20, 90), 20), ((0, 20, 150), 20)],
)
def test_tokens_that_are_only_in_the_total_have_been_written(said: tuple[int, int, int], written: int) -> None:
    """Some providers leave what a model thinks out of the completion, but none out of the total."""
    usage = SimpleNamespace(**dict(zip(("prompt_tokens", "completion_tokens", "total_tokens"), said, strict=True)))
    assert _tokens(usage) == Tokens(said[0], written)
