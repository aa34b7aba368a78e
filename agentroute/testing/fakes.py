"""Fakes: tools whose outcome is scripted, tools that are made from a line, and the world they act on.

Nothing here is a mock: a fake tool has a contract like any other and is called through the same code.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias, cast

import anyio
import anyio.lowlevel
from pydantic import BaseModel

from agentroute.adapters.memory_journal import MemoryJournal
from agentroute.attempt import current
from agentroute.errors import ToolError
from agentroute.graph.artifact import ArtifactType
from agentroute.graph.cost import Amounts, Cost
from agentroute.graph.tool import DEFAULT_TIMEOUT_S, AtLeast, Effect, Guard, KOfN, Need, StepTier, ToolSpec
from agentroute.ids import ArtifactId, RunId, ToolId, nanos
from agentroute.ports import Completion, Tool, ToolExecutor, Values
from agentroute.run.events import Event
from agentroute.runtime.services import DirectCalls
from agentroute.testing.world import World, digest

Outcome: TypeAlias = Any
"""One entry of a script: a value, an exception to raise, or a function of the inputs that returns or raises one."""


@dataclass(frozen=True, slots=True)
class After:
    """An outcome that takes its time; ``After(seconds)`` alone never comes."""

    seconds: float
    then: Outcome = None


@dataclass(frozen=True, slots=True)
class Played:
    """A call that `ScriptedTools` answered or passed on."""

    tool: str
    inputs: Values
    at: float


class ScriptedTools:
    """Plays outcomes instead of calling tools: ``ScriptedTools({"search": [ConnectionError("down"), Flights(...)]})``.

    Outcomes of a tool are played in order, one a call. A tool without a script, or whose script is over, is called.

    - A value stands for the one artifact that the tool produces; a tuple for several.
    - An exception (or a type of one) is raised; a function is called with the inputs and its result is played.
    - ``After(2.0, outcome)`` plays `outcome` after two seconds, ``After(math.inf)`` never.

    Attributes:
        calls: Every call so far, in order.
    """

    def __init__(self, scripts: Mapping[str, Iterable[Outcome]], *, inner: ToolExecutor | None = None) -> None:
        """Take the scripts; `inner` makes the calls that have none (directly, by default)."""
        self._scripts = {name: list(outcomes) for name, outcomes in scripts.items()}
        self._inner = inner or DirectCalls()
        self.calls: list[Played] = []

    async def call(self, tool: Tool, inputs: Values) -> Values:
        """Play the tool's next outcome."""
        name = tool.spec.name
        self.calls.append(Played(name, inputs, anyio.current_time()))
        script = self._scripts.get(name)
        if not script:
            return await self._inner.call(tool, inputs)
        return await _play(script.pop(0), tool.spec, inputs)

    def times(self, tool: str) -> list[float]:
        """When `tool` was called, in seconds of the event loop."""
        return [call.at for call in self.calls if call.tool == tool]


async def _play(outcome: Outcome, spec: ToolSpec, inputs: Values) -> Values:
    if isinstance(outcome, After):
        await anyio.sleep(outcome.seconds)
        return await _play(outcome.then, spec, inputs)
    if isinstance(outcome, BaseException) or _is_exception(outcome):
        raise outcome
    if inspect.isroutine(outcome):
        return await _play(cast("Callable[[Values], Outcome]", outcome)(inputs), spec, inputs)
    if outcome is None:
        return {}
    values = cast("tuple[Any, ...]", outcome if len(spec.produces) != 1 else (outcome,))
    return dict(zip(spec.produces, values, strict=True))


def _is_exception(outcome: Outcome) -> bool:
    return isinstance(outcome, type) and issubclass(outcome, BaseException)


# -------------------------------------------------------------------- tools from a line


@lru_cache(maxsize=4096)
def _text(name: ArtifactId) -> ArtifactType:
    """An artifact that is a string; made once, as simulations make thousands of agents."""
    return ArtifactType(name, str)


