"""Everything in its place before the first run: which agent, at which level, with what at hand."""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from agentroute.adapters.files import read_graph
from agentroute.agent import Agent
from agentroute.errors import ConfigurationError
from agentroute.graph.document import GraphDocument
from agentroute.graph.yaml_model import suggestion
from agentroute.guard.budget import Budget
from agentroute.loading import is_graph_file, load_agent, load_object
from agentroute.routing.health import Health
from agentroute.testing.faults.answers import Reversible
from agentroute.testing.faults.fault import BESIDE_CALLS, MONITORS, WIRE_ONLY, Fault
from agentroute.testing.scenario.document import ScenarioDocument
from agentroute.testing.scenario.naming import check_effects, check_names
from agentroute.testing.scenario.record import Level
from agentroute.testing.scenario.servers.processes import AGENT
from agentroute.testing.scenario.simulation import simulated_agent
from agentroute.testing.scenario.testbed import Row, Testbed
from agentroute.testing.wire import WIRE
from agentroute.testing.world import World

MADE_UP = "given"
"""Value of an input of a simulated agent that a scenario leaves out."""


Truth: TypeAlias = Callable[[Sequence[str]], Mapping[str, Sequence[Row]]]
"""Given the ids of runs, returns what really happened: rows by table."""


@dataclass(frozen=True, slots=True)
class Staging:
    """A scenario, ready to be played.

    Attributes:
        document: The scenario.
        file: Where it was read from.
        level: How real its faults are.
        make: Makes the agent, anew where that is possible; given the world that simulated tools leave their mark on,
            and the addresses of servers, where there are any.
        simulated: Whether its tools are simulated, so that the world is the ground truth.
        inputs: Artifacts at hand.
        testbed: Its servers.
        truth: Who knows what really happened, of an agent without servers.
    """

    document: ScenarioDocument
    file: str
    level: Level
    make: Callable[[World, Mapping[str, tuple[str, int]]], Agent]
    simulated: bool
    inputs: Mapping[str, Any]
    testbed: Testbed | None = None
    truth: Truth | None = None

    @property
    def is_virtual(self) -> bool:
        """Whether it is played in virtual time."""
        return self.level == "virtual"

    @property
    def is_real(self) -> bool:
        """Whether its servers are real, and its faults made before them."""
        return self.level in ("wire", "process")

    def budget(self, agent: Agent) -> Budget:
        """Limits of each run."""
        given = self.document.budget
        return agent.budget if given is None else Budget(**given.given)

    def health(self, agent: Agent) -> Health:
        """Settings of the agent's health."""
        given = self.document.health
        said = {} if given is None else given.model_dump(exclude_none=True)
        return replace(agent.health, **said)


def stage(
    document: ScenarioDocument,
    file: str,
    testbed: Testbed | None,
    *,
    level: Level | None = None,
    addresses: Mapping[str, tuple[str, int]] | None = None,
) -> Staging:
    """Put everything in its place.

    Args:
        document: The scenario.
        file: Where it was read from; paths in it are seen from there.
        testbed: Its servers, where it names a testbed.
        level: In place of the one it says.
        addresses: Where its servers are, if the testbed was started by another process.

    Raises:
        AgentrouteError: The agent, its inputs or its faults cannot be used as the scenario has them.
    """
    asked = level or document.level
    if testbed is not None:
        staging = _with_servers(document, file, testbed, asked or "process")
    else:
        staging = _without_servers(document, file, asked)
    if addresses is None:
        addresses = {} if staging.testbed is None else staging.testbed.addresses
    agent = staging.make(World(), addresses)
    check_names(document, agent)
    check_effects(document, real=staging.is_real)
    _check_faults(staging, agent)
    return staging


def load_testbed(document: ScenarioDocument, file: str) -> Testbed | None:
    """Make the testbed that a scenario names; nothing is started.

    Raises:
        ConfigurationError: There is no such thing.
    """
    if document.testbed is None:
        return None
    make = load_object(document.testbed, base=Path(file).parent)
    if not callable(make):
        raise ConfigurationError(f"{document.testbed} is no function that makes a testbed")
    testbed: Any = make()
    return testbed


def _with_servers(document: ScenarioDocument, file: str, testbed: Testbed, level: Level) -> Staging:
    if level == "virtual":
        raise ConfigurationError("servers and virtual time do not mix; say level: call, wire or process")

    def make(_: World, addresses: Mapping[str, tuple[str, int]]) -> Agent:
        return testbed.agent(addresses)

    return Staging(document, file, level, make, simulated=False, inputs=document.inputs, testbed=testbed)


def _without_servers(document: ScenarioDocument, file: str, level: Level | None) -> Staging:
    if level in ("wire", "process"):
        raise ConfigurationError(f"level {level} needs a testbed: servers that can be broken")
    graph = _graph(document, file)
    if graph is not None:
        if level == "call":
            raise ConfigurationError("tools without code are simulated, in virtual time only; leave level out")
        return _simulation(document, file, graph)
    target, base = str(document.agent), Path(file).parent
    agent = load_agent(target, base=base)
    real = [str(name) for name, tool in agent.tools.items() if _needs_real_time(tool)]
    if level == "virtual" and real:
        raise ConfigurationError(f"{', '.join(real)} need real time; say level: call")

    def make(_: World, __: Mapping[str, tuple[str, int]]) -> Agent:
        return load_agent(target, base=base)  # anew, where it names a function

    truth: Truth | None = None if document.truth is None else load_object(document.truth, base=base)
    chosen: Level = level or ("call" if real else "virtual")
    return Staging(document, file, chosen, make, simulated=False, inputs=document.inputs, truth=truth)


