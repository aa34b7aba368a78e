"""What the calls of earlier runs have shown of each tool, and what to expect of the next call because of it.

Everything is a count that fades, so that knowledge of two times can be added up, and a figure is worked out only when
somebody asks. Few calls change little, twice over: a tool's figures start from what it declares, and a goal's from
those of the tool. Each step is a credibility estimate (Buehlmann 1967): ``(k * general + sum of n calls) / (k + n)``.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from agentroute.graph.cost import Cost
from agentroute.graph.tool import ToolSpec
from agentroute.ids import GoalId, ToolId
from agentroute.routing.expected import Expected
from agentroute.routing.figures import PRICED_CALLS
from agentroute.routing.latency import PRIOR_CALLS, quantile
from agentroute.routing.reliability import HABIT_STRENGTH

HALF_LIFE = 1_000.0
"""Calls (of any tool) after which what was known before them counts half.

All of it fades alike, also what is known of tools that are not called any more: they drift back to what they declare,
and so get another chance."""

GOAL_STRENGTH = 10.0
"""Calls that the tool's own figures count for in those of a goal."""

FORGOTTEN = 0.01
"""Calls that are as good as none."""

SHORTEST_S, LONGEST_S = 1e-5, 1e6
"""Bounds of a duration, in seconds; what lies outside counts as the bound."""

BUCKET = math.log(1.05)
"""Width of a bucket of durations, as a logarithm: a duration is known to within two and a half per cent."""


def bucket(seconds: float) -> int:
    """Number of the bucket that a duration falls into."""
    return math.floor(math.log(min(max(seconds, SHORTEST_S), LONGEST_S)) / BUCKET)


def middle(number: int) -> float:
    """The duration that stands for a bucket, in seconds."""
    return math.exp((number + 0.5) * BUCKET)


@dataclass(frozen=True, slots=True)
class Calls:
    """What became of calls. The counts fade, so they are no whole numbers.

    Attributes:
        failed: Calls that failed for reasons that say something about the tool.
        worked: Calls that worked.
        usd: What those that worked have cost, together, in USD.
        declared_usd: What was declared of them, together. The same as `usd` for a tool that never says what it cost.
        took: How many of those that worked took how long, by number of `bucket`.
    """

    failed: float = 0.0
    worked: float = 0.0
    usd: float = 0.0
    declared_usd: float = 0.0
    took: Mapping[int, float] = field(default_factory=dict[int, float])

    def plus(self, other: "Calls") -> "Calls":
        """These calls and those."""
        took = dict(self.took)
        for number, calls in other.took.items():
            took[number] = took.get(number, 0.0) + calls
        return Calls(
            self.failed + other.failed,
            self.worked + other.worked,
            self.usd + other.usd,
            self.declared_usd + other.declared_usd,
            took,
        )

    def faded(self, kept: float) -> "Calls":
        """The same calls, each counting for `kept` of one."""
        took = {number: kept * calls for number, calls in self.took.items() if kept * calls > FORGOTTEN}
        return Calls(kept * self.failed, kept * self.worked, kept * self.usd, kept * self.declared_usd, took)

    def risk(self, general: float, strength: float) -> float:
        """Expected share of failing calls, given the share that is expected in general."""
        return (strength * general + self.failed) / (strength + self.failed + self.worked)

    def price(self, general: float, strength: float) -> float:
        """Expected price in USD, given what is expected in general."""
        return (strength * general + self.usd) / (strength + self.worked)

    def quantiles(self, general: Iterable[tuple[float, float]]) -> tuple[float, float]:
        """Median and 80th percentile of the duration in seconds, given durations with a weight in calls each."""
        weighed = sorted((*general, *((middle(number), calls) for number, calls in self.took.items())))
        total = sum(weight for _, weight in weighed)
        return quantile(weighed, total / 2), quantile(weighed, total * 0.8)


NOTHING = Calls()


