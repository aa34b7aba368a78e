"""The ground truth where nobody else keeps one: effects as they happen at the door of the tools, after every fault."""

from typing import Any

from agentroute.attempt import current
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.failures import classify
from agentroute.ids import ArtifactId, ToolId, nanos
from agentroute.ports import Tool, ToolExecutor, Values
from agentroute.testing.world import World, digest


class Witness:
    """Makes calls through another executor, behind the fault injector, and writes down what really happened.

    A tool that changes something and returns has done it: ``once`` each time, ``idempotent`` once for its inputs. A
    compensator that returns has undone the effect it was called about. What a tool did before it raised, or was cut
    off, is unclear, until its verifier says. Only the user's own database knows better: see ``truth`` of a scenario.
    """

    def __init__(self, inner: ToolExecutor, graph: ToolGraph, world: World) -> None:
        """Write into `world`."""
        self._inner = inner
        self._graph = graph
        self._world = world
        self._verifies = {tool.verify: tool for tool in graph.tools.values() if tool.verify is not None}
        self._compensators = {tool.compensate for tool in graph.tools.values() if tool.compensate is not None}

    async def call(self, tool: Tool, inputs: Values) -> Values:
        """Call the tool and write down what it did.

        What comes back is validated here, and handed on like that: validated twice, a default that is drawn anew would
        be two values.
        """
        try:
            outputs = _as_recorded(tool, await self._inner.call(tool, inputs))
        except BaseException as error:
            self._unclear(tool, error)
            raise
        name = tool.spec.name
        if name in self._compensators:
            self._undone()
        else:
            self._done(tool, inputs, outputs)
        if name in self._verifies:
            self._found(self._verifies[name].name, inputs, outputs)
        return outputs

    def _unclear(self, tool: Tool, error: BaseException) -> None:
        """Note that a call may have done what it was for, unless its failure says that it did not."""
        nothing_happened = classify(error).kind in ("transient", "rate_limited", "permanent")
        if tool.spec.effect != "read" and not (isinstance(error, Exception) and nothing_happened):
            attempt = current()
            self._world.unclear.append((attempt.run_id, tool.spec.name, attempt.idempotency_key))

    def _found(self, subject: ToolId, inputs: Values, outputs: Values) -> None:
        """Take a verifier's word for an effect that was unclear: it happened with these outputs, or it did not."""
        attempt = current()
        case = (str(attempt.run_id), str(subject), attempt.original_key)
        unclear = [each for each in self._world.unclear if each == case]
        self._world.unclear = [each for each in self._world.unclear if each != case]
        if unclear and outputs:
            row = self._world.commit(subject, inputs, lambda _: outputs)
            row.key = attempt.original_key

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
