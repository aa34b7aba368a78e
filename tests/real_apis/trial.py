"""One BFCL task as an agent's run under faults in virtual time, and what is to be said of how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agentroute.agent import Agent
from agentroute.guard.budget import Budget
from agentroute.ids import RunId
from agentroute.ports import Record
from agentroute.run.events import Unresolved
from agentroute.run.result import RunResult
from agentroute.runtime.services import DirectCalls
from agentroute.testing.fakes import YieldingJournal
from agentroute.testing.faults import Fault, FaultType, FaultyCalls
from agentroute.testing.invariants import Case, Violation, check_run
from agentroute.testing.virtual_time import VirtualClock, run_virtual
from tests.real_apis.bfcl import Replay, Suite, Task, replay, state_of
from tests.real_apis.drawing import KINDS, draw
from tests.real_apis.gateway import START, Office, goals_of, step, tools_of

BUDGET = Budget(usd=0.1, deadline_s=120.0)
RUN = "run"


@dataclass(frozen=True, slots=True)
class Setting:
    """How trials are made.

    Attributes:
        kinds: Faults to draw from.
        by_object: Calls wait for the one before them on the same object only; see `tools_of`.
        keeps_keys: The gateways know idempotency keys; see `Office`.
    """

    kinds: tuple[FaultType, ...] = KINDS
    by_object: bool = False
    keeps_keys: bool = True


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happened to the objects, seen from outside.

    Attributes:
        equal: All of them ended as they do without faults.
        right: Every answer that the run has is the one given without faults.
        accounted: All of them are in the state that follows from the calls that the run says were made, in the order
            in which it says so. None where the run says that it cannot know.
        again: Gold calls that came to their object when they had been done already, whatever it made of that.
        doubled: Those that had been done again by the end of the run.
        late: Calls that change something and came to their object when the run was over.
    """

    equal: bool
    right: bool
    accounted: bool | None
    again: tuple[int, ...]
    doubled: tuple[int, ...]
    late: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A run, what it says, and the truth.

    Attributes:
        task: What was to be done.
        faults: What was to go wrong.
        counts: How often each of `faults` really did.
        result: What the run told its caller.
        records: Its journal.
        violations: Of the invariants.
        truth: What really happened.
    """

    task: Task
    faults: Sequence[Fault]
    counts: Sequence[int]
    result: RunResult
    records: Sequence[Record]
    violations: Sequence[Violation]
    truth: Truth

    @property
    def unresolved(self) -> list[str]:
        """Tools of which the run says that their effect has to be looked at by a person."""
        return [record.event.tool for record in self.records if isinstance(record.event, Unresolved)]

    @property
    def admits(self) -> bool:
        """Whether the run says that it did not all go as asked."""
        return self.result.outcome != "succeeded" or bool(self.result.left_behind)

    @property
    def silent(self) -> bool:
        """Whether something is not as it would be without faults, and the run does not say so."""
        return not self.admits and not (self.truth.equal and self.truth.right)

    @property
    def silent_doubles(self) -> list[int]:
        """Gold calls that were made twice, while nothing that the run says points to them."""
        named = {name.split(".")[0] for name in (*self.result.left_behind, *self.unresolved)}
        return [number for number in self.truth.doubled if step(number) not in named]


@dataclass(slots=True)
class Lab:
    """Makes trials of a suite. References are made once.

    Attributes:
        suite: The tasks.
        setting: How trials are made.
    """

    suite: Suite
    setting: Setting = Setting()
    references: dict[str, Replay] = field(default_factory=dict[str, Replay])

    def trial(self, task: Task, *, seed: int, faults: Sequence[Fault] | None = None) -> Trial:
        """Run one task under `faults`, or under those that `seed` draws."""
        drawn = draw(seed, task, self.setting.kinds) if faults is None else faults
        return run_virtual(self._trial, task, seed, drawn)

    def reference(self, task: Task) -> Replay:
        """The calls without agentroute and without faults."""
        if task.name not in self.references:
            self.references[task.name] = replay(task)
        return self.references[task.name]

    async def _trial(self, task: Task, seed: int, faults: Sequence[Fault]) -> Trial:
        office = Office(task.open(), keeps_keys=self.setting.keeps_keys)
        journal, clock = YieldingJournal(), VirtualClock()
        injector = FaultyCalls(DirectCalls(), faults, clock=clock, seed=seed)
        agent = Agent(
            name=task.name,
            tools=tools_of(task, self.suite, office, by_object=self.setting.by_object),
            goals=goals_of(task, by_object=self.setting.by_object),
            budget=BUDGET,
            journal=journal,
            executor=injector,
            clock=clock,
            seed=seed,
            trace=False,
        )
        result = await agent.run(inputs={START: "given"}, run_id=RUN)
        records = await journal.read(RunId(RUN))
        violations = check_run(_case(agent, result, records, injector, office))
        known = not any(isinstance(record.event, Unresolved) for record in records)
        truth = await self._truth(task, office, injector, result, known=known)
        return Trial(task, faults, injector.counts, result, records, violations, truth)

    async def _truth(
        self, task: Task, office: Office, injector: FaultyCalls, result: RunResult, *, known: bool
    ) -> Truth:
        """Compare; `known` says whether the run claims to know what was done."""
        in_time, done, reference = office.arrived, list(office.done), self.reference(task)
        await injector.deliver_late(everything=True)
        state = state_of(office.apis)
        return Truth(
            equal=state == reference.states[-1],
            right=_right(task, result, reference),
            accounted=state == _as_told(task, result) if known else None,
            again=tuple(sorted(office.again)),
            doubled=tuple(sorted({number for number in done if done.count(number) > 1})),
            late=office.arrived - in_time,
        )


def _case(agent: Agent, result: RunResult, records: Sequence[Record], injector: FaultyCalls, office: Office) -> Case:
    """What the invariants are checked on. A hang keeps its caller for as long as it is deaf."""
    deaf = max((fault.latency_s for fault in injector.schedule.faults if fault.type == "hang"), default=0.0)
    return Case(
        run=RUN,
        graph=agent.graph,
        records=records,
        result=result,
        budget_usd=BUDGET.usd,
        deadline_s=BUDGET.deadline_s,
        triggered=injector.triggered,
        seen=injector.seen,
        world=office.world,
        epsilon_s=0.05 + deaf,
    )


def _right(task: Task, result: RunResult, reference: Replay) -> bool:
    answers = {str(step(call.number)): value for call, value in zip(task.calls, reference.answers, strict=True)}
    return all(answer.value == answers[name] for name, answer in result.artifacts.items() if name in answers)


def _as_told(task: Task, result: RunResult) -> object:
    """State of the objects after the calls that the run says were made."""
    numbers = [int(name.split(".")[0].removeprefix("s")) for name in result.route]
    return replay(task, [task.calls[number] for number in numbers]).states[-1]
