"""An agent: tools, goals and limits, put together. The composition root of the library."""

import copy
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from functools import partial
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import anyio.to_thread

from agentroute.adapters.agent_tool import AgentTool, agent_tool_spec
from agentroute.adapters.cancellation import own_failures, uninterrupted
from agentroute.adapters.clock import LoopClock
from agentroute.adapters.functions import FunctionTool
from agentroute.adapters.memory_journal import MemoryJournal
from agentroute.adapters.priors import Priors
from agentroute.adapters.probes import probes_of
from agentroute.adapters.signature import Function
from agentroute.adapters.step_router import StepRouter
from agentroute.adapters.surroundings import Surroundings
from agentroute.errors import ConfigurationError, DefinitionError, InputError, NoRouteError, UnknownRunError
from agentroute.graph.artifact import ArtifactType
from agentroute.graph.cost import Rates
from agentroute.graph.goal import Goal
from agentroute.graph.inputs import Names
from agentroute.graph.tool import AtLeast, KOfN, Need, artifacts_of
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.budget import Budget, Quota
from agentroute.guard.ledger import Ledger, Window
from agentroute.guard.turns import Turns
from agentroute.ids import ArtifactId, GoalId, RunId, ToolId
from agentroute.ports import (
    Clock,
    HealthExchange,
    Journal,
    LanguageModel,
    Monitor,
    Observer,
    Tool,
    ToolExecutor,
    ToolSource,
)
from agentroute.routing.board import HealthBoard
from agentroute.routing.health import Health
from agentroute.run.events import Chosen, Event, Resumed, RunStarted
from agentroute.run.plan import Planner, RoutePlan
from agentroute.run.result import RunResult, result_of
from agentroute.run.state import RunState, fold
from agentroute.run.watching import RunMonitor, check_run_monitors
from agentroute.runtime.experience import Experience
from agentroute.runtime.runner import Runner
from agentroute.runtime.services import DirectCalls, Services
from agentroute.runtime.sharing import Sharing
from agentroute.runtime.tier_outcomes import TierOutcomes
from agentroute.runtime.watch import Watch

if TYPE_CHECKING:
    from agentroute.adapters.mcp.servers import McpServers

T = TypeVar("T")
D = TypeVar("D")


