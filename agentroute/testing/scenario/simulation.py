"""Agents out of contracts alone: tools of a graph without code behave as their contract says, in a world that is kept.

So a graph can be tested before any of its tools is written, and a generated scenario needs nothing but its file.
"""

from collections.abc import Mapping
from typing import Any

from agentroute.agent import Agent
from agentroute.graph.document import GraphDocument
from agentroute.graph.goal import Goal
from agentroute.graph.tool import AtLeast, KOfN, Need, ToolSpec
from agentroute.guard.budget import Budget, Quota
from agentroute.ports import Tool
from agentroute.testing.fakes import FakeCompensator, FakeTool, FakeVerifier
from agentroute.testing.scenario.document import SimulationEntry
from agentroute.testing.world import World

REMEDY_S = 0.01
"""Seconds that a simulated verifier or compensator takes, unless its contract says otherwise."""


def simulated_agent(document: GraphDocument, how: Mapping[str, SimulationEntry], world: World, **options: Any) -> Agent:
    """Make an agent of a graph whose tools do nothing but leave their mark on `world`.

    Args:
        document: The graph.
        how: Where a tool is to behave otherwise than its contract says.
        world: The ground truth.
        **options: As for `Agent`; what the graph says (name, goals, rates, budget, quotas) is its to say.
    """
    return Agent(
        name=document.name,
        tools=_simulated(document.tool_specs, how, world),
        goals=[Goal(goal.name, list(map(_as_written, goal.spec.requires)), goal.utility) for goal in document.goals],
        rates=document.rates.rates,
        budget=Budget(**document.budget.given),
        quotas=[Quota(**entry.given) for entry in document.quotas],
        **options,
    )


def _simulated(specs: tuple[ToolSpec, ...], how: Mapping[str, SimulationEntry], world: World) -> list[Tool]:
    remedies = {role: {s.verify if role == "verify" else s.compensate: s for s in specs} for role in ("verify", "undo")}
    subjects: dict[str, FakeTool] = {}
    for spec in specs:
        if spec.name not in remedies["verify"] and spec.name not in remedies["undo"]:
            entry = how.get(spec.name, SimulationEntry())
            seconds = spec.cost.latency_s if entry.seconds is None else entry.seconds
            subjects[spec.name] = FakeTool(spec, world, seconds, entry.usd, entry.honours_key)
    found: list[Tool] = []
    for spec in specs:
        seconds = how.get(spec.name, SimulationEntry()).seconds
        takes = (spec.cost.latency_s or REMEDY_S) if seconds is None else seconds
        if spec.name in remedies["verify"]:
            found.append(FakeVerifier(spec, subjects[remedies["verify"][spec.name].name], takes))
        elif spec.name in remedies["undo"]:
            found.append(FakeCompensator(spec, subjects[remedies["undo"][spec.name].name], takes))
        else:
            found.append(subjects[spec.name])
    return found


def _as_written(need: Need) -> Any:
    return AtLeast(need.k, need.of) if isinstance(need, KOfN) else need
