"""Whether the names in a scenario's expectations are names of anything: a misspelt one would hold for ever."""

from collections.abc import Iterable, Iterator, Sequence

from agentroute.agent import Agent
from agentroute.errors import ConfigurationError
from agentroute.graph.yaml_model import suggestion
from agentroute.testing.scenario.document import ScenarioDocument
from agentroute.testing.scenario.expectations import Expectations


def check_names(document: ScenarioDocument, agent: Agent) -> None:
    """Refuse expectations about what the agent does not have.

    Raises:
        ConfigurationError: With the name, and the one that was probably meant.
    """
    for key, said in (("steady-state-hypothesis", document.hypothesis), ("expect", document.expect)):
        for what, names, known in _mentioned(said, agent):
            for name in names:
                if name not in known:
                    hint = suggestion(name, known) or f"; there is: {', '.join(known)}"
                    raise ConfigurationError(f"{key}.{what}: agent {agent.name!r} has no {name!r}{hint}")


def check_effects(document: ScenarioDocument, *, real: bool) -> None:
    """Refuse to count effects where nobody sees them: behind a proxy only the servers know what they did.

    Raises:
        ConfigurationError: Saying what to say instead.
    """
    if real and (document.hypothesis.effects or document.expect.effects):
        raise ConfigurationError("effects: what real servers did stands in their database alone; say truth:")


def _mentioned(said: Expectations, agent: Agent) -> Iterator[tuple[str, Iterable[str], Sequence[str]]]:
    tools = [str(name) for name in agent.graph.tools]
    yield "effects", said.effects or (), tools
    yield "calls", said.calls or (), tools
    yield "left_behind", said.left_behind or (), tools
    yield "goal", [said.goal] if said.goal is not None else (), [str(name) for name in agent.graph.goals]
    yield "artifacts", said.artifacts or (), sorted({*map(str, agent.graph.artifacts), *map(str, agent.types)})