@dataclass(frozen=True)
class Knowledge:
    """What is known of the tools of an agent; two of these add up to one (`merged`).

    Attributes:
        calls: Calls that have been counted, ever.
        tools: What became of the calls of each tool, for whatever goal.
        goals: The same by goal: part of what `tools` has.
    """

    calls: int = 0
    tools: Mapping[ToolId, Calls] = field(default_factory=dict[ToolId, Calls])
    goals: Mapping[GoalId, Mapping[ToolId, Calls]] = field(default_factory=dict[GoalId, Mapping[ToolId, Calls]])

    def merged(self, newer: "Knowledge") -> Self:
        """This and what came after it; the more calls came after, the less this counts (`HALF_LIFE`).

        In which order three are merged makes no difference, as long as older ones stand before newer ones.
        """
        return self._added(newer, math.exp2(-newer.calls / HALF_LIFE))

    def beside(self, other: "Knowledge") -> Self:
        """This and what was learned at the same time."""
        return self._added(other, 1.0)

    def _added(self, other: "Knowledge", kept: float) -> Self:
        goals = {goal: _faded(tools, kept) for goal, tools in self.goals.items()}
        for goal, tools in other.goals.items():
            goals[goal] = _sum(goals.get(goal, {}), tools)
        return replace(
            self,
            calls=self.calls + other.calls,
            tools=_sum(_faded(self.tools, kept), other.tools),
            goals={goal: tools for goal, tools in goals.items() if tools},
        )

    def expected(self, tools: Iterable[ToolSpec], goals: Iterable[GoalId]) -> dict[GoalId, dict[ToolId, Expected]]:
        """What to expect of those tools that something is known of, by goal.

        Whatever else is known (of tools and goals that the agent does not have) is left out.
        """
        known = [(spec.name, spec.cost, self.tools[spec.name]) for spec in tools if spec.name in self.tools]
        general = {name: _of_tool(cost, calls) for name, cost, calls in known}
        return {
            goal: {
                name: _for_goal(general[name], calls, self.goals.get(goal, {}).get(name, NOTHING))
                for name, _, calls in known
            }
            for goal in goals
        }


def _faded(tools: Mapping[ToolId, Calls], kept: float) -> dict[ToolId, Calls]:
    if kept == 1:
        return dict(tools)
    faded = {name: calls.faded(kept) for name, calls in tools.items()}
    return {name: calls for name, calls in faded.items() if calls.failed + calls.worked > FORGOTTEN}


def _sum(older: Mapping[ToolId, Calls], newer: Mapping[ToolId, Calls]) -> dict[ToolId, Calls]:
    return {name: older.get(name, NOTHING).plus(newer.get(name, NOTHING)) for name in {**older, **newer}}


def _of_tool(cost: Cost, calls: Calls) -> Expected:
    """What to expect of a tool, whatever it is called for."""
    usual, slow = calls.quantiles([(cost.latency_s, PRIOR_CALLS)])
    # A tool that never says what it cost costs what it declares, even if that is not what it used to declare.
    usd = cost.usd if calls.usd == calls.declared_usd else calls.price(cost.usd, PRICED_CALLS)
    return Expected(usd, usual, slow, calls.risk(cost.risk, HABIT_STRENGTH))


def _for_goal(tool: Expected, calls: Calls, own: Calls) -> Expected:
    """What to expect of a tool when it is called for a goal: between what `own` shows and what all `calls` do."""
    if own is NOTHING:
        return tool
    usual, _ = own.quantiles([(tool.latency_s, GOAL_STRENGTH)])
    usd = tool.usd if calls.usd == calls.declared_usd else own.price(tool.usd, GOAL_STRENGTH)
    return replace(
        tool,
        more_usd=usd - tool.usd,
        slower=usual / tool.latency_s if tool.latency_s > 0 else 1.0,
        more_risk=own.risk(tool.risk, GOAL_STRENGTH) - tool.risk,
    )