class Agent:
    """Runs goals over a graph of tools that follows from their types.

    Args:
        name: Shown in traces and in the store.
        tools: Functions decorated with `tool`, MCP tools, HTTP endpoints, model steps, other agents.
        goals: What runs can ask for; the first is the default, the others (by utility) are what a run falls back to.
        budget: Limits of each run.
        quotas: Limits of all runs together, for as long as the agent lives or within any stretch of time.
        rates: What a second, a risk and a watt-hour are worth, in USD.
        health: How quickly trust in a tool is lost and regained; shared by all runs.
        step_router: Chooses among the models of steps that several can do; left out, they are taken by price and health
            alone, the cheapest first.
        priors: What earlier runs have shown (`learned`), or the file that it is kept in, which need not be there yet.
            It takes the place of what tools declare of price, duration and risk; worst cases stay as declared.
        escalate: Who chooses when no route is left: ``"policy"`` (highest utility), ``"human"`` (the run is suspended),
            or the name of a model, as litellm spells it.
        max_concurrency: Calls that may be under way at once, over all runs.
        journal: Where facts are recorded; in memory by default.
        observers: Told of every fact, besides traces and logs.
        trace: Whether runs are traced: to the application's OpenTelemetry if it set one up, else to files under
            ``.agentroute/`` (see ``AGENTROUTE_TRACE``).
        executor: Makes the calls; fault injection stands in here.
        model: Language model for escalations; litellm by default, loaded when first needed.
        clock: The time; the event loop's by default.
        seed: Makes run ids and jitter reproducible.
        monitors: Watch the tools beside the runs (`Probes`), or each run (`Risk`, `Intent`, `Progress`, `Burn`).
        exchange: Shares health with other processes, while somebody is inside of ``async with agent`` or a run goes on.

    Raises:
        DefinitionError: Something does not fit together, with its name and why; or the file of priors is refused.
    """

    def __init__(
        self,
        *,
        name: str,
        tools: Iterable[Tool],
        goals: Sequence[Goal],
        budget: Budget | None = None,
        quotas: Sequence[Quota] = (),
        rates: Rates | None = None,
        health: Health | None = None,
        step_router: StepRouter | None = None,
        priors: Priors | str | os.PathLike[str] | None = None,
        escalate: str = "policy",
        max_concurrency: int = 64,
        journal: Journal | None = None,
        observers: Sequence[Observer] = (),
        trace: bool = True,
        executor: ToolExecutor | None = None,
        model: LanguageModel | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
        monitors: Sequence[Monitor | RunMonitor] = (),
        exchange: HealthExchange | None = None,
    ) -> None:
        """Check that the parts fit and derive the graph."""
        if isinstance(max_concurrency, bool) or max_concurrency < 1:
            raise DefinitionError("agent", f"max_concurrency must be a whole number from 1, not {max_concurrency!r}")
        callable_tools = _with_auxiliaries(tools)
        quotas = _all(Quota, "quotas", quotas)
        self.types = _types(callable_tools, goals)
        self.graph = ToolGraph((tool.spec for tool in callable_tools), (goal.spec for goal in goals))
        self.name = name
        self._reachable: set[tuple[GoalId, frozenset[ArtifactId]]] = set()
        self._surroundings = Surroundings(name, trace=trace)
        self._priors = _priors(priors)
        self._experience = Experience()
        self._quotas = quotas
        board = self._new_board(_given(Health, "health", health, Health()))
        step_router = _given(StepRouter, "step_router", step_router, None)
        self._services = Services(
            name=name,
            graph=self.graph,
            tools={tool.spec.name: tool for tool in callable_tools},
            board=board,
            budget=_given(Budget, "budget", budget, Budget()),
            rates=_given(Rates, "rates", rates, Rates()),
            escalate=escalate,
            executor=executor or DirectCalls(),
            journal=journal or MemoryJournal(),
            observers=(*self._surroundings.observers, *observers),
            model=(lambda: model) if model is not None else _litellm,
            clock=clock or LoopClock(),
            random=Random(seed),  # noqa: S311  # jitter and names, not secrets
            turns=Turns(max_concurrency),
            redact=self._redact,
            uninterrupted=uninterrupted,
            learned=self._priors.expected(self.graph.tools.values(), self.graph.goals),
            run_monitors=_of_runs(monitors),
            quotas=_ledgers(quotas, board),
            tiers=None if step_router is None else step_router.board(),
        )
        self._step_router = step_router
        self._keeps_outcomes = True
        self._tier_outcomes = self._new_tier_outcomes()
        self._check_monitors(monitors)
        self._monitors = (*probes_of(callable_tools), *_beside(monitors))
        self._sharing = self._new_sharing(exchange)
        self._watch = self._new_watch()
        self._watchers: list[tuple[int, AbstractAsyncContextManager[None]]] = []  # with the tasks they belong to
        self._sources = _sources(callable_tools)
        self._active: set[RunId] = set()
        self._max_concurrency = max_concurrency
        self._names = Names(name, self.graph, self.types)
        self._planner = self._new_planner()

    def with_options(
        self,
        *,
        escalate: str | None = None,
        seed: int | None = None,
        observers: Sequence[Observer] = (),
        journal: Journal | None = None,
        clock: Clock | None = None,
        budget: Budget | None = None,
        health: Health | None = None,
        priors: Priors | str | os.PathLike[str] | None = None,
        step_router: StepRouter | None = None,
        model: LanguageModel | None = None,
        trace: bool = True,
        monitors: Sequence[Monitor | RunMonitor] | None = None,
        exchange: HealthExchange | None = None,
        wrap_executor: Callable[[ToolExecutor, Clock], ToolExecutor] | None = None,
    ) -> Self:
        """The same agent in other surroundings; tools stay shared, and so does health unless `health` is given.

        Args:
            escalate: As for `Agent`.
            seed: As for `Agent`.
            observers: Told of every fact, besides those there are.
            journal: As for `Agent`.
            clock: As for `Agent`.
            budget: As for `Agent`.
            health: As for `Agent`. Nothing that was learned so far is taken along, and calls under way are counted
                anew: the agent as if it had never run (priors it was given stay), and it may run on another event
                loop.
            priors: As for `Agent`.
            model: As for `Agent`.
            monitors: In place of those there are, probes of the tools included.
            exchange: In place of the one there is. With `health`, there is none unless it is given here: the agent
                neither tells nor hears anything of what it was before.
            step_router: In place of the one there is; what its runs have shown so far is forgotten.
            trace: False leaves traces and logs out, the log of outcomes included, and observers given so far.
            wrap_executor: Given what makes the calls and the clock, returns what makes them from here on, such as a
                fault injector.
        """
        known = self._services
        executor, time = known.executor, clock or known.clock
        twin = copy.copy(self)
        twin._surroundings = self._surroundings if trace else Surroundings(self.name, trace=False)  # noqa: SLF001  # a copy of our own
        twin._services = replace(  # noqa: SLF001
            known,
            escalate=escalate or known.escalate,
            random=known.random if seed is None else Random(seed),  # noqa: S311
            observers=(*(known.observers if trace else ()), *observers),
            journal=journal or known.journal,
            clock=time,
            budget=_given(Budget, "budget", budget, known.budget),
            model=known.model if model is None else lambda: model,
            executor=executor if wrap_executor is None else wrap_executor(executor, time),
            redact=twin._redact,  # noqa: SLF001
            run_monitors=known.run_monitors if monitors is None else _of_runs(monitors),
        )
        self._check_monitors(monitors or ())
        if priors is not None:
            twin._priors = _priors(priors)  # noqa: SLF001
            learned = twin._priors.expected(self.graph.tools.values(), self.graph.goals)  # noqa: SLF001
            twin._services = replace(twin._services, learned=learned)  # noqa: SLF001
        router = twin._step_router = step_router or self._step_router  # noqa: SLF001
        if router is not None and (step_router is not None or health is not None):
            twin._services = replace(twin._services, tiers=router.board())  # noqa: SLF001
        twin._keeps_outcomes = trace and self._keeps_outcomes  # noqa: SLF001
        twin._tier_outcomes = twin._new_tier_outcomes()  # noqa: SLF001
        if health is not None:
            twin._experience = Experience()  # noqa: SLF001
            twin._active = set()  # noqa: SLF001
            turns, board = Turns(self._max_concurrency), self._new_board(health)
            ledgers = _ledgers(self._quotas, board)
            twin._services = replace(twin._services, board=board, turns=turns, quotas=ledgers)  # noqa: SLF001
        twin._planner = twin._new_planner()  # noqa: SLF001
        twin._monitors = self._monitors if monitors is None else _beside(monitors)  # noqa: SLF001
        if health is not None or exchange is not None:
            twin._sharing = twin._new_sharing(exchange)  # noqa: SLF001
        twin._watch, twin._watchers = twin._new_watch(), []  # noqa: SLF001
        return twin

    def _check_monitors(self, monitors: Sequence[object]) -> None:
        """Refuse what watches nothing, or what there is not: it would say nothing, and nobody would know.

        Raises:
            DefinitionError: With the monitor's name and why.
        """
        check_run_monitors(_of_runs(monitors))
        artifacts = self.graph.artifacts | self.types.keys()
        subjects = self.graph.tools.keys() | {spec.provider for spec in self.graph.tools.values()}
        for monitor in monitors:
            if not isinstance(monitor, (Monitor, RunMonitor)):
                why = "is no monitor: those of tools have `name` and `watch`, those of runs `name`, `kind` and `look`"
                raise DefinitionError(f"monitor {monitor!r}", f"{why} (and `look_again_at`)")
            if (check := getattr(monitor, "check", None)) is not None:
                check(artifacts, subjects)

    def _new_tier_outcomes(self) -> TierOutcomes | None:
        services, router = self._services, self._step_router
        if router is None or services.tiers is None:
            return None
        router.check(self.graph.tiers)
        keep = router.keep if self._keeps_outcomes and router.log is not None else None
        return TierOutcomes(services.tiers, services.journal, self.graph.tools, keep)

    def _new_watch(self) -> Watch:
        sharing = () if self._sharing is None else self._sharing.parts
        monitors, services = (*self._monitors, *sharing), self._services
        return Watch(monitors, services.board, services.clock, own_failures=own_failures)

    def _new_sharing(self, exchange: HealthExchange | None) -> Sharing | None:
        return None if exchange is None else Sharing(exchange, self._services.board, self._services.clock)

    def _new_board(self, health: Health) -> HealthBoard:
        board = HealthBoard(health, alternatives=self.graph.alternatives)
        board.know(tuple(self.graph.tools.values()))
        return board

    def _new_planner(self) -> Planner:
        services = self._services
        return Planner(
            self.graph,
            services.board,
            services.rates,
            services.budget,
            services.learned,
            services.quotas,
            services.tiers,
        )

    async def __aenter__(self) -> Self:
        """Let monitors watch; what tools need is opened when it is first used."""
        watcher = self._watch.watching()
        await watcher.__aenter__()
        self._watchers.append((anyio.get_current_task().id, watcher))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        """Let monitors end, and close what the tools opened."""
        try:
            await self._own_watcher().__aexit__(kind, error, place)
        finally:
            await self.aclose()

    def _own_watcher(self) -> AbstractAsyncContextManager[None]:
        """What the task that leaves has entered last; others may be inside, and leave later."""
        task = anyio.get_current_task().id
        own = [place for place, (owner, _) in enumerate(self._watchers) if owner == task]
        return self._watchers.pop(own[-1] if own else -1)[1]

    async def aclose(self) -> None:
        """Close what the tools opened, such as connections to MCP servers, and write out traces.

        May be called twice; an agent can be used again afterwards.
        """
        try:
            async with anyio.create_task_group() as closing:
                for source in self._sources:
                    closing.start_soon(source.aclose)
        finally:
            await anyio.to_thread.run_sync(self._surroundings.close)

    def _redact(self, text: str) -> str:
        """Mask secrets, those included that connections have been given since."""
        redactor = self._surroundings.redactor
        for source in self._sources:
            redactor.register(*getattr(source, "secrets", ()))
        return redactor.text(text)

    def artifacts_of(self, goal: str) -> tuple[ArtifactId, ...]:
        """Names of the artifacts that a goal asks for.

        Raises:
            InputError: The agent has no such goal.
        """
        return tuple(artifacts_of(self.graph.goals[self._names.goal(goal)].requires))

    @property
    def rates(self) -> Rates:
        """Exchange rates into money."""
        return self._services.rates

    def check(self, *, goal: str | None = None, inputs: Mapping[str, Any] | None = None) -> None:
        """Say whether a run could be asked for like this. Pure: nothing is called.

        Raises:
            InputError: The goal or an input does not fit.
            NoRouteError: From these inputs no goal could be reached even if every tool worked.
        """
        asked = self._names.goal(goal)
        self._check_reachable(asked, frozenset(self._names.inputs((), inputs or {})))

    @property
    def budget(self) -> Budget:
        """Limits of each run."""
        return self._services.budget

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """Limits of all runs together."""
        return self._quotas

    @property
    def health(self) -> Health:
        """How quickly trust in a tool is lost and regained."""
        return self._services.board.settings

    @property
    def monitors(self) -> tuple[Monitor | RunMonitor, ...]:
        """What watches the tools, and each run; probes of tools included."""
        return (*self._monitors, *self._services.run_monitors)

    @property
    def tools(self) -> Mapping[ToolId, Tool]:
        """Every tool by name, verifiers and compensators included."""
        return self._services.tools

    # ---------------------------------------------------------------- runs

    async def run(
        self,
        *values: Any,
        goal: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        budget: Budget | None = None,
    ) -> RunResult:
        """Pursue a goal.

        Args:
            *values: Artifacts at hand, recognised by their type.
            goal: Name of the goal; the first of the agent's if left out.
            inputs: Artifacts at hand by name, for types too common to be recognised.
            run_id: Name of the run; made up if left out.
            budget: Limits of this run, in place of the agent's.

        Returns:
            How it ended. A run that failed in any way the agent could survive returns too.

        Raises:
            InputError: The goal or an input does not fit.
            NoRouteError: From these inputs no goal could be reached even if every tool worked.
            JournalError: Facts cannot be recorded; nothing further was called.
        """
        limits = _given(Budget, "budget", budget, self._services.budget)
        return await self._run(values, goal, inputs or {}, run_id, limits, None)

    async def _run(  # noqa: PLR0917  # called here and for `as_tool`
        self,
        values: Sequence[Any],
        goal: str | None,
        inputs: Mapping[str, Any],
        run_id: str | None,
        limits: Budget,
        above: Ledger | None,
    ) -> RunResult:
        """Pursue a goal; `above` is the ledger of the attempt that this run is made for, if there is one."""
        services = self._services
        self._check_bound()
        self._surroundings.open()
        asked = self._names.goal(goal)
        at_hand = self._names.inputs(values, inputs)
        self._check_reachable(asked, frozenset(at_hand))
        run = self._new_run_id(run_id)
        with self._driving(run):
            if run_id is not None:
                await self._check_unused(run)
            runner = Runner(services, run, RunState(), limits, origin=services.clock.now(), above=above)
            started = RunStarted(
                at=0.0,
                agent=self.name,
                goal=asked,
                inputs=at_hand,
                wall=services.clock.wall(),
                budget=limits.money,
                deadline_s=limits.deadline_s,
                llm_calls=limits.llm_calls,
                tokens=limits.tokens,
                tool_calls=limits.tool_calls,
                finish_share=limits.finish_share,
            )
            return await self._drive(runner, [started])

    async def resume(self, run_id: str, answer: str | None = None) -> RunResult:
        """Take a suspended run up again with a person's answer.

        Args:
            run_id: The run.
            answer: One of its menu.

        Raises:
            UnknownRunError: The journal has no such run.
            InputError: The run waits for no answer, or this one is not on its menu.
        """
        services, run = self._services, RunId(run_id)
        with self._driving(run):
            records = await services.journal.read(run)
            state = fold(record.event for record in records)
            chosen = _answer(run, state, answer)
            self._surroundings.restore(run, [record.event for record in records])
            last = records[-1].event.at  # the clock of a run stands still while it waits for a person
            runner = Runner(services, run, state, state.limits, origin=services.clock.now() - last)
            return await self._drive(runner, [Resumed(last, services.clock.wall()), replace(chosen, at=last)])

    @contextmanager
    def _driving(self, run: RunId) -> Generator[None]:
        """Keep everybody else from driving the same run.

        Raises:
            InputError: Somebody does already.
        """
        if run in self._active:
            raise InputError(f"run {run!r} is being driven already")
        self._active.add(run)
        try:
            yield
        finally:
            self._active.discard(run)

    async def _drive(self, runner: Runner, first: Iterable[Event]) -> RunResult:
        try:
            async with self._watch.watching():
                for event in first:
                    await runner.record(event)
                await runner.drive()
        except anyio.get_cancelled_exc_class():
            await uninterrupted(self._cut_off(runner))
            raise
        finally:
            self._experience.note(runner.run_id)  # not before: what has just begun has nothing in the journal yet
        with anyio.CancelScope(shield=True):
            await self._take_note(runner)
        return result_of(
            runner.run_id, runner.state, duration_s=runner.now(), trace_id=self._surroundings.trace_id(runner.run_id)
        )

    async def _cut_off(self, runner: Runner) -> None:
        if runner.state.asked is not None:  # else not even its start was recorded
            await runner.cancel()
        await self._take_note(runner)

    async def _take_note(self, runner: Runner) -> None:
        """Let the step router learn from a run, if there is one and the run is over."""
        if self._tier_outcomes is not None:
            await self._tier_outcomes.note(runner.run_id, runner.state)

    async def judge(self, run_id: str, right: float, *, step: str | None = None) -> None:
        """Say how right a run was, or one of its model steps, once that has turned out.

        The step router goes by it in later runs, and it is added to the log of outcomes.

        Args:
            run_id: The run.
            right: From 0 (wrong) to 1.
            step: Name of the model step; left out, the run as a whole.

        Raises:
            UnknownRunError: The journal has no such run.
            InputError: The agent has no step router, or the run took no such step.
            ConfigurationError: The log cannot be written.
        """
        if self._tier_outcomes is None:
            raise InputError(f"agent {self.name!r} has no step router that could learn from a judgement")
        await self._tier_outcomes.judge(RunId(run_id), right, step)

    async def result(self, run_id: str) -> RunResult:
        """How a run ended, or where it stands, by its journal.

        Raises:
            UnknownRunError: The journal has no such run.
        """
        run = RunId(run_id)
        records = await self._services.journal.read(run)
        state = fold(record.event for record in records)
        duration_s = records[-1].event.at
        return result_of(run, state, duration_s=duration_s, trace_id=self._surroundings.trace_id(run))

    async def learned(self) -> Priors:
        """What the priors that the agent was given and its runs since teach together, later calls counting more.

        Read from the journal, so that nothing is worked out while a run goes on, and each run is read once. Runs count
        that were driven here (by this agent, or one that `with_options` made of it) and are over; cancelled ones, and
        those that the journal does not have, do not. Nothing changes in how the agent itself judges its tools: it has
        seen all of this already.
        """
        return self._priors.merged(await self._experience.known(self._services.journal, self.graph))

    async def keep_learned(self, path: str | os.PathLike[str]) -> None:
        """Add to a file of priors what runs have shown and this agent has not added before; see `learned`.

        Several processes may add to one file at the same time, and none loses what another has added.

        Raises:
            DefinitionError: What is in the file is refused.
            ConfigurationError: It cannot be locked or written. Nothing is lost: it is added the next time.
        """
        services = self._services
        await self._experience.keep(services.journal, self.graph, partial(Priors.add, path))

    @property
    def put_aside(self) -> Mapping[str, str]:
        """Tools, and the model of escalations, that no run calls any more because of what they charged; why."""
        return {str(tool): reason for tool, reason in self._services.board.quarantined.items()}

    def reinstate(self, tool: str) -> None:
        """Let a tool be called again that was put aside.

        Raises:
            InputError: The agent has no such tool.
        """
        if tool not in self.graph.tools and tool not in self.put_aside:  # a model that escalations ask is no tool
            raise InputError(f"no tool {tool!r}; there are: {', '.join(sorted(self.graph.tools))}")
        self._services.board.reinstate(ToolId(tool))

    def run_sync(self, *values: Any, **options: Any) -> RunResult:
        """`run`, for scripts without an event loop of their own."""

        async def main() -> RunResult:
            return await self.run(*values, **options)

        return anyio.run(main)

    def as_tool(self, goal: str | None = None, *, name: str | None = None, timeout_s: float | None = None) -> AgentTool:
        """Make this agent a tool of another, from the inputs of the goal's cheapest route to the goal's artifacts.

        Args:
            goal: What a call pursues; the first goal if left out.
            name: Name of the tool; ``agent.goal`` if left out.
            timeout_s: Seconds for a call; the agent's own deadline (or 300) if left out.

        Raises:
            NoRouteError: The goal cannot be reached from any inputs.
            DefinitionError: The agent's own budget is too small to reach it, or the goal asks for "at least k of":
                then nobody could say what the tool produces.
        """
        asked = self._names.goal(goal)
        route = self._planner.route(asked, self.graph.inputs)
        if route is None:
            raise NoRouteError(asked, missing=self._planner.missing(asked, self.graph.inputs))
        unused = replace(self._planner, board=self._new_board(self.health), quotas=(), tiers=None)
        if not (plan := unused.plan(asked, self.graph.inputs, (), 0.0)).feasible:
            raise DefinitionError(f"agent {self.name!r}", f"never reaches {asked!r}: {plan.reason}")
        label, budget = ToolId(name or f"{self.name}.{asked}"), self._services.budget
        spec = agent_tool_spec(label, self.graph, self.graph.goals[asked], route, budget, timeout_s)

        async def run(inputs: Mapping[ArtifactId, Any], above: Ledger | None) -> RunResult:
            named = {str(name): value for name, value in inputs.items()}
            return await self._run((), asked, named, None, budget, above)

        return AgentTool(spec, self.types, run)

    @classmethod
    def from_graph(
        cls,
        path: str | os.PathLike[str],
        *,
        tools: Mapping[str, Function | FunctionTool | Tool] | None = None,
        mcp: "McpServers | None" = None,
        **options: Any,
    ) -> Self:
        """Build an agent from a graph file.

        Args:
            path: The file; `agentroute schema graph` prints its format.
            tools: Code for the file's tools by name: functions, whose parameters are artifacts by name, or tools.
            mcp: Servers for those tools that the file binds with ``mcp:``.
            **options: As for `Agent`; what the file says (name, goals, rates, budget, quotas) is its to say.

        Raises:
            DocumentError: The file is refused, with ``file:line:column``.
            DefinitionError: A function does not fit its tool, or `tools` names one that the file does not have.
        """
        from agentroute.adapters.bound_tool import bind  # YAML and its schema, only for those who use files
        from agentroute.adapters.files import read_graph

        document = read_graph(path)
        return cls(
            name=document.name,
            tools=bind(document, str(path), tools or {}, mcp),
            goals=[
                Goal(goal.name, list(map(_as_written, goal.spec.requires)), goal.utility) for goal in document.goals
            ],
            rates=document.rates.rates,
            budget=Budget(**document.budget.given),
            quotas=[Quota(**entry.given) for entry in document.quotas],
            **options,
        )

    # ---------------------------------------------------------------- plans

    def plan(
        self,
        *,
        goal: str | None = None,
        have: Iterable[Any] | None = None,
        down: Iterable[str] = (),
        now: float | None = None,
        explain: bool = False,
        budget: Budget | None = None,
    ) -> RoutePlan:
        """Say which route a run would take. Pure: nothing is called.

        Args:
            goal: Name of the goal; the first of the agent's if left out.
            have: Artifacts at hand, as types or names; everything that no tool produces, if left out.
            down: Tools to do without.
            now: Time on the agent's clock at which to judge health. If left out: this moment; where no event loop runs,
                when something was last heard of any tool.
            explain: Say what the tools weigh, and why.
            budget: Of the run; the agent's if left out.

        Raises:
            InputError: A goal, artifact or tool has no such name.
        """
        names = self._names
        at_hand = self.graph.inputs if have is None else frozenset(map(names.artifact, have))
        moment = self._moment() if now is None else now
        if now is None:  # what is only supposed moves no window
            for quota in self._services.quotas:
                quota.advance(moment)
        planner = replace(self._planner, budget=_given(Budget, "budget", budget, self._services.budget))
        found = planner.plan(names.goal(goal), at_hand, names.tools(down), moment)
        if not explain:
            return found
        return found.model_copy(update={"weighed": self._planner.explain(names.goal(goal), at_hand, moment)})

    def _moment(self) -> float:
        """This moment on the agent's clock; outside of an event loop, when something was last heard of any tool."""
        latest = self._services.board.latest
        try:
            return max(latest, self._services.clock.now())
        except RuntimeError:  # there is no event loop
            return latest

    # ---------------------------------------------------------------- checks before a run

    def _check_reachable(self, goal: GoalId, have: frozenset[ArtifactId]) -> None:
        """Refuse a run that could reach nothing at all, even if every tool worked.

        Raises:
            NoRouteError: With what is missing for the goal asked.
        """
        key = (goal, have)
        if key in self._reachable:
            return
        for name in (goal, *(lesser.name for lesser in self.graph.below(goal))):
            if not self._planner.missing(name, have):
                self._reachable.add(key)
                return
        raise NoRouteError(goal, missing=self._planner.missing(goal, have))

    def _check_bound(self) -> None:
        """Refuse a run over tools of a graph file that have no code.

        Raises:
            ConfigurationError: Naming them.
        """
        unbound = [name for name, tool in self._services.tools.items() if getattr(tool, "unbound", False)]
        if unbound:
            names = ", ".join(unbound)
            raise ConfigurationError(
                f"agent {self.name!r} cannot run, its graph file binds no code to: {names}. "
                "Pass Agent.from_graph(path, tools={...}), or an MCP configuration for tools that name a server."
            )

    def _new_run_id(self, given: str | None) -> RunId:
        if given is None:
            return RunId(f"{self._services.random.getrandbits(96):024x}")
        if not given or len(given) > 64 or not all(c.isalnum() or c == "-" for c in given) or not given.isascii():
            raise InputError(f"run id {given!r} must be 1 to 64 letters, digits and dashes")
        return RunId(given)

    async def _check_unused(self, run: RunId) -> None:
        try:
            await self._services.journal.read(run)
        except UnknownRunError:
            return
        raise InputError(f"there is a run {run!r} already; leave run_id out, and one is made up")


