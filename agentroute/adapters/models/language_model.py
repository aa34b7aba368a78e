"""Language models through litellm: one call, no retries, its cost bounded before and known after."""

import asyncio
import importlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
from pydantic import BaseModel

from agentroute.adapters.clock import wall_time
from agentroute.adapters.models.answer_schema import response_format
from agentroute.adapters.models.prices import Price, Prices, Tokens
from agentroute.adapters.redaction import Redactor
from agentroute.adapters.threads import run_in_thread
from agentroute.errors import AnswerLostError, ConfigurationError, FailureKind, ToolError
from agentroute.graph.cost import Amounts
from agentroute.guard.failures import Failure, classify
from agentroute.guard.rate_limits import Headroom, headroom_of
from agentroute.ids import dollars
from agentroute.ports import Completion

QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # prices come from the installed package, not from the network
    "LITELLM_MODE": "PRODUCTION",  # no .env file is loaded
    "HF_HUB_OFFLINE": "1",  # no tokenizer is fetched
}
"""Environment that litellm reads while it is imported; what is set already stays."""

ADDED_TOKENS = 1_024
"""Tokens that providers add to a prompt: chat template, preamble of tools (Anthropic: some 500)."""

TOKENS_PER_MESSAGE = 16
"""Tokens that frame one message."""

PERHAPS_BILLED = frozenset({408, 502, 504})
"""Answers of a gateway that gave up waiting. For other error statuses the providers bill nothing."""

_PREFIX = re.compile(r"^(litellm\.\w+: |\w+(Error|Exception)(: | - ))+")
"""What litellm puts before a provider's own words."""


class LiteLlm:
    """Every model that litellm can call.

    litellm is imported at the first call, in a thread, because that takes seconds; `prepare` does it earlier.
    It works on asyncio only.

    Args:
        prices: What models cost, for those that litellm does not list or that cost you something else.
        api_base: Address to call instead of the provider's own. With models named ``openai/...``, that of any
            OpenAI-compatible server (``http://127.0.0.1:8000/v1``); for these, ``OPENAI_BASE_URL`` or
            ``OPENAI_API_BASE`` in the environment counts without it.
        api_key: Key for the provider. Without it, the provider's variable (``OPENAI_API_KEY``, ...) counts.

    Raises:
        ConfigurationError: `api_base` is no http(s) address.
    """

    def __init__(
        self, *, prices: Prices | None = None, api_base: str | None = None, api_key: str | None = None
    ) -> None:
        """Keep the settings; nothing is loaded or called yet."""
        if api_base is not None and not _is_address(api_base):
            raise ConfigurationError("api_base must be an address like http://127.0.0.1:8000/v1")
        self.prices = prices or Prices()
        self._api_base = api_base
        self._api_key = api_key

    def worst_case(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        max_tokens: int,
        *,
        answer: type[BaseModel] | None = None,
    ) -> Amounts:
        """Upper bound of what one `complete` may use: a prompt has no more tokens than bytes.

        Raises:
            ConfigurationError: The model has no known price.
        """
        read = _most_read(messages, answer)
        return Amounts(self.prices.of(model).worst(read, max_tokens), read + max_tokens, model_calls=1)

    def estimate(self, model: str, *, input_tokens: int, output_tokens: int) -> float:
        """Price of a call of that size, in USD.

        Raises:
            ConfigurationError: The model has no known price.
        """
        return dollars(self.prices.of(model).cost(Tokens(input_tokens, output_tokens)))

    async def prepare(self) -> None:
        """Import litellm now, so that the first call does not have to.

        Raises:
            ConfigurationError: The event loop is not asyncio's.
        """
        await _litellm()

    async def complete(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        *,
        answer: type[BaseModel] | None = None,
        max_tokens: int,
        timeout_s: float,
        effort: str | None = None,
    ) -> Completion:
        """Ask once, without retries. `answer` is sent as the schema of the text, which is not checked here.

        Args:
            model: Name as litellm writes it.
            messages: With ``role`` and ``content``.
            answer: A model of the JSON object to answer with.
            max_tokens: Tokens the answer may have, reasoning included.
            timeout_s: Seconds for the whole call; loading litellm is not counted.
            effort: How much the model may think, as litellm's ``reasoning_effort``: it is sent as the provider wants
                it, and what is not known to take any is refused by litellm.

        Raises:
            AnswerLostError: Nobody knows whether the call was made, and billed.
            ToolError: The call failed and cost nothing.
            ConfigurationError: The model has no known price, a key is missing, or this is not asyncio.
        """
        price = self.prices.of(model)
        litellm = await _litellm()
        options = self._options(model, price)
        if effort is not None:
            options["reasoning_effort"] = effort
        if answer is not None:
            options["response_format"] = response_format(answer)
        try:
            with anyio.fail_after(timeout_s):  # litellm's own limit is one on each read, not on the whole
                response = await litellm.acompletion(
                    model=model,
                    messages=[dict(message) for message in messages],
                    max_tokens=max_tokens,
                    max_retries=0,
                    timeout=timeout_s,
                    **options,
                )
        except TimeoutError:
            raise AnswerLostError(f"{model}: no answer within {timeout_s:g} s", kind="transient") from None
        except Exception as error:  # noqa: BLE001  # litellm raises its own errors, the vendors', and Python's
            raise self._failure(model, error) from None
        most = Tokens(_most_read(messages, answer), max_tokens)
        return _completion(response, price, most, headroom_of(_headers(response), wall_time()))

    def _options(self, model: str, price: Price) -> dict[str, Any]:
        own_server = self._api_base or os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")
        key = self._api_key
        if key is None and own_server and model.startswith("openai/") and not os.environ.get("OPENAI_API_KEY"):
            key = "none"  # the client insists on one, the server may not
        options = {"api_base": self._api_base, "api_key": key, "service_tier": price.service_tier}
        return {name: value for name, value in options.items() if value is not None}

    def _failure(self, model: str, error: Exception) -> Exception:
        """Translate whatever litellm raised; only the chain of its causes tells what really happened."""
        import httpx  # loaded with litellm by now, and not worth 0.1 s before

        said = f"{model}: {self._without_secrets(_PREFIX.sub('', str(error)))}"
        causes = list(_chain(error))
        if any((type(each).__module__, type(each).__name__) == ("openai", "OpenAIError") for each in causes):
            return ConfigurationError(said)  # raised before the call, by the client: no key
        if any(isinstance(each, (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError)) for each in causes):
            return ToolError(said, kind="permanent")
        failure, perhaps_billed = _what_happened(error, causes)
        kind: FailureKind = "transient" if failure.kind == "ambiguous" else failure.kind
        failed = (AnswerLostError if perhaps_billed else ToolError)(
            said, kind=kind, retry_after_s=failure.retry_after_s
        )
        failed.headers = next(
            (each.response.headers for each in causes if isinstance(each, httpx.HTTPStatusError)), None
        )
        return failed

    def _without_secrets(self, text: str) -> str:
        return Redactor.from_environment(os.environ, [self._api_key or ""]).text(text)


