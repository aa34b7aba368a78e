"""Which calls a run without faults makes, and when: worked out from the plan, without playing it."""

from collections.abc import Sequence
from dataclasses import dataclass

from agentroute.graph.document import GraphDocument
from agentroute.graph.tool import KOfN, Need
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.budget import Budget
from agentroute.ids import ArtifactId
from agentroute.routing.board import HealthBoard
from agentroute.routing.health import Health
from agentroute.run.plan import Planner
from agentroute.testing.scenario.drawing.sketch import AgentSketch, ToolSketch


@dataclass(frozen=True, slots=True)
class Expected:
    """A call that a run makes when all goes well.

    Attributes:
        tool: Who is called.
        at: Seconds since the start of the run.
    """

    tool: ToolSketch
    at: float

    @property
    def ends(self) -> float:
        """When it is answered."""
        return self.at + self.tool.takes_s


def forecast(agent: AgentSketch) -> list[Expected]:
    """The calls of a run without faults, in an order that can be executed; none if it cannot succeed.

    Each tool of the route begins as soon as its inputs are there.
    """
    document = GraphDocument.model_validate(agent.document())
    graph = ToolGraph(document.tool_specs, document.goal_specs)
    planner = Planner(graph, HealthBoard(Health()), document.rates.rates, Budget(**agent.budget))
    plan = planner.plan(graph.first_goal, graph.inputs, (), 0.0)
    there: dict[ArtifactId, float] = dict.fromkeys(graph.inputs, 0.0)
    calls: list[Expected] = []
    specs = {str(name): spec for name, spec in graph.tools.items()}
    for name in plan.tools:
        call = Expected(agent.tool(name), _ready(specs[name].requires, there))
        calls.append(call)
        for artifact in specs[name].produces:
            there[artifact] = min(there.get(artifact, call.ends), call.ends)
    return calls


def _ready(needs: Sequence[Need], there: dict[ArtifactId, float]) -> float:
    """When all inputs are there."""
    ready = 0.0
    for need in needs:
        if isinstance(need, KOfN):
            times = sorted(there[artifact] for artifact in need.of if artifact in there)
            ready = max(ready, times[need.k - 1])
        else:
            ready = max(ready, there[need])
    return ready
