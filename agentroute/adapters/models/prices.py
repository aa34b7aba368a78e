"""What models cost: the user's own figures, else the list inside litellm, read without importing litellm."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, lru_cache
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any, cast

from agentroute.errors import ConfigurationError, DefinitionError
from agentroute.graph.cost import checked
from agentroute.ids import NANOS_PER_USD, NanoUsd

LIST = "model_prices_and_context_window_backup.json"
"""The price list inside the litellm package."""

CHAT_MODES = frozenset({"chat", "completion", "responses"})
"""Kinds of model that take messages and return text."""

NANOS_PER_TOKEN = 1_000
"""Nano-dollars a token costs at one USD per million tokens."""

_THRESHOLD = re.compile(r"input_cost_per_token_above_(\d+)(k?)_tokens")


_BOUNDED = re.compile(
    r"(input|output|cache_read|cache_creation|explicit_cache_read)_"  # tokens; media, which are not sent
    r"|cost_per_second$"  # of models that are billed by time; those without a price of tokens are not used
    r"|search_context_cost_per_query$"  # see `_usd_per_call`
    r"|google_maps_grounding_cost_per_query$|code_interpreter_cost_per_session$"  # only with what a call asks for
)
"""Names of costs in the list that a bound covers, or that no call here can incur."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider counted for one call.

    Attributes:
        read: Tokens of the prompt, all of them.
        written: Tokens of the answer, reasoning included.
        cached: Those of the prompt that came from the provider's cache.
        cache_written: Those of the prompt that were put into it.
    """

    read: int
    written: int
    cached: int = 0
    cache_written: int = 0


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs, in USD per million tokens. Zero is a price: that of a model on your own machine.

    Attributes:
        input_usd_per_million: Tokens of the prompt.
        output_usd_per_million: Tokens of the answer; the dearest, where reasoning is priced apart.
        cached_usd_per_million: Prompt tokens found in the provider's cache; like other input if None.
        cache_write_usd_per_million: Prompt tokens put there; like other input if None.
        above: Prices that apply instead once the prompt has that many tokens, lowest threshold first.
        usd_per_call: USD for the call itself, as search models charge.
        service_tier: Asked for with every call, so that no other tier than the one priced here can be billed.

    Raises:
        DefinitionError: A figure is negative or no number, or `above` is not thresholds with their prices, in order.
    """

    input_usd_per_million: float
    output_usd_per_million: float
    cached_usd_per_million: float | None = None
    cache_write_usd_per_million: float | None = None
    above: tuple[tuple[int, "Price"], ...] = ()
    usd_per_call: float = 0.0
    service_tier: str | None = None

    def __post_init__(self) -> None:
        """Refuse figures no bill could be computed from."""
        for name in ("input_usd_per_million", "output_usd_per_million", "usd_per_call"):
            checked("price", name, getattr(self, name))
        for name in ("cached_usd_per_million", "cache_write_usd_per_million"):
            if (value := getattr(self, name)) is not None:
                checked("price", name, value)
        _check_above(self.above)

    def cost(self, tokens: Tokens) -> NanoUsd:
        """Price of a call, in nano-dollars, rounded up; exact, so never above the worst case."""
        price = self._at(tokens.read)
        cached = min(tokens.cached, tokens.read)
        cache_written = min(tokens.cache_written, tokens.read - cached)
        usd_per_million = (
            (tokens.read - cached - cache_written) * _exact(price.input_usd_per_million)
            + cached * _exact(_or(price.cached_usd_per_million, price.input_usd_per_million))
            + cache_written * _exact(_or(price.cache_write_usd_per_million, price.input_usd_per_million))
            + tokens.written * _exact(price.output_usd_per_million)
        )
        return NanoUsd(ceil(usd_per_million * NANOS_PER_TOKEN + _exact(self.usd_per_call) * NANOS_PER_USD))

    def worst(self, read: int, written: int) -> NanoUsd:
        """Upper bound for a call of at most so many tokens, at the dearest rates they meet, in nano-dollars."""
        reachable = [self, *(price for threshold, price in self.above if read >= threshold)]
        dearest = max(max(_input_rates(price)) for price in reachable)
        output = max(price.output_usd_per_million for price in reachable)
        return Price(dearest, output, usd_per_call=self.usd_per_call).cost(Tokens(read, written))

    def _at(self, read: int) -> "Price":
        reached = [price for threshold, price in self.above if read >= threshold]
        return reached[-1] if reached else self


@lru_cache(1024)
def _exact(usd: float) -> Fraction:
    """A price as it was written, in decimals, and not as it is kept in binary."""
    return Fraction(repr(float(usd)))


def _check_above(above: object) -> None:
    """Refuse thresholds that leave it open which price counts.

    Raises:
        DefinitionError: With what is wrong.
    """
    if not isinstance(above, tuple):
        raise DefinitionError("price", f"above must be a tuple of (tokens, Price), not {above!r}")
    before = 0
    for step in cast("tuple[object, ...]", above):
        match step:
            case (int() as tokens, Price(above=())) if not isinstance(tokens, bool):
                pass
            case (int(), Price()):
                raise DefinitionError("price", "above: a price in it has no `above` of its own")
            case _:
                raise DefinitionError("price", f"above must hold (tokens, Price), not {step!r}")
        if tokens <= before:
            raise DefinitionError("price", f"above: {tokens} tokens must be more than {before}; lowest threshold first")
        before = tokens


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _input_rates(price: Price) -> Iterator[float]:
    yield price.input_usd_per_million
    yield price.cached_usd_per_million or 0.0
    yield price.cache_write_usd_per_million or 0.0


