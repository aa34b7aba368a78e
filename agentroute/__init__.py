"""Agents that reroute instead of re-reason.

agentroute derives a cost-weighted graph from typed tools and models and walks the cheapest route to a goal. When
something fails, the route is computed anew; a model is asked only when none is left.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentroute.adapters.functions import FunctionTool, tool
    from agentroute.adapters.http.secret import Secret
    from agentroute.adapters.http.tools import http_tool
    from agentroute.adapters.local_exchange import LocalExchange
    from agentroute.adapters.mcp.servers import McpServers
    from agentroute.adapters.models.language_model import LiteLlm
    from agentroute.adapters.models.model_step import llm_step
    from agentroute.adapters.models.model_tier import ModelTier
    from agentroute.adapters.models.prices import Price, Prices
    from agentroute.adapters.priors import Priors
    from agentroute.adapters.probes import Probes
    from agentroute.adapters.step_router import StepRouter
    from agentroute.agent import Agent
    from agentroute.attempt import Attempt, current
    from agentroute.errors import (
        AgentrouteError,
        ConfigurationError,
        DefinitionError,
        DocumentError,
        InputError,
        JournalError,
        NoRouteError,
        ToolError,
        UnknownRunError,
    )
    from agentroute.graph.artifact import Artifact
    from agentroute.graph.cost import Rates
    from agentroute.graph.goal import Goal
    from agentroute.graph.tool import AtLeast
    from agentroute.guard.budget import Budget, Quota
    from agentroute.ports import Monitor, Observer
    from agentroute.routing.health import Health
    from agentroute.routing.signals import HealthSignal
    from agentroute.run import events
    from agentroute.run.plan import RoutePlan
    from agentroute.run.result import RunResult
    from agentroute.run.watching import Burn, Intent, IntentRule, Progress, Risk, RunMonitor

__version__ = "0.1.0"

# Loaded when first asked for (PEP 562): the command line answers --help without any of it, and nobody pays for MCP,
# HTTP or models who does not use them. A test holds this table against the imports above.
_WHERE = {
    "Agent": "agentroute.agent",
    "AgentrouteError": "agentroute.errors",
    "Artifact": "agentroute.graph.artifact",
    "AtLeast": "agentroute.graph.tool",
    "Attempt": "agentroute.attempt",
    "Budget": "agentroute.guard.budget",
    "Burn": "agentroute.run.watching",
    "ConfigurationError": "agentroute.errors",
    "DefinitionError": "agentroute.errors",
    "DocumentError": "agentroute.errors",
    "FunctionTool": "agentroute.adapters.functions",
    "Goal": "agentroute.graph.goal",
    "Health": "agentroute.routing.health",
    "HealthSignal": "agentroute.routing.signals",
    "InputError": "agentroute.errors",
    "Intent": "agentroute.run.watching",
    "IntentRule": "agentroute.run.watching",
    "JournalError": "agentroute.errors",
    "LiteLlm": "agentroute.adapters.models.language_model",
    "LocalExchange": "agentroute.adapters.local_exchange",
    "McpServers": "agentroute.adapters.mcp.servers",
    "ModelTier": "agentroute.adapters.models.model_tier",
    "Monitor": "agentroute.ports",
    "NoRouteError": "agentroute.errors",
    "Observer": "agentroute.ports",
    "Price": "agentroute.adapters.models.prices",
    "Prices": "agentroute.adapters.models.prices",
    "Priors": "agentroute.adapters.priors",
    "Probes": "agentroute.adapters.probes",
    "Progress": "agentroute.run.watching",
    "Quota": "agentroute.guard.budget",
    "Rates": "agentroute.graph.cost",
    "Risk": "agentroute.run.watching",
    "RoutePlan": "agentroute.run.plan",
    "RunMonitor": "agentroute.run.watching",
    "RunResult": "agentroute.run.result",
    "Secret": "agentroute.adapters.http.secret",
    "StepRouter": "agentroute.adapters.step_router",
    "ToolError": "agentroute.errors",
    "UnknownRunError": "agentroute.errors",
    "current": "agentroute.attempt",
    "events": "agentroute.run.events",
    "http_tool": "agentroute.adapters.http.tools",
    "llm_step": "agentroute.adapters.models.model_step",
    "tool": "agentroute.adapters.functions",
}

__all__ = [
    "Agent",
    "AgentrouteError",
    "Artifact",
    "AtLeast",
    "Attempt",
    "Budget",
    "Burn",
    "ConfigurationError",
    "DefinitionError",
    "DocumentError",
    "FunctionTool",
    "Goal",
    "Health",
    "HealthSignal",
    "InputError",
    "Intent",
    "IntentRule",
    "JournalError",
    "LiteLlm",
    "LocalExchange",
    "McpServers",
    "ModelTier",
    "Monitor",
    "NoRouteError",
    "Observer",
    "Price",
    "Prices",
    "Priors",
    "Probes",
    "Progress",
    "Quota",
    "Rates",
    "Risk",
    "RoutePlan",
    "RunMonitor",
    "RunResult",
    "Secret",
    "StepRouter",
    "ToolError",
    "UnknownRunError",
    "current",
    "events",
    "http_tool",
    "llm_step",
    "tool",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_WHERE[name])
    value = module if name == "events" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every public name, loaded or not."""
    return sorted({*globals(), *__all__})