@dataclass(frozen=True, slots=True)
class FakeTool:
    """A tool that does nothing but leave its mark on a world. Values are strings that say where they come from."""

    spec: ToolSpec
    world: World
    seconds: float = 0.0
    price: float | None = None
    honours_key: bool = False
    when: Guard | None = None
    ensure: Callable[[Any], bool] | None = None
    auxiliaries: Sequence[Tool] = ()

    @property
    def types(self) -> Mapping[ArtifactId, ArtifactType]:
        """Every artifact is a string."""
        named = [*self.spec.produces, *self.spec.optional]
        for need in self.spec.requires:
            named += need.of if isinstance(need, KOfN) else [need]
        return {name: _text(name) for name in named}

    async def call(self, inputs: Values) -> Values:
        """Take the time, take the money, let the effect happen, answer."""
        name, attempt = self.spec.name, current()
        self.world.called[attempt.run_id, name] += 1
        if self.price is not None:
            attempt.charge(usd=self.price)
        self.world.paid[attempt.run_id] += nanos(self.spec.cost.usd if self.price is None else self.price)
        if self.seconds:
            await anyio.sleep(self.seconds)
        return self.world.answer(self._outputs(inputs))

    def never_happened(self, run: str) -> bool:
        """Take back the latest effect of a run, for ``silent_noop``."""
        return self.world.never_happened(run, self.spec.name)

    def _outputs(self, inputs: Values) -> Values:
        name, mark = self.spec.name, digest(inputs)
        if self.spec.effect == "read":
            return {artifact: f"{artifact} from {name}({mark})" for artifact in self.spec.produces}
        if self.spec.effect == "idempotent" or self.honours_key:
            for row in self.world.standing(current().run_id, name):
                if row.inputs == mark:
                    return {ArtifactId(artifact): value for artifact, value in row.outputs.items()}
        row = self.world.commit(
            name, inputs, lambda number: {a: f"{a} from {name}#{number}" for a in self.spec.produces}
        )
        return {ArtifactId(artifact): value for artifact, value in row.outputs.items()}


def fake_tool(
    name: str,
    needs: Iterable[str | AtLeast] = (),
    makes: Iterable[str] = (),
    *,
    world: World | None = None,
    effect: Effect = "read",
    usd: float = 0.0,
    usd_max: float | None = None,
    latency_s: float = 0.0,
    risk: float = 0.0,
    wh: float = 0.0,
    seconds: float = 0.0,
    price: float | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    provider: str | None = None,
    verify: str | None = None,
    compensate: str | None = None,
    optional: Iterable[str] = (),
    calls_model: bool = False,
    tokens: int = 0,
    tier: StepTier | None = None,
    honours_key: bool = False,
    when: Guard | None = None,
    ensure: Callable[[Any], bool] | None = None,
) -> FakeTool:
    """Make a tool from a line: ``fake_tool("search", ["trip"], ["flights"], usd=0.01)``.

    Args:
        name: Its name.
        needs: Artifacts it takes; ``AtLeast(2, ["a", "b", "c"])`` joins.
        makes: Artifacts it produces.
        world: What it acts on; a world of its own if left out.
        seconds: How long a call really takes.
        price: What a call really costs, in USD, where it differs from `usd`.
        honours_key: The provider refuses to do the same thing twice under one idempotency key.
        effect: As for `agentroute.tool`, and so are the others; the default here is ``read``.
    """
    spec = ToolSpec(
        ToolId(name),
        requires=tuple(_need(need) for need in needs),
        produces=tuple(map(ArtifactId, makes)),
        cost=Cost(usd, usd_max, latency_s, risk, wh=wh),
        effect=effect,
        timeout_s=timeout_s,
        provider=provider,
        verify=None if verify is None else ToolId(verify),
        compensate=None if compensate is None else ToolId(compensate),
        optional=tuple(map(ArtifactId, optional)),
        calls_model=calls_model,
        tokens=tokens,
        tier=tier,
    )
    return FakeTool(spec, World() if world is None else world, seconds, price, honours_key, when, ensure)


def _need(need: str | AtLeast) -> Need:
    return KOfN(need.k, tuple(map(ArtifactId, need.of))) if isinstance(need, AtLeast) else ArtifactId(need)


@dataclass(frozen=True, slots=True)
class FakeVerifier:
    """Looks an effect up in the world by the inputs that would have caused it."""

    spec: ToolSpec
    subject: FakeTool
    seconds: float = 0.0
    when: Guard | None = None
    ensure: Callable[[Any], bool] | None = None
    auxiliaries: Sequence[Tool] = ()

    @property
    def types(self) -> Mapping[ArtifactId, ArtifactType]:
        """As the tool it looks after."""
        return self.subject.types

    async def call(self, inputs: Values) -> Values:
        """Return what the effect produced, or nothing."""
        await anyio.sleep(self.seconds)
        for row in self.subject.world.standing(current().run_id, self.subject.spec.name):
            if row.inputs == digest(inputs):
                return self.subject.world.answer({ArtifactId(name): value for name, value in row.outputs.items()})
        return {}


