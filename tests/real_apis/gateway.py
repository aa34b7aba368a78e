"""Real API objects as tools: two gateways to each, with a record of the calls that came through.

A gold call becomes an artifact of its own (``s03``) with two tools that produce it: by the main gateway, and by a spare
one that is a bit dearer. Both lead to the same object, so an effect made through both is made twice. Each gateway keeps
a record of what it did under which idempotency key, answers a key that it knows from the record, and looks a key up
when asked whether something has happened.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
from pydantic import BaseModel, ConfigDict

from agentroute.attempt import Attempt, current
from agentroute.errors import ToolError
from agentroute.graph.artifact import ArtifactType
from agentroute.graph.cost import Cost
from agentroute.graph.goal import Goal
from agentroute.graph.tool import Guard, ToolSpec
from agentroute.ids import ArtifactId, ToolId, nanos
from agentroute.ports import Tool, Values
from agentroute.testing.world import Row, World
from tests.real_apis.bfcl import GoldCall, Suite, Task

WAYS: Mapping[str, float] = {"main": 0.0010, "spare": 0.0012}
"""USD for a call, by gateway."""

START = ArtifactId("start")
TIMEOUT_S = 5.0
SECONDS = 0.05
"""How long a call takes on its way to the object; the call itself takes none."""


class Answer(BaseModel):
    """What a gateway answers: what the method returned, under the number of the call in its record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    receipt: int
    value: Any


@dataclass(slots=True)
class Office:
    """Everything behind the gateways: the API objects, and the record.

    Attributes:
        apis: The real objects.
        world: Effects by key; the ground truth for the invariants.
        done: Numbers of the gold calls that changed their object, or could have, in order.
        arrived: Calls of that kind that came to an object, whatever it made of them.
        again: Gold calls that came to their object when they had been done already.
        keeps_keys: Whether a key that is known is answered from the record, as payment providers do.
    """

    apis: Mapping[str, Any]
    world: World = field(default_factory=World)
    done: list[int] = field(default_factory=list[int])
    arrived: int = 0
    again: set[int] = field(default_factory=set[int])
    keeps_keys: bool = True
    receipts: int = 0
    billed: set[int] = field(default_factory=set[int])

    def serve(self, spec: ToolSpec, call: GoldCall, inputs: Values) -> Values:
        """Make a call on the real object.

        Raises:
            ToolError: Of kind permanent, if the API says that it could not do it.
        """
        attempt = current()
        self.world.called[attempt.run_id, spec.name] += 1
        if self.keeps_keys and (known := self.find(spec.name, attempt.idempotency_key)) is not None:
            return self.world.answer(outputs_of(known))
        if spec.effect != "read":
            self.arrived += 1
            self.again |= {call.number} & set(self.done)
        value = copy.deepcopy(call.make(self.apis))  # some answer with a part of their state, which goes on changing
        if isinstance(value, dict) and "error" in value:
            raise ToolError(str(cast("dict[str, Any]", value)["error"]), kind="permanent")
        self._bill(attempt, spec)
        self.receipts += 1
        outputs = {spec.produces[0]: Answer(receipt=self.receipts, value=value)}
        if spec.effect != "read":
            self.done.append(call.number)
            self.world.commit(spec.name, inputs, lambda _: outputs)
        return self.world.answer(outputs)

    def _bill(self, attempt: Attempt, spec: ToolSpec) -> None:
        """Charge for what was done, once where a request came twice; refusals and answers from the record are free."""
        if attempt.attempt not in self.billed:
            self.billed.add(attempt.attempt)
            self.world.paid[attempt.run_id] += nanos(spec.cost.usd)

    def find(self, tool: str, key: str) -> Row | None:
        """What was done through `tool` under `key`, if anything was."""
        rows = self.world.standing(current().run_id, tool) if key else []
        return next((row for row in rows if row.key == key), None)


