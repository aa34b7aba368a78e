"""Random agents in random trouble: what the run properties draw, and how one draw is run in virtual time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import anyio
from hypothesis import strategies as st

from agentroute.adapters.step_router import StepRouter
from agentroute.agent import Agent
from agentroute.graph.goal import Goal
from agentroute.graph.tool import AtLeast, Effect, StepTier
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.budget import Budget
from agentroute.ids import ArtifactId
from agentroute.ports import Record, Tool
from agentroute.routing.health import Health
from agentroute.routing.signals import SignalKind
from agentroute.run.result import RunResult
from agentroute.run.watching import Sighting, View
from agentroute.runtime.services import DirectCalls
from agentroute.testing.fakes import (
    FakeGuard,
    FakeTool,
    YieldingJournal,
    fake_compensator,
    fake_tool,
    fake_verifier,
)
from agentroute.testing.faults import Fault, FaultType, FaultyCalls, Seen
from agentroute.testing.invariants import Case, Violation, check_breakers, check_run
from agentroute.testing.virtual_time import VirtualClock, run_virtual
from agentroute.testing.world import World

NeedDraw: TypeAlias = str | tuple[int, tuple[str, ...]]
"""An artifact, or k of several."""


@dataclass(frozen=True)
class ToolDraw:
    name: str
    needs: tuple[NeedDraw, ...]
    makes: tuple[str, ...]
    effect: Effect = "read"
    usd: float = 0.0
    usd_max: float | None = None
    price: float | None = None
    seconds: float = 0.0
    provider: str | None = None
    verify: bool = False
    compensate: bool = False
    honours_key: bool = False
    guard: tuple[str, bool] | None = None
    tokens: int = 0
    step: str | None = None
    detection: float = 0.0

    @property
    def tier(self) -> StepTier | None:
        """Which tier of which step it is."""
        return None if self.step is None else StepTier(self.step, self.name, self.detection)

    @property
    def when(self) -> FakeGuard | None:
        """Its guard."""
        return None if self.guard is None else FakeGuard((ArtifactId(self.guard[0]),), self.guard[1])

    def build(self, world: World) -> list[Tool]:
        """Make the tool, and those that look after it."""
        made = fake_tool(
            self.name,
            [AtLeast(need[0], need[1]) if isinstance(need, tuple) else need for need in self.needs],
            self.makes,
            world=world,
            effect=self.effect,
            usd=self.usd,
            usd_max=self.usd_max,
            price=self.price,
            seconds=self.seconds,
            latency_s=self.seconds,
            timeout_s=2.0,
            provider=self.provider,
            verify=f"{self.name}-verify" if self.verify else None,
            compensate=f"{self.name}-undo" if self.compensate else None,
            honours_key=self.honours_key,
            when=self.when,
            calls_model=self.tokens > 0,
            tokens=self.tokens,
            tier=self.tier,
            ensure=_is_not_wrong if self.detection else None,
        )
        return [made, *_remedies(made)]


def _is_not_wrong(outputs: Any) -> bool:
    """What the fault ``wrong`` makes of a text."""
    return "not " not in str(outputs)


def _remedies(made: FakeTool) -> list[Tool]:
    found: list[Tool] = []
    if made.spec.verify is not None:
        found.append(fake_verifier(made, seconds=0.01))
    if made.spec.compensate is not None:
        found.append(fake_compensator(made, seconds=0.01))
    return found


@dataclass(frozen=True)
class Scenario:
    """One draw. Hypothesis prints it, so a failure can be pasted into a test."""

    tools: tuple[ToolDraw, ...]
    goals: tuple[tuple[str, tuple[NeedDraw, ...], float], ...]
    faults: tuple[Fault, ...] = ()
    budget_usd: float | None = None
    deadline_s: float | None = None
    tokens: int | None = None
    llm_calls: int | None = None
    tool_calls: int | None = None
    starts: tuple[float, ...] = (0.0,)
    cancel_at: float | None = None
    stops_at: float | None = None
    concurrency: int = 64
    health: Health = field(default_factory=Health)
    yields: bool = True
    seed: int = 0
    router: StepRouter | None = None


@dataclass(frozen=True)
class StopsAt:
    """A monitor that stops each run at a moment, whatever it is doing."""

    at: float
    name: str = "stop"
    kind: SignalKind = "risk"

    def look(self, view: View, now: float) -> Iterable[Sighting]:
        return [Sighting("enough", stops=True)] if now >= self.at else []

    def look_again_at(self, view: View, now: float) -> float | None:
        return self.at if now < self.at else None


@dataclass(frozen=True)
class Played:
    """What came of a scenario."""

    graph: ToolGraph
    world: World
    injector: FaultyCalls
    journals: Mapping[str, Sequence[Record]]
    results: Mapping[str, RunResult]

    def violations(self, scenario: Scenario) -> list[Violation]:
        """What does not hold."""
        cases = [self.case(scenario, run) for run in self.journals]
        found = [violation for case in cases for violation in check_run(case)]
        return found + check_breakers(cases, self.injector.seen)

    def case(self, scenario: Scenario, run: str) -> Case:
        """One run with all that is known about it."""
        return Case(
            run=run,
            graph=self.graph,
            records=self.journals[run],
            guards={draw.name: draw.when for draw in scenario.tools if draw.when is not None},
            result=self.results.get(run),
            health=scenario.health,
            budget_usd=scenario.budget_usd,
            deadline_s=scenario.deadline_s,
            tokens=scenario.tokens,
            llm_calls=scenario.llm_calls,
            tool_calls=scenario.tool_calls,
            chooses_tiers=scenario.router is not None,
            triggered=self.injector.triggered,
            seen=self.injector.seen,
            world=self.world,
        )

    def story(self) -> str:
        """The journals as text, for the report of a failure."""
        lines = [f"{run}: {record.event}" for run, records in self.journals.items() for record in records]
        return "\n".join([*lines, *map(str, self.injector.triggered), *map(str, self.world.rows)])


def play(scenario: Scenario) -> Played:
    """Run a scenario in virtual time."""
    return run_virtual(_play, scenario, seed=scenario.seed)


async def _play(scenario: Scenario) -> Played:
    world, clock, journal = World(), VirtualClock(patience=5_000), YieldingJournal(yields=scenario.yields)
    injector = FaultyCalls(DirectCalls(), scenario.faults, clock=clock, seed=scenario.seed)
    agent = Agent(
        name="drawn",
        tools=[tool for draw in scenario.tools for tool in draw.build(world)],
        goals=[_goal(*goal) for goal in scenario.goals],
        budget=Budget(
            usd=scenario.budget_usd,
            deadline_s=scenario.deadline_s,
            tokens=scenario.tokens,
            llm_calls=scenario.llm_calls,
            tool_calls=scenario.tool_calls,
        ),
        health=scenario.health,
        step_router=scenario.router,
        max_concurrency=scenario.concurrency,
        journal=journal,
        executor=injector,
        clock=clock,
        seed=scenario.seed,
        monitors=() if scenario.stops_at is None else (StopsAt(scenario.stops_at),),
    )
    results: dict[str, RunResult] = {}

    async def one(run: str, start: float) -> None:
        await anyio.sleep(start)
        with anyio.CancelScope(deadline=float("inf") if scenario.cancel_at is None else scenario.cancel_at):
            results[run] = await agent.run(inputs={"start": "given"}, run_id=run)

    injector.start()
    with anyio.fail_after(3600):
        async with anyio.create_task_group() as runs:
            for index, start in enumerate(scenario.starts):
                runs.start_soon(one, f"run-{index}", start)
    journals = {str(run): await journal.read(run) for run in reversed(await journal.runs())}
    return Played(agent.graph, world, injector, journals, results)


def _goal(name: str, needs: Sequence[NeedDraw], utility: float) -> Goal:
    return Goal(name, [AtLeast(need[0], need[1]) if isinstance(need, tuple) else need for need in needs], utility)


def seen_of(played: Played, tool: str) -> list[Seen]:
    """Calls of one tool."""
    return [seen for seen in played.injector.seen if seen.tool == tool]


# -------------------------------------------------------------------- drawing

STEP_FAULTS: tuple[FaultType, ...] = (
    "error",
    "latency",
    "timeout",
    "reset",
    "down",
    "rate_limit",
    "malformed",
    "truncated",
    "renamed_field",
    "empty",
    "wrong",
    "stale",
    "ack_lost",
)

REMEDY_FAULTS: tuple[FaultType, ...] = ("error", "latency", "timeout", "down", "rate_limit", "malformed")
"""What can befall a verifier without making it lie."""

PRICES = (0.0, 0.0, 0.01, 0.02, 0.05)
SECONDS = (0.0, 0.0, 0.1, 0.1, 1.0)


@st.composite
def needs_of(draw: st.DrawFn, earlier: Sequence[str]) -> tuple[NeedDraw, ...]:
    """Draw what a tool or goal needs: one or two artifacts, or k of n."""
    shape = draw(st.sampled_from(("one", "one", "two", "some")))
    if shape == "one" or len(earlier) < 2:
        return (draw(st.sampled_from(earlier)),)
    chosen = tuple(draw(st.lists(st.sampled_from(earlier), min_size=2, max_size=3, unique=True)))
    if shape == "two":
        return chosen[:2]
    return ((draw(st.integers(1, len(chosen))), chosen),)


@st.composite
def tool_draws(draw: st.DrawFn, name: str, earlier: Sequence[str], makes: tuple[str, ...]) -> ToolDraw:
    """Draw one tool."""
    effect: Effect = draw(st.sampled_from(("read", "read", "idempotent", "once", "once")))
    usd = draw(st.sampled_from(PRICES))
    worse = draw(st.booleans())
    return ToolDraw(
        name=name,
        needs=draw(needs_of(earlier)),
        makes=makes,
        effect=effect,
        usd=usd,
        usd_max=2 * usd if worse else None,
        price=2 * usd if worse and draw(st.booleans()) else None,
        seconds=draw(st.sampled_from(SECONDS)),
        provider=draw(st.sampled_from((None, None, "p"))),
        verify=effect == "once" and draw(st.booleans()),
        compensate=effect != "read" and draw(st.booleans()),
        honours_key=effect == "once" and draw(st.booleans()),
        guard=draw(st.sampled_from((None, None, None, None, None, (earlier[-1], True), (earlier[-1], False)))),
        tokens=draw(st.sampled_from((0, 0, 0, 100))),
    )


def tiers_of(step: str, tools: Sequence[ToolDraw], detection: float) -> list[ToolDraw]:
    """Make tools that produce the same the tiers of a model step: they take what the first one takes."""
    needs, makes = tools[0].needs, tools[0].makes
    return [
        replace(
            tool,
            needs=needs,
            makes=makes,
            effect="read",
            verify=False,
            compensate=False,
            honours_key=False,
            tokens=100,
            step=step,
            detection=detection,
        )
        for tool in tools
    ]


ROUTERS = (
    StepRouter(policy="always-cheap"),
    StepRouter(policy="always-expensive"),
    StepRouter(policy="cascade", usd_per_success=0.1),
    StepRouter(policy="threshold", least=0.75),
    StepRouter(usd_per_success=0.1, usd_per_run=0.05, explore=0.5),
)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[ToolDraw, ...]:
    """Draw tools in layers, so that every artifact has one to three ways."""
    artifacts = ["start"]
    found: list[ToolDraw] = []
    for layer in range(draw(st.integers(1, 4))):
        new = f"a{layer}"
        extra = f"b{layer}"
        both = draw(st.sampled_from((False, False, False, True)))
        first = len(found)
        for way in range(draw(st.integers(1, 3))):
            makes = (new, extra) if both and way != 1 else (new,)
            found.append(draw(tool_draws(f"t{layer}{'abc'[way]}", artifacts, makes)))
        if draw(st.sampled_from((False, False, True))):
            found[first:] = tiers_of(f"s{layer}", found[first:], draw(st.sampled_from((0.0, 0.5, 1.0))))
        artifacts += [new, extra] if both else [new]
    return tuple(found)


@st.composite
def fault_draws(draw: st.DrawFn, tools: Sequence[ToolDraw], *, types: Sequence[FaultType] = STEP_FAULTS) -> Fault:
    """Draw one fault on a step or, if it has one, its verifier or compensator."""
    tool = draw(st.sampled_from(tools))
    targets = [
        tool.name,
        *([f"{tool.name}-verify"] if tool.verify else []),
        *([f"{tool.name}-undo"] if tool.compensate else []),
    ]
    target = draw(st.sampled_from([*targets, tool.name]))
    if target != tool.name:
        types = REMEDY_FAULTS
    elif tool.effect == "read" or (tool.honours_key and not tool.compensate):
        types = (*types, "late_success")  # of others, nobody can prevent that they happen after the run has gone on
    kind = draw(st.sampled_from(types))
    first = draw(st.sampled_from((None, 1, 1, 2)))
    return Fault(
        type=kind,
        target=target,
        status=draw(st.sampled_from((503, 500, 404))) if kind == "error" else 503,
        latency_s=draw(st.sampled_from((0.5, 1.9, 3.0))) if kind in ("latency", "late_success") else 1.0,
        retry_after_s=draw(st.sampled_from((None, 1.0, 7.0, 60.0))) if kind == "rate_limit" else None,
        attempts=None if first is None else (first, draw(st.sampled_from((first, first + 1, None)))),
        from_s=draw(st.sampled_from((0.0, 0.0, 0.5))),
        until_s=draw(st.sampled_from((None, None, 1.0, 4.0))),
        toxicity=draw(st.sampled_from((1.0, 1.0, 0.5))),
    )


@st.composite
def goal_draws(draw: st.DrawFn, tools: Sequence[ToolDraw]) -> tuple[Any, ...]:
    """Draw a ladder of one to three goals."""
    made = list(dict.fromkeys(artifact for tool in tools for artifact in tool.makes))
    last = draw(needs_of(made)) if draw(st.booleans()) else (made[-1],)
    rungs = range(draw(st.integers(0, 2)))
    lesser = [(f"rung-{rung}", (draw(st.sampled_from(made)),), 0.5 / (rung + 1)) for rung in rungs]
    return (("full", last, 1.0), *lesser)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Draw everything."""
    tools = draw(graphs())
    starts = draw(st.sampled_from(((0.0,), (0.0,), (0.0, 0.0), (0.0, 0.3, 0.7), (0.1, 0.1, 0.1, 0.1, 5.3))))
    return Scenario(
        tools=tools,
        goals=draw(goal_draws(tools)),
        faults=tuple(draw(st.lists(fault_draws(tools), min_size=draw(st.integers(0, 3)), max_size=5))),
        budget_usd=draw(st.sampled_from((None, None, 0.03, 0.1, 0.3))),
        deadline_s=draw(st.sampled_from((None, None, 0.7, 3.0, 20.0))),
        tokens=draw(st.sampled_from((None,) * 9 + (150,))),
        llm_calls=draw(st.sampled_from((None,) * 9 + (1,))),
        tool_calls=draw(st.sampled_from((None,) * 9 + (4,))),
        starts=starts,
        cancel_at=draw(st.sampled_from((None, None, None, None, 0.05, 0.8, 2.1))),
        concurrency=draw(st.sampled_from((64, 64, 1, 2))),
        health=Health(
            trip_after=draw(st.sampled_from((3, 3, 1))),
            cool_down_s=draw(st.sampled_from((5.0, 0.5))),
            max_attempts=draw(st.sampled_from((3, 3, 2, 1))),
            patience_s=draw(st.sampled_from((30.0, 0.0, 2.0))),
        ),
        yields=draw(st.booleans()),
        router=draw(st.sampled_from((None, None, *ROUTERS))),
        seed=draw(st.integers(0, 7)),
    )