@dataclass(frozen=True, slots=True)
class FakeCompensator:
    """Undoes the effect that produced the artifacts it is given, whoever caused it."""

    spec: ToolSpec
    subject: FakeTool
    seconds: float = 0.0
    when: Guard | None = None
    ensure: Callable[[Any], bool] | None = None
    auxiliaries: Sequence[Tool] = ()

    @property
    def types(self) -> Mapping[ArtifactId, ArtifactType]:
        """As the tool it looks after."""
        return self.subject.types

    async def call(self, inputs: Values) -> Values:
        """Undo it.

        Raises:
            ToolError: Of kind permanent, when there is no such effect.
        """
        await anyio.sleep(self.seconds)
        for row in self.subject.world.rows:
            if row.run == current().run_id and all(row.outputs.get(a) == value for a, value in inputs.items()):
                row.undone_at = anyio.current_time() if row.undone_at is None else row.undone_at
                return {}
        raise ToolError("nothing here to undo", kind="permanent")


def fake_verifier(
    subject: FakeTool, *, name: str | None = None, seconds: float = 0.0, timeout_s: float = 5.0
) -> FakeVerifier:
    """Make the tool that `subject` names as its ``verify``."""
    label = name or subject.spec.verify or f"{subject.spec.name}.verify"
    spec = ToolSpec(ToolId(label), subject.spec.requires, subject.spec.produces, effect="read", timeout_s=timeout_s)
    return FakeVerifier(spec, subject, seconds)


def fake_compensator(
    subject: FakeTool, *, name: str | None = None, seconds: float = 0.0, timeout_s: float = 5.0
) -> FakeCompensator:
    """Make the tool that `subject` names as its ``compensate``."""
    label = name or subject.spec.compensate or f"{subject.spec.name}.compensate"
    spec = ToolSpec(ToolId(label), subject.spec.produces, effect="idempotent", timeout_s=timeout_s)
    return FakeCompensator(spec, subject, seconds)


@dataclass(frozen=True, slots=True)
class FakeGuard:
    """A condition on artifacts whose answer is known beforehand."""

    reads: Sequence[ArtifactId]
    answer: bool

    def allows(self, values: Mapping[ArtifactId, Any]) -> bool:
        """Say what was to be said."""
        del values
        return self.answer


# -------------------------------------------------------------------- journals


class YieldingJournal(MemoryJournal):
    """A journal in memory that lets others run before and after each fact, as one on disk does."""

    def __init__(self, *, yields: bool = True, seconds: float = 0.0) -> None:
        """Yield, or wait `seconds` before each fact, too."""
        super().__init__()
        self._yields = yields
        self._seconds = seconds

    async def append(self, run: RunId, event: Event) -> None:
        """Keep one fact."""
        if self._yields:
            await anyio.lowlevel.checkpoint()
        if self._seconds:
            await anyio.sleep(self._seconds)
        await super().append(run, event)
        if self._yields:
            await anyio.lowlevel.checkpoint()


# -------------------------------------------------------------------- a language model


@dataclass(slots=True)
class FakeModel:
    """A language model that says what it is told to, for tests of escalation that need no HTTP.

    Attributes:
        answers: Texts to answer with, exceptions to raise, or `After`, in order; the last one stays.
        usd: What a call costs.
        usd_max: What it costs at most.
        tokens_max: Tokens that it reads and writes at most; usually it is 15.
        asked: Messages of every call so far.
        efforts: How much each of them was asked to think.
    """

    answers: list[Outcome]
    usd: float | None = 0.001
    usd_max: float = 0.002
    tokens_max: int = 100
    asked: list[Sequence[Mapping[str, str]]] = field(default_factory=list[Sequence[Mapping[str, str]]])
    efforts: list[str | None] = field(default_factory=list[str | None])

    def worst_case(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        max_tokens: int,
        *,
        answer: type[BaseModel] | None = None,
    ) -> Amounts:
        """What was declared."""
        del model, messages, max_tokens, answer
        return Amounts(nanos(self.usd_max), tokens=self.tokens_max, model_calls=1)

    async def complete(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        *,
        answer: type[BaseModel] | None = None,
        max_tokens: int,
        timeout_s: float,
        effort: str | None = None,
    ) -> Completion:
        """Give the next answer."""
        del model, answer, max_tokens, timeout_s
        self.asked.append(messages)
        self.efforts.append(effort)
        outcome = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(outcome, After):
            await anyio.sleep(outcome.seconds)
            outcome = outcome.then
        if isinstance(outcome, BaseException):
            raise outcome
        return Completion(outcome, self.usd, input_tokens=10, output_tokens=5)