def outputs_of(row: Row) -> Values:
    return {ArtifactId(name): value for name, value in row.outputs.items()}


@dataclass(frozen=True, slots=True)
class CallTool:
    """A gold call through one gateway."""

    spec: ToolSpec
    office: Office
    gold: GoldCall
    types: Mapping[ArtifactId, ArtifactType]
    when: Guard | None = None
    ensure: Callable[[Any], bool] | None = None
    auxiliaries: Sequence[Tool] = ()

    async def call(self, inputs: Values) -> Values:
        await anyio.sleep(SECONDS)
        return self.office.serve(self.spec, self.gold, inputs)


@dataclass(frozen=True, slots=True)
class LookUp:
    """Looks into a gateway's record for what an attempt in doubt may have done."""

    spec: ToolSpec
    office: Office
    subject: ToolId
    types: Mapping[ArtifactId, ArtifactType]
    when: Guard | None = None
    ensure: Callable[[Any], bool] | None = None
    auxiliaries: Sequence[Tool] = ()

    async def call(self, inputs: Values) -> Values:
        await anyio.sleep(SECONDS)
        attempt = current()
        self.office.world.called[attempt.run_id, self.spec.name] += 1
        row = self.office.find(self.subject, attempt.original_key)
        return {} if row is None else self.office.world.answer(outputs_of(row))


def step(number: int) -> ArtifactId:
    """The artifact of a gold call."""
    return ArtifactId(f"s{number:02}")


def tools_of(task: Task, suite: Suite, office: Office, *, by_object: bool = False) -> list[Tool]:
    """Tools for a task's calls, each call waiting for the one before it.

    Args:
        task: The task.
        suite: Knows which methods only read.
        office: What the tools act on.
        by_object: Wait for the one before it on the same object only. The arguments are literals, so nothing else
            connects calls on different objects, and they may run at the same time.
    """
    last: dict[str, ArtifactId] = {}
    tools: list[Tool] = []
    for call in task.calls:
        chain = call.api if by_object else ""
        effect = "once" if (call.api, call.method) in suite.effects else "read"
        for way in WAYS:
            tools += _pair(call, way, last.get(chain, START), effect == "once", office)
        last[chain] = step(call.number)
    return tools


def _pair(call: GoldCall, way: str, before: ArtifactId, once: bool, office: Office) -> Iterator[Tool]:  # noqa: FBT001  # private
    """A call through a gateway, with its look-up if it changes something."""
    name, made = ToolId(f"{step(call.number)}.{call.api}.{call.method}.{way}"), step(call.number)
    verify = ToolId(f"look.{name}") if once else None
    types = {made: ArtifactType(made, Answer)}
    spec = ToolSpec(
        name,
        requires=(before,),
        produces=(made,),
        cost=Cost(usd=WAYS[way], latency_s=SECONDS),
        effect="once" if once else "read",
        timeout_s=TIMEOUT_S,
        provider=f"{call.api}.{way}",
        verify=verify,
    )
    yield CallTool(spec, office, call, types)
    if verify is not None:
        look = ToolSpec(verify, (before,), (made,), effect="read", timeout_s=TIMEOUT_S, provider=spec.provider)
        yield LookUp(look, office, name, types)


def goals_of(task: Task, *, by_object: bool = False) -> list[Goal]:
    """The whole task, and as lesser goals the turns up to each one before the last."""
    turns = sorted({call.turn for call in task.calls})
    goals = [Goal("task", requires=_ends(task, turns[-1], by_object=by_object))]
    for rank, turn in enumerate(turns[:-1], 1):
        goals.append(Goal(f"turn-{turn}", _ends(task, turn, by_object=by_object), utility=rank / len(turns)))
    return goals


def _ends(task: Task, turn: int, *, by_object: bool) -> list[str]:
    """The last call up to the end of a turn, or the last on each object."""
    last = {call.api if by_object else "": step(call.number) for call in task.calls if call.turn <= turn}
    return sorted(last.values())