def _priors(given: Priors | str | os.PathLike[str] | None) -> Priors:
    if given is None:
        return Priors()
    return given if isinstance(given, Priors) else Priors.load(given, missing_ok=True)


def _answer(run: RunId, state: RunState, answer: str | None) -> Chosen:
    """A person's answer to a suspended run, as the fact it becomes.

    Raises:
        InputError: The run waits for no answer, or this one is not on its menu.
    """
    if state.finished is not None:
        raise InputError(f"run {run!r} is over: {state.finished.outcome}")
    choices = [option.choice for option in state.menu]
    if answer not in choices:
        raise InputError(f"run {run!r} waits for one of {', '.join(choices) or 'nothing'}, not {answer!r}")
    return Chosen(0.0, state.menu, answer, "human", state.suspended_for)


def _as_written(need: Need) -> Any:
    return AtLeast(need.k, need.of) if isinstance(need, KOfN) else need


def _with_auxiliaries(tools: Iterable[Tool]) -> list[Tool]:
    found: list[Tool] = []
    for tool in tools:
        if not hasattr(tool, "spec"):
            name = getattr(tool, "__name__", repr(tool))
            raise DefinitionError(f"tool {name!r}", "is not a tool yet; decorate the function with @tool")
        found += [part for part in (tool, *tool.auxiliaries) if not any(part is known for known in found)]
    return found


