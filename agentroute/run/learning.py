"""What finished runs teach about their tools. A fold over their facts, made when somebody asks and never during a run.

What counts:

- Steps of the route, for the goal that the run pursued when they began. Calls to verify or to undo an effect come after
  trouble, and say little about other calls.
- Runs that came to an end of their own. One that was cancelled from outside says nothing, nor does an attempt that was
  cut off or abandoned, or whose process died.
- Failures of kind transient, contract (an answer that is not what was promised, ``ensure=`` included) or ambiguous. As
  for health, a permanent one is about the inputs and a rate limit is a request to wait.
- Durations of calls, without what they waited for a turn.
- Durations and prices of successes only: what a failure costs in time and money depends on how it fails.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from agentroute.errors import FailureKind
from agentroute.graph.tool import ToolSpec
from agentroute.ids import AttemptId, GoalId, ToolId, dollars
from agentroute.routing.knowledge import NOTHING, Calls, Knowledge, bucket
from agentroute.run.events import (
    HAND_OVER,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Chosen,
    Event,
    Resumed,
    RunFinished,
    RunStarted,
)

TELLING: frozenset[FailureKind] = frozenset({"transient", "contract", "ambiguous"})
"""Kinds of failure that say something about how reliable a tool is."""

CUT_OFF = "Cancelled"
"""Error of an attempt that the run itself cut off."""


def learn(runs: Iterable[Sequence[Event]], tools: Mapping[ToolId, ToolSpec]) -> Knowledge:
    """What runs teach, the later ones counting more.

    Runs may come in any order: what counts is when they ended, by the wall clock. Those that ended at the same moment
    count alike. Runs that have not ended are left out.

    Args:
        runs: The facts of each run, in order.
        tools: Contracts by name; calls of other tools are left out.
    """
    lessons = [lesson for events in runs if (lesson := _lesson(events, tools)) is not None]
    lessons.sort(key=itemgetter(0))
    known = Knowledge()
    for _, alike in groupby(lessons, key=itemgetter(0)):
        newer = Knowledge()
        for _, lesson in alike:
            newer = newer.beside(lesson)
        known = known.merged(newer)
    return known


@dataclass(slots=True)
class _Reading:
    """Where one is in the facts of a run."""

    goal: GoalId | None = None
    offset: float = 0.0  # from seconds of the run to the wall clock; while a run waits for a person, its clock stands
    under_way: dict[AttemptId, AttemptStarted] = field(default_factory=dict[AttemptId, AttemptStarted])
    calls: list[tuple[GoalId, ToolId, Calls]] = field(default_factory=list[tuple[GoalId, ToolId, Calls]])
    goals: dict[AttemptId, GoalId] = field(default_factory=dict[AttemptId, GoalId])


def _lesson(events: Sequence[Event], tools: Mapping[ToolId, ToolSpec]) -> tuple[float, Knowledge] | None:
    """When a run ended, by the wall clock, and what it teaches; None if it has not ended, or not by itself."""
    reading = _Reading()
    for event in events:
        match event:
            case RunStarted():
                reading.goal, reading.offset = event.goal, event.wall - event.at
            case Chosen():
                reading.goal = None if event.choice == HAND_OVER else GoalId(event.choice)
            case Resumed():
                reading.offset = event.wall - event.at
                reading.under_way.clear()
            case RunFinished():
                return None if event.outcome == "cancelled" else (reading.offset + event.at, _counted(reading))
            case _:
                _follow(reading, event, tools)
    return None


def _follow(reading: _Reading, event: Event, tools: Mapping[ToolId, ToolSpec]) -> None:
    """Take in what became of an attempt."""
    match event:
        case AttemptStarted(role="step", tool=tool) if reading.goal is not None and tool in tools:
            reading.under_way[event.attempt] = event
            reading.goals[event.attempt] = reading.goal
        case AttemptSucceeded() | AttemptFailed():
            started = reading.under_way.pop(event.attempt, None)
            if started is not None and (calls := _one_call(started, event, tools[started.tool])) is not None:
                reading.calls.append((reading.goals[event.attempt], started.tool, calls))
        case _:
            pass


def _one_call(started: AttemptStarted, event: AttemptSucceeded | AttemptFailed, spec: ToolSpec) -> Calls | None:
    """One attempt as a count; None if it says nothing about the tool."""
    if isinstance(event, AttemptFailed):
        return Calls(failed=1.0) if event.kind in TELLING and event.error != CUT_OFF else None
    usd, declared_usd = dollars(event.spent), dollars(spec.cost.expected)
    took_s = event.at - started.at - event.waited_s
    return Calls(worked=1.0, usd=usd, declared_usd=declared_usd, took={bucket(took_s): 1.0})


def _counted(reading: _Reading) -> Knowledge:
    tools: dict[ToolId, Calls] = {}
    goals: dict[GoalId, dict[ToolId, Calls]] = {}
    for goal, tool, calls in reading.calls:
        tools[tool] = tools.get(tool, NOTHING).plus(calls)
        of_goal = goals.setdefault(goal, {})
        of_goal[tool] = of_goal.get(tool, NOTHING).plus(calls)
    return Knowledge(len(reading.calls), tools, goals)
