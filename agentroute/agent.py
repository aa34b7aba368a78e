"""An agent: tools, goals and limits, put together. The composition root of the library."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any, Self

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError

from agentroute.adapters.clock import LoopClock
from agentroute.adapters.memory_journal import MemoryJournal
from agentroute.errors import DefinitionError, InputError, NoRouteError, UnknownRunError
from agentroute.graph.artifact import Artifact, ArtifactType, artifact_type, marker
from agentroute.graph.cost import Rates
from agentroute.graph.goal import Goal
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.budget import Budget
from agentroute.ids import ArtifactId, GoalId, NanoUsd, RunId, ToolId, dollars
from agentroute.ports import Clock, Journal, LanguageModel, Observer, Tool, ToolExecutor
from agentroute.routing.health import Health, HealthBoard
from agentroute.routing.router import Problem, Route, cheapest_route, missing
from agentroute.run.events import RunStarted
from agentroute.run.state import RunState, fold
from agentroute.runtime.escalation import Choice
from agentroute.runtime.result import RunResult, result_of
from agentroute.runtime.runner import Runner
from agentroute.runtime.services import DirectCalls, Services


class RoutePlan(BaseModel):
    """A route as it would be taken now.

    Attributes:
        goal: What it leads to.
        feasible: Whether there is one.
        tools: Tools to call, in an order that can be executed.
        weight: Expected cost in USD, time and risk included at the agent's rates.
        optimal: Proven to be the cheapest.
        reason: Why there is none.
    """

    model_config = ConfigDict(frozen=True)

    goal: str
    feasible: bool
    tools: list[str] = []
    weight: float = 0.0
    optimal: bool = False
    reason: str = ""


class Agent:
    """Runs goals over a graph of tools that follows from their types.

    Args:
        name: Shown in traces and in the store.
        tools: Functions decorated with `tool`, MCP tools, HTTP endpoints, model steps, other agents.
        goals: What runs can ask for; the first is the default, the others (by utility) are what a run falls back to.
        budget: Limits of each run.
        rates: What a second and a risk are worth, in USD.
        health: How quickly trust in a tool is lost and regained; shared by all runs.
        escalate: Who chooses when no route is left: ``"policy"`` (highest utility), ``"human"`` (the run is suspended),
            or the name of a model, as litellm spells it.
        max_concurrency: Calls that may be under way at once, over all runs.
        journal: Where facts are recorded; in memory by default.
        observers: Told of every fact, such as traces and logs.
        executor: Makes the calls; fault injection stands in here.
        model: Language model for escalations; litellm by default, loaded when first needed.
        clock: The time; the event loop's by default.
        seed: Makes run ids and jitter reproducible.

    Raises:
        DefinitionError: Something does not fit together, with its name and why.
    """

    def __init__(
        self,
        *,
        name: str,
        tools: Iterable[Tool],
        goals: Sequence[Goal],
        budget: Budget | None = None,
        rates: Rates | None = None,
        health: Health | None = None,
        escalate: str = "policy",
        max_concurrency: int = 64,
        journal: Journal | None = None,
        observers: Sequence[Observer] = (),
        executor: ToolExecutor | None = None,
        model: LanguageModel | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
    ) -> None:
        """Check that the parts fit and derive the graph."""
        if isinstance(max_concurrency, bool) or max_concurrency < 1:
            raise DefinitionError("agent", f"max_concurrency must be a whole number from 1, not {max_concurrency!r}")
        callable_tools = _with_auxiliaries(tools)
        self.types = _types(callable_tools, goals)
        self.graph = ToolGraph((tool.spec for tool in callable_tools), (goal.spec for goal in goals))
        self.name = name
        self._reachable: set[tuple[GoalId, frozenset[ArtifactId]]] = set()
        self._services = Services(
            name=name,
            graph=self.graph,
            tools={tool.spec.name: tool for tool in callable_tools},
            board=HealthBoard(health or Health()),
            budget=budget or Budget(),
            rates=rates or Rates(),
            escalate=escalate,
            executor=executor or DirectCalls(),
            journal=journal or MemoryJournal(),
            observers=observers,
            model=(lambda: model) if model is not None else _litellm,
            clock=clock or LoopClock(),
            random=Random(seed),  # noqa: S311  # jitter and names, not secrets
            slots=anyio.Semaphore(max_concurrency, fast_acquire=True),
            redact=str,
        )

    # ---------------------------------------------------------------- runs

    async def run(
        self, *values: Any, goal: str | None = None, inputs: Mapping[str, Any] | None = None, run_id: str | None = None
    ) -> RunResult:
        """Pursue a goal.

        Args:
            *values: Artifacts at hand, recognised by their type.
            goal: Name of the goal; the first of the agent's if left out.
            inputs: Artifacts at hand by name, for types too common to be recognised.
            run_id: Name of the run; made up if left out.

        Returns:
            How it ended. A run that failed in any way the agent could survive returns too.

        Raises:
            InputError: The goal or an input does not fit.
            NoRouteError: From these inputs no goal could be reached even if every tool worked.
            JournalError: Facts cannot be recorded; nothing further was called.
        """
        services = self._services
        asked = self._goal(goal)
        at_hand = self._inputs(values, inputs or {})
        self._check_reachable(asked, frozenset(at_hand))
        state = RunState()
        runner = Runner(services, self._run_id(run_id), state, origin=services.clock.now())
        budget = services.budget
        started = RunStarted(
            0.0, self.name, asked, at_hand, services.clock.wall(), budget.money, budget.deadline_s, budget.llm_calls
        )
        return await self._drive(runner, started)

    async def resume(self, run_id: str, answer: str | None = None) -> RunResult:
        """Take a suspended run up again with a person's answer.

        Args:
            run_id: The run.
            answer: One of its menu.

        Raises:
            UnknownRunError: The journal has no such run.
            InputError: The run waits for no answer, or this one is not on its menu.
        """
        services = self._services
        run = RunId(run_id)
        records = await services.journal.read(run)
        state = fold(record.event for record in records)
        if state.finished is not None:
            raise InputError(f"run {run_id!r} is over: {state.finished.outcome}")
        choices = [option.choice for option in state.menu]
        if answer not in choices:
            raise InputError(f"run {run_id!r} waits for one of {', '.join(choices) or 'nothing'}, not {answer!r}")
        last = records[-1].event.at
        runner = Runner(services, run, state, origin=services.clock.now() - last)
        return await self._drive(runner, Choice(answer, "human"))

    async def _drive(self, runner: Runner, first: RunStarted | Choice) -> RunResult:
        try:
            if isinstance(first, RunStarted):
                await runner.record(first)
            else:
                await runner.choose(runner.state.menu, first, runner.state.suspended_for)
            await runner.drive()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await runner.cancel()
            raise
        return result_of(runner.run_id, runner.state, duration_s=runner.now(), trace_id="")

    def run_sync(self, *values: Any, **options: Any) -> RunResult:
        """`run`, for scripts without an event loop of their own."""

        async def main() -> RunResult:
            return await self.run(*values, **options)

        return anyio.run(main)

    # ---------------------------------------------------------------- plans

    def plan(
        self, *, goal: str | None = None, have: Iterable[Any] | None = None, down: Iterable[str] = (), now: float | None = None
    ) -> RoutePlan:
        """Say which route a run would take. Pure: nothing is called.

        Args:
            goal: Name of the goal; the first of the agent's if left out.
            have: Artifacts at hand, as types or names; everything that no tool produces, if left out.
            down: Tools to do without.
            now: Time on the agent's clock at which to judge health; ignored while nothing has been called.

        Raises:
            InputError: A goal, artifact or tool has no such name.
        """
        asked = self._goal(goal)
        at_hand = self.graph.inputs if have is None else frozenset(self._artifact_name(item) for item in have)
        without = {self._known(name, self.graph.tools, "tool") for name in down}
        problem = self._problem(asked, at_hand, without, now)
        route = cheapest_route(problem)
        if route is None:
            return RoutePlan(goal=asked, feasible=False, reason=self._why_infeasible(problem))
        return RoutePlan(
            goal=asked, feasible=True, tools=list(route.tools), weight=dollars(route.weight), optimal=route.optimal
        )

    def _problem(self, goal: GoalId, have: frozenset[ArtifactId], without: set[str], now: float | None) -> Problem:
        services, budget = self._services, self._services.budget
        usable = [
            spec
            for spec in self.graph.routable.values()
            if spec.name not in without and (budget.money is None or spec.cost.worst <= budget.money)
        ]
        if now is not None:
            usable = [spec for spec in usable if services.board.admits(spec, now)]
        return Problem(
            graph=self.graph.compiled,
            goal=goal,
            have=have,
            weights={spec.name: services.board.weight(spec, services.rates, now or 0.0) for spec in usable},
            latency_s=None if budget.deadline_s is None else {spec.name: spec.cost.latency_s for spec in usable},
            within_s=budget.deadline_s,
            usd=None if budget.money is None else {spec.name: spec.cost.expected for spec in usable},
            within_usd=budget.money,
        )

    def _why_infeasible(self, problem: Problem) -> str:
        lacking = missing(problem)
        if lacking:
            return f"nothing at hand and no usable tool provides: {', '.join(lacking)}"
        return "every route is above the budget or the deadline"

    # ---------------------------------------------------------------- inputs

    def _goal(self, name: str | None) -> GoalId:
        if name is None:
            assert self.graph.first_goal is not None
            return self.graph.first_goal
        return GoalId(self._known(name, self.graph.goals, "goal"))

    def _known(self, name: str, among: Iterable[str], kind: str) -> str:
        known = list(among)
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there is: {', '.join(sorted(known))}"
            raise InputError(f"agent {self.name!r} has no {kind} {name!r}; {hint}")
        return name

    def _artifact_name(self, item: Any) -> ArtifactId:
        name = item if isinstance(item, str) else artifact_type(item, subject="have=").id
        return ArtifactId(self._known(name, self.graph.artifacts, "artifact"))

    def _inputs(self, values: Iterable[Any], named: Mapping[str, Any]) -> dict[ArtifactId, Any]:
        found: dict[ArtifactId, Any] = {}
        for value in values:
            found[self._recognise(value)] = value
        for name, value in named.items():
            artifact = self._artifact_name(name)
            kind = self.types.get(artifact)
            try:
                found[artifact] = value if kind is None else kind.validate(value)
            except ValidationError as error:
                raise InputError(f"input {name!r} does not fit: {error}") from error
        return found

    def _recognise(self, value: Any) -> ArtifactId:
        """Which artifact a positional input is: by its type's name, else the only artifact of that type."""
        name = type(value).__name__
        kind = self.types.get(ArtifactId(name))
        if kind is not None and marker(kind.annotation) is None:
            return kind.id
        matches = [kind for kind in self.types.values() if _holds(kind, value)]
        matches = [kind for kind in matches if kind.id in self.graph.inputs] or matches
        if len(matches) == 1:
            return matches[0].id
        names = ", ".join(sorted(kind.id for kind in matches)) or "none"
        raise InputError(f"a value of type {name} could be any of: {names}; pass it by name: inputs={{'...': value}}")

    def _check_reachable(self, goal: GoalId, have: frozenset[ArtifactId]) -> None:
        """Refuse a run that could reach nothing at all, even if every tool worked.

        Raises:
            NoRouteError: With what is missing for the goal asked.
        """
        key = (goal, have)
        if key in self._reachable:
            return
        free = dict.fromkeys(self.graph.routable, NanoUsd(1))
        for name in (goal, *(lesser.name for lesser in self.graph.below(goal))):
            if not missing(Problem(graph=self.graph.compiled, goal=name, have=have, weights=free)):
                self._reachable.add(key)
                return
        problem = Problem(graph=self.graph.compiled, goal=goal, have=have, weights=free)
        raise NoRouteError(goal, missing=missing(problem))

    def _run_id(self, given: str | None) -> RunId:
        if given is None:
            return RunId(f"{self._services.random.getrandbits(96):024x}")
        if not given or len(given) > 64 or not all(c.isalnum() or c == "-" for c in given) or not given.isascii():
            raise InputError(f"run id {given!r} must be 1 to 64 letters, digits and dashes")
        return RunId(given)


