"""Systems that agentroute is compared with, on the same providers: a static workflow and a ReAct loop, on langgraph.

They are meant to win. The static workflow has what a careful team gives one: a fallback for each step, retries where
they help, keys, look-ups before anything is paid again, a person where the way ends. The ReAct loop has good tools, a
good prompt, and a model that makes no mistakes; who wants to see how a real one does gives the address of another.
"""

import importlib
from collections.abc import Mapping
from typing import Final

from agentroute import ConfigurationError
from agentroute.testing.model_server import Reply, Script
from agentroute.testing.scenario.testbed import Contender

DOMAINS: Final = ("support", "travel", "moderation")
NAMES: Final = ("react", "static")


def make_contender(domain: str, name: str, urls: Mapping[str, str], model_url: str) -> Contender:
    """Make a system to compare with. Its runs need asyncio, because langgraph does.

    Args:
        domain: ``support``, ``travel`` or ``moderation``.
        name: ``react`` or ``static``.
        urls: Addresses by name of the provider.
        model_url: Base URL of an OpenAI-compatible server; ``static`` asks no model.

    Raises:
        ConfigurationError: There is no such domain or system, or langgraph is not installed.
    """
    _check(domain, name)
    try:
        module = importlib.import_module(f"graphs.contenders.{name}_{domain}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"langgraph", "langchain_core"}:
            raise
        raise ConfigurationError(
            f"{name} is built on langgraph, which is not installed: pip install langgraph"
        ) from None
    return module.make(urls, model_url)


def model_script(domain: str, name: str) -> Script:
    """Return the scripted model that a contender asks.

    Raises:
        ConfigurationError: There is no such domain or system.
    """
    _check(domain, name)
    if name == "static":
        return Reply("the static workflow asks no model", status=500)
    from graphs.contenders.thought import script_of

    return script_of(importlib.import_module(f"graphs.contenders.policy_{domain}").plan)


def _check(domain: str, name: str) -> None:
    if domain not in DOMAINS:
        raise ConfigurationError(f"no contenders in {domain!r}: {', '.join(DOMAINS)}")
    if name not in NAMES:
        raise ConfigurationError(f"no contender {name!r}: {', '.join(NAMES)}")