def byte_length(text: str) -> int:
    """Bytes of a text as UTF-8, broken surrogates included."""
    return len(text.encode("utf-8", "surrogatepass"))


def _is_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


_loaded: dict[str, Any] = {}


async def _litellm() -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError("litellm needs asyncio: call language models from anyio's asyncio backend") from None
    if "litellm" not in _loaded:
        await run_in_thread(_load)
    return _loaded["litellm"]


def _load() -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True  # advice printed to standard output with every error
    if "LITELLM_LOG" not in os.environ:
        logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)  # what matters is raised
    with suppress(Exception):
        asyncio.run(_rehearse(litellm))
    _loaded["litellm"] = litellm


async def _rehearse(litellm: Any) -> None:
    """Make a call that fails before it leaves: the first one imports some 480 modules, and would block the loop."""
    nowhere = "http://127.0.0.1:0/v1"
    await litellm.acompletion(model="openai/none", messages=[], api_base=nowhere, api_key="none", max_retries=0)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it, the latest first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _what_happened(error: Exception, causes: Sequence[BaseException]) -> tuple[Failure, bool]:
    """Classify by the HTTP error behind it; say too whether the provider may bill for the call."""
    import httpx

    for cause in causes:
        if isinstance(cause, httpx.HTTPStatusError):  # the provider's own answer; litellm's status may be guessed
            return classify(cause, wall=wall_time()), cause.response.status_code in PERHAPS_BILLED
    for cause in causes:
        if isinstance(cause, httpx.TransportError):
            failure = classify(cause)
            return failure, failure.kind == "ambiguous"
    failure = classify(error)
    return failure, failure.kind == "ambiguous"


def _most_read(messages: Sequence[Mapping[str, str]], answer: type[BaseModel] | None) -> int:
    """Tokens that a prompt has at most, with the schema of its answer and what providers add."""
    schema = "" if answer is None else json.dumps(response_format(answer), ensure_ascii=False)
    texts = (schema, *(text for message in messages for text in message.values()))
    return ADDED_TOKENS + TOKENS_PER_MESSAGE * len(messages) + sum(map(byte_length, texts))


def _completion(response: Any, price: Price, most: Tokens, headroom: Headroom | None) -> Completion:
    """Read a response of litellm's, which has the shape of OpenAI's whoever answered."""
    message = response.choices[0].message if response.choices else None
    text = getattr(message, "content", None) or getattr(message, "refusal", None) or ""
    tokens = _tokens(getattr(response, "usage", None))
    if disputed := _disputed(tokens, most):
        return Completion(text, None, tokens.read, tokens.written, headroom, disputed)
    if not tokens.read or (text and not tokens.written):  # litellm fills in zeros where a provider says nothing
        return Completion(text, None, tokens.read, tokens.written, headroom)
    return Completion(text, dollars(price.cost(tokens)), tokens.read, tokens.written, headroom)


def _disputed(tokens: Tokens, most: Tokens) -> str:
    """Why a count of tokens cannot be true; empty if it can. A text has no more tokens than bytes."""
    if tokens.read > most.read:
        return f"it says it read {tokens.read} tokens, where the prompt has {most.read} at most"
    if tokens.written > most.written:
        return f"it says it wrote {tokens.written} tokens, where it was allowed {most.written}"
    return ""


def _headers(response: Any) -> dict[str, str]:
    """Headers of the provider's answer, as litellm keeps them: most with a prefix, some under two names."""
    hidden = cast("Mapping[str, Any]", getattr(response, "_hidden_params", None) or {})
    headers = cast("Mapping[str, object]", hidden.get("additional_headers") or {})
    return {name: value for name, value in headers.items() if isinstance(value, str)}


def _tokens(usage: Any) -> Tokens:
    def count(holder: Any, name: str) -> int:
        found = getattr(holder, name, None)
        return found if isinstance(found, int) and found > 0 else 0

    read = count(usage, "prompt_tokens")
    written = count(usage, "completion_tokens")
    if read and written:  # some leave reasoning out of the completion, but none out of the total
        written = max(written, count(usage, "total_tokens") - read)
    details = getattr(usage, "prompt_tokens_details", None)
    return Tokens(read, written, count(details, "cached_tokens"), count(details, "cache_write_tokens"))
