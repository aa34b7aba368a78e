"""The ground truth where nobody else keeps one: effects as they happen at the door of the tools, after every fault."""

from typing import Any

from agentroute.attempt import current
from agentroute.graph.toolgraph import ToolGraph
from agentroute.ids import ArtifactId, ToolId, nanos
from agentroute.ports import Tool, ToolExecutor, Values
from agentroute.testing.world import World, digest


class Witness:
    """Makes calls through another executor, behind the fault injector, and writes down what really happened.

    A tool that changes something and returns has done it: ``once`` each time, ``idempotent`` once for a key. A
    compensator that returns has undone the effect it was called about. What a tool did before it raised is not known.
    """

    def __init__(self, inner: ToolExecutor, graph: ToolGraph, world: World) -> None:
        """Write into `world`."""
        self._inner = inner
        self._graph = graph
        self._world = world
        self._verifiers = {tool.verify for tool in graph.tools.values() if tool.verify is not None}
        self._compensators = {tool.compensate for tool in graph.tools.values() if tool.compensate is not None}

    async def call(self, tool: Tool, inputs: Values) -> Values:
        """Call the tool and write down what it did.

        What comes back is validated here, and handed on like that: validated twice, a default that is drawn anew would
        be two values.
        """
        outputs = _as_recorded(tool, await self._inner.call(tool, inputs))
        name = tool.spec.name
        if name in self._compensators:
            self._undone()
        else:
            self._done(tool, inputs, outputs)
        return outputs

    def _done(self, tool: Tool, inputs: Values, outputs: Values) -> None:
        attempt, spec = current(), tool.spec
        self._world.called[attempt.run_id, spec.name] += 1
        self._world.paid[attempt.run_id] += nanos(spec.cost.usd) if attempt.charged is None else attempt.charged
        if spec.effect != "read" and not self._known(spec.name, digest(inputs), again=spec.effect == "idempotent"):
            self._world.commit(spec.name, inputs, lambda _: outputs)
        self._world.answer(outputs)

    def _known(self, name: ToolId, inputs: str, *, again: bool) -> bool:
        """Whether this effect stands already, of a tool that may be called again."""
        return again and any(row.inputs == inputs for row in self._world.standing(current().run_id, name))

    def _undone(self) -> None:
        attempt = current()
        for row in self._world.standing(attempt.run_id):
            if row.key and row.key == attempt.original_key:
                row.undone_at = self._world.rows[-1].made_at if row.undone_at is None else row.undone_at


def _as_recorded(tool: Tool, raw: Values) -> Values:
    """The outputs as a run records them, where they satisfy the contract."""
    found: dict[ArtifactId, Any] = {}
    for name, value in raw.items():
        kind = tool.types.get(name)
        try:
            found[name] = value if kind is None else kind.validate(value)
        except Exception:  # noqa: BLE001  # what breaks the contract is recorded by nobody
            found[name] = value
    return found