def _with_auxiliaries(tools: Iterable[Tool]) -> list[Tool]:
    found: list[Tool] = []
    for tool in tools:
        if not hasattr(tool, "spec"):
            name = getattr(tool, "__name__", repr(tool))
            raise DefinitionError(f"tool {name!r}", "is not a tool yet; decorate the function with @tool")
        found += [tool, *tool.auxiliaries]
    return found


def _types(tools: Iterable[Tool], goals: Iterable[Goal]) -> dict[ArtifactId, ArtifactType]:
    """Collect what each artifact's values look like, and see that everybody means the same by its name."""
    found: dict[ArtifactId, ArtifactType] = {}
    owners: dict[ArtifactId, str] = {}
    for owner, types in [*((t.spec.name, t.types) for t in tools), *((g.spec.name, g.types) for g in goals)]:
        for name, kind in types.items():
            known = found.get(name)
            if known is None or known.annotation is Any:
                found[name], owners[name] = kind, owner
            elif kind.annotation is not Any and kind.annotation != known.annotation:
                why = f"is {known.annotation} in {owners[name]!r} and {kind.annotation} in {owner!r}; name one with Artifact(...)"
                raise DefinitionError(f"artifact {name!r}", why)
    return found


def _holds(kind: ArtifactType, value: Any) -> bool:
    annotation = getattr(kind.annotation, "__origin__", kind.annotation)
    return isinstance(annotation, type) and isinstance(value, annotation)


def _litellm() -> LanguageModel:
    from agentroute.adapters.language_model import LiteLlm  # noqa: PLC0415  # seconds of import, only for those who ask a model

    return LiteLlm()