class Prices:
    """Prices by model name, as litellm writes it (``openai/gpt-5-mini``).

    Args:
        own: Your own figures. They come before the list; a model that is on neither cannot be used, because a
            call that nobody can price would count as free.

    Example:
        >>> own = Prices({"openai/llama": Price(input_usd_per_million=1, output_usd_per_million=2)})
        >>> own.of("openai/llama").worst(read=1_000_000, written=0)
        1000000000
    """

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        """Keep the user's figures; the list is read when it is first needed."""
        self._own = dict(own or {})

    def of(self, model: str) -> Price:
        """The price of `model`.

        Raises:
            ConfigurationError: It is not known; the message holds the line to add.
        """
        if (price := self._own.get(model)) is not None:
            return price
        if (price := _listed(model)) is not None:
            return price
        extras = _unbounded(listing(model) or {})
        why = f"holds {', '.join(extras)}, which nobody can bound beforehand" if extras else "is not known"
        raise ConfigurationError(
            f"the price of model {model!r} {why}, and no call counts as free. Give it one, with "
            "Agent(model=...) or llm_step(language_model=...): LiteLlm("
            f'prices=Prices({{"{model}": Price(input_usd_per_million=..., output_usd_per_million=...)}}))'
        )


@cache
def _listed(model: str) -> Price | None:
    entry = listing(model)
    if entry is None or entry.get("mode") not in CHAT_MODES or _unbounded(entry):
        return None
    price = _tiered(entry) or _flat(entry)
    # A zero in the list stands for "billed otherwise" (by the second, by the seat), not for a gift.
    if price is None or not price.input_usd_per_million or not price.output_usd_per_million:
        return None
    # OpenAI bills a project's calls at another tier if its settings say so, unless the call names one.
    tier = "default" if entry.get("litellm_provider") == "openai" else None
    return replace(price, usd_per_call=_usd_per_call(model, entry), service_tier=tier)


def _unbounded(entry: Mapping[str, Any]) -> list[str]:
    """What a model charges for besides tokens and what is asked for with a call, such as sources that it cites."""
    return sorted(key for key, value in entry.items() if "cost" in key and value and not _BOUNDED.match(key))


def _usd_per_call(model: str, entry: Mapping[str, Any]) -> float:
    """What models that search with every call charge for it; others search only when asked to."""
    if entry.get("litellm_provider") != "perplexity" and "-search-" not in model:
        return 0.0
    searches: Mapping[str, float] = entry.get("search_context_cost_per_query") or {}
    return max(searches.values(), default=0.0) + float(entry.get("input_cost_per_request", 0.0))


def listing(model: str) -> Mapping[str, Any] | None:
    """Find a model as litellm does: by its full name, else without the prefix if that is its provider's."""
    prices = price_list()
    if model in prices:
        return prices[model]
    provider, slash, name = model.partition("/")
    entry = prices.get(name) if slash else None
    listed = "" if entry is None else str(entry.get("litellm_provider", ""))
    return entry if listed == provider or listed.startswith(f"{provider}-") else None


@cache
def price_list() -> Mapping[str, Mapping[str, Any]]:
    """Read the list out of the installed litellm: `importlib.resources` would import all of it (seconds)."""
    package = find_spec("litellm")
    for folder in (package and package.submodule_search_locations) or ():
        try:
            return json.loads(Path(folder, LIST).read_bytes())
        except (OSError, ValueError):
            continue
    raise ConfigurationError(f"litellm's price list ({LIST}) cannot be read; reinstall litellm, or give own prices")


def _flat(entry: Mapping[str, Any], suffix: str = "") -> Price | None:
    """Read the rates of one tier; `suffix` names it, as in ``_above_200k_tokens``."""

    def rate(*names: str) -> float | None:
        found = (entry.get(f"{name}{suffix}", entry.get(name)) for name in names)
        return max((round(each * 1e6, 6) for each in found if isinstance(each, (int, float))), default=None)

    read = rate("input_cost_per_token")
    written = rate("output_cost_per_token", "output_cost_per_reasoning_token")
    if read is None or written is None:
        return None
    thresholds = {} if suffix else _thresholds(entry)
    above = ((tokens, _flat(entry, tier)) for tokens, tier in sorted(thresholds.items()))
    return Price(
        read,
        written,
        cached_usd_per_million=rate("cache_read_input_token_cost"),
        cache_write_usd_per_million=rate("cache_creation_input_token_cost"),
        above=tuple((tokens, price) for tokens, price in above if price is not None),
    )


def _thresholds(entry: Mapping[str, Any]) -> dict[int, str]:
    found = (_THRESHOLD.fullmatch(name) for name in entry)
    return {
        int(match[1]) * (1_000 if match[2] else 1): match[0].removeprefix("input_cost_per_token")
        for match in found
        if match is not None
    }


def _tiered(entry: Mapping[str, Any]) -> Price | None:
    """Read rates given as a table of ranges: the rows above the first are thresholds."""
    rows: list[Mapping[str, Any]] = entry.get("tiered_pricing") or []
    prices = ((int(row["range"][0]), _flat(row)) for row in sorted(rows, key=lambda row: row["range"][0]))
    steps = [(start, price) for start, price in prices if price is not None]
    return replace(steps[0][1], above=tuple(steps[1:])) if steps else None
