"""One agent, some trouble, virtual time: runs it, holds it against the invariants, hands back what came of it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agentroute.agent import Agent
from agentroute.graph.goal import Goal
from agentroute.guard.budget import Budget
from agentroute.ids import RunId
from agentroute.ports import Record, Tool
from agentroute.routing.health import Health
from agentroute.run.events import Event
from agentroute.run.result import RunResult
from agentroute.runtime.services import DirectCalls
from agentroute.testing.fakes import Outcome, ScriptedTools, YieldingJournal
from agentroute.testing.faults import Fault, FaultyCalls, Seen
from agentroute.testing.invariants import Case, check_run
from agentroute.testing.virtual_time import VirtualClock, run_virtual
from agentroute.testing.world import World

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Experiment:
    """What came of one run."""

    result: RunResult
    records: Sequence[Record]
    injector: FaultyCalls
    agent: Agent

    def of(self, kind: type[E]) -> list[E]:
        """Events of one kind, in order."""
        return [record.event for record in self.records if isinstance(record.event, kind)]

    def story(self) -> list[str]:
        """Names of the events, in order."""
        return [type(record.event).__name__ for record in self.records]

    def calls(self, tool: str) -> list[Seen]:
        """Calls of one tool, as the injector saw them."""
        return [seen for seen in self.injector.seen if seen.tool == tool]

    def called(self) -> list[str]:
        """Tools called, in order."""
        return [seen.tool for seen in self.injector.seen]


@dataclass
class Bench:
    """An agent under test with its journal and injector, for tests that make several runs in one stretch of time."""

    agent: Agent
    journal: YieldingJournal
    injector: FaultyCalls
    world: World | None
    options: Mapping[str, Any]

    async def run(self, run: str = "run", **arguments: Any) -> Experiment:
        """Make one run and hold it against the invariants."""
        arguments.setdefault("inputs", {"start": "given"})
        return await self.outcome(await self.agent.run(run_id=run, **arguments))

    async def outcome(self, result: RunResult) -> Experiment:
        """Hold a run that has come back against the invariants."""
        records = await self.journal.read(RunId(result.run_id))
        budget: Budget = self.options["budget"]
        case = Case(
            run=result.run_id,
            graph=self.agent.graph,
            records=records,
            guards={name: tool.when for name, tool in self.agent._services.tools.items() if tool.when is not None},
            result=result,
            health=self.options.get("health") or Health(),
            budget_usd=budget.usd,
            deadline_s=budget.deadline_s,
            tokens=budget.tokens,
            llm_calls=budget.llm_calls,
            tool_calls=budget.tool_calls,
            chooses_tiers=self.options.get("step_router") is not None,
            triggered=self.injector.triggered,
            seen=self.injector.seen,
            world=self.world,
        )
        violations = "\n".join(map(str, check_run(case)))
        assert not violations, "\n".join([violations, *(str(record.event) for record in records)])
        return Experiment(result, records, self.injector, self.agent)


def bench(
    tools: Iterable[Tool],
    goals: Mapping[str, Sequence[Any]] | Sequence[Goal],
    *,
    faults: Iterable[Fault] = (),
    scripts: Mapping[str, Iterable[Outcome]] | None = None,
    world: World | None = None,
    yields: bool = True,
    **options: Any,
) -> Bench:
    """Set up an agent whose calls go through a script and a fault injector. Call it inside the event loop."""
    journal, clock = YieldingJournal(yields=yields), VirtualClock()
    injector = FaultyCalls(ScriptedTools(scripts or {}, inner=DirectCalls()), faults, clock=clock)
    ladder = goals if not isinstance(goals, Mapping) else _ladder(goals)
    options.setdefault("budget", Budget())
    options.setdefault("seed", 1)
    agent = Agent(name="bench", tools=tools, goals=ladder, journal=journal, executor=injector, clock=clock, **options)
    return Bench(agent, journal, injector, world, options)


def _ladder(goals: Mapping[str, Sequence[Any]]) -> list[Goal]:
    return [Goal(name, needs, 1.0 / (rung + 1)) for rung, (name, needs) in enumerate(goals.items())]


def experiment(
    tools: Iterable[Tool], goals: Mapping[str, Sequence[Any]] | Sequence[Goal], *, inputs: Any = None, **options: Any
) -> Experiment:
    """Make one run in virtual time."""

    async def main() -> Experiment:
        return await bench(tools, goals, **options).run(inputs=inputs or {"start": "given"})

    return run_virtual(main)


T = TypeVar("T")


def in_virtual_time(test: Callable[[], Awaitable[T]]) -> Callable[[], T]:
    """Run an async test in virtual time."""

    def run() -> T:
        return run_virtual(test)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
