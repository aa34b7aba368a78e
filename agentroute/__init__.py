"""Agents that reroute instead of re-reason.

agentroute derives a cost-weighted graph from typed tools and models and walks the cheapest route to a goal. When
something fails, the route is computed anew; a model is asked only when none is left.
"""

from agentroute.adapters.functions import FunctionTool, tool
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
from agentroute.guard.budget import Budget
from agentroute.ports import Observer
from agentroute.routing.health import Health
from agentroute.run import events
from agentroute.run.plan import RoutePlan
from agentroute.run.result import RunResult

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentrouteError",
    "Artifact",
    "AtLeast",
    "Attempt",
    "Budget",
    "ConfigurationError",
    "DefinitionError",
    "DocumentError",
    "FunctionTool",
    "Goal",
    "Health",
    "InputError",
    "JournalError",
    "NoRouteError",
    "Observer",
    "Rates",
    "RoutePlan",
    "RunResult",
    "ToolError",
    "UnknownRunError",
    "current",
    "events",
    "tool",
]