def _sources(tools: Iterable[Tool]) -> list[ToolSource]:
    """What the tools have open, each once."""
    found = {id(source): source for tool in tools if (source := getattr(tool, "source", None)) is not None}
    return list(found.values())


def _given(kind: type[T], name: str, value: T | None, default: D) -> T | D:
    """What a user passed, if it is of the kind it should be.

    Raises:
        DefinitionError: It is not.
    """
    if value is None:
        return default
    if not isinstance(value, kind):  # users pass anything
        raise DefinitionError("agent", f"{name} must be a {kind.__name__}(...), not {value!r}")
    return value


def _all(kind: type[T], name: str, values: Iterable[T]) -> tuple[T, ...]:
    """The same of several."""
    given = tuple(values) if isinstance(values, Iterable) else None  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
    if given is None or not all(isinstance(value, kind) for value in given):
        raise DefinitionError("agent", f"{name} must be a list of {kind.__name__}(...), not {values!r}")
    return given


def _ledgers(quotas: Sequence[Quota], board: HealthBoard) -> tuple[Ledger, ...]:
    """What all runs share: one ledger for each quota. Whoever gives something back calls who waits for it."""
    ledgers = tuple(Ledger(q.limits) if q.per_s is None else Window(q.limits, q.per_s) for q in quotas)
    for ledger in ledgers:
        ledger.freed = board.line.call
    return ledgers


def _of_runs(monitors: Iterable[object]) -> tuple[RunMonitor, ...]:
    """Those that watch each run."""
    return tuple(monitor for monitor in monitors if isinstance(monitor, RunMonitor))


def _beside(monitors: Iterable[object]) -> tuple[Monitor, ...]:
    """Those that watch beside the runs."""
    return tuple(monitor for monitor in monitors if isinstance(monitor, Monitor))


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
                why = f"is {known.annotation} in {owners[name]!r} and {kind.annotation} in {owner!r}"
                raise DefinitionError(f"artifact {name!r}", f"{why}; give one a name of its own with Artifact(...)")
    return found


def _litellm() -> LanguageModel:
    from agentroute.adapters.models.language_model import LiteLlm  # seconds of import, only for those who ask a model

    return LiteLlm()