def _graph(document: ScenarioDocument, file: str) -> GraphDocument | None:
    """The graph whose tools are to be simulated, if it is one."""
    if isinstance(document.agent, GraphDocument):
        return document.agent
    if document.agent is not None and is_graph_file(document.agent):
        return read_graph(Path(file).parent / document.agent)
    return None


def _simulation(document: ScenarioDocument, file: str, graph: GraphDocument) -> Staging:
    names = [tool.name for tool in graph.tools]
    for name in document.simulate:
        if name not in names:
            raise ConfigurationError(f"simulate: no tool is named {name!r}{suggestion(name, names)}")

    def make(world: World, _: Mapping[str, tuple[str, int]]) -> Agent:
        return simulated_agent(graph, document.simulate, world)

    inputs = dict.fromkeys(map(str, make(World(), {}).graph.inputs), MADE_UP)
    return Staging(document, file, "virtual", make, simulated=True, inputs={**inputs, **document.inputs})


def _needs_real_time(tool: object) -> bool:
    """Whether a tool talks to something outside, which virtual time would not wait for."""
    module = type(tool).__module__
    return module.startswith(("agentroute.adapters.mcp", "agentroute.adapters.http", "agentroute.adapters.models"))


def _check_faults(staging: Staging, agent: Agent) -> None:
    """Refuse faults that the level cannot do, or that hit nothing.

    Raises:
        ConfigurationError: Naming the fault and why.
    """
    for number, fault in enumerate(staging.document.faults):
        why = _why_not(staging, agent, fault)
        if why is not None:
            raise ConfigurationError(f"method[{number}], {fault}: {why}")


def _why_not(staging: Staging, agent: Agent, fault: Fault) -> str | None:
    why = _beside(staging, agent, fault) if fault.type in BESIDE_CALLS else _of_calls(staging, agent, fault)
    if why is not None or fault.type in BESIDE_CALLS:
        return why
    specs = agent.graph.tools.values()
    if not any(fault.aims_at(spec.name, spec.provider) for spec in specs):
        return f"hits no tool of agent {agent.name!r}; there is: {', '.join(spec.name for spec in specs)}"
    return None


def _beside(staging: Staging, agent: Agent, fault: Fault) -> str | None:
    if fault.type in MONITORS:
        names = [monitor.name for monitor in (*staging.document.monitors, *agent.monitors) if hasattr(monitor, "name")]
        if not any(fnmatch.fnmatchcase(name, fault.target) for name in names):
            there = f"there is: {', '.join(names)}" if names else "there are none; say monitors:"
            return f"hits no monitor; {there}"
    if fault.type.startswith("model") and staging.document.escalate != "model":
        return "nobody asks a model; say escalate: model"
    return None


def _of_calls(staging: Staging, agent: Agent, fault: Fault) -> str | None:
    if staging.is_real:
        return _of_servers(staging, fault)
    if fault.victim is not None and fault.type == "hang":
        return "a process can hang at level process only; leave victim out"
    providers = {str(spec.provider or spec.name) for spec in agent.graph.tools.values()}
    if fault.victim is not None and fault.victim not in providers:
        return f"nobody is called {fault.victim!r}{suggestion(fault.victim, sorted(providers))}"
    if fault.type in WIRE_ONLY:
        return f"only bytes on a wire can have it; say level: wire (level is {staging.level})"
    aimed = [tool for tool in agent.tools.values() if fault.aims_at(tool.spec.name, tool.spec.provider)]
    if fault.type == "silent_noop" and not all(isinstance(tool, Reversible) for tool in aimed):
        return "only simulated tools (and those with `never_happened`) can be made not to have done what they did"
    return None


def _of_servers(staging: Staging, fault: Fault) -> str | None:
    if fault.attempts is not None and staging.document.runs > 1:
        return "calls are counted over all runs before a real server; say from and until, or runs: 1"
    if fault.type not in WIRE | {"flap", "ramp", "tail"}:
        return f"cannot be done before a real server; say level: call (level is {staging.level})"
    if fault.type in ("down", "flap") and fault.attempts is not None:
        return "a server is down for everybody who calls it: say from and until, not attempts"
    if staging.level != "process" and (fault.type == "crash" or fault.victim is not None):
        return "needs level: process"
    if fault.victim == AGENT and staging.document.runs > 1:
        return "an agent in a process of its own makes one run"
    if fault.victim not in (None, AGENT) and staging.testbed is not None:
        servers = staging.testbed.addresses
        return (
            None if fault.victim in servers else f"there is no server {fault.victim!r}; there is: {', '.join(servers)}"
        )
    return None
