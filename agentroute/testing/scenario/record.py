"""What came of scenarios: the records that every report is a view of. Plain data; nothing here runs or judges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["held", "deviated", "invalid", "baseline_not_met", "waiting"]
"""held: everything expected is so. deviated: something is not, or nothing was put to the test. invalid: the scenario
cannot be run as it stands. baseline_not_met: it does not even hold without faults. waiting: it needs something of
agentroute that is not there yet, so it was not run and counts as nothing."""

Level = Literal["virtual", "call", "wire", "process"]
"""How real the faults are. virtual: in the call, in virtual time. call: in the call, in real time. wire: real servers
behind a proxy. process: the same, and processes get signals."""

OURS = "agentroute"
"""Name of the system under test among those it is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCount:
    """One rule of a scenario and how often it really happened.

    Attributes:
        fault: The rule, as on the command line: ``error:search_*``.
        times: How often the injector did it; 0 means that nothing was put to the test.
    """

    fault: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleView:
    """What somebody who knew every fault beforehand could have reached.

    Attributes:
        possible: Whether the goal asked for could be reached; None if that could not be worked out.
        best: The best goal that could be reached, empty if none.
        cost_usd: The least that the goal reached could have cost, USD; None if it could not be worked out.
    """

    possible: bool | None
    best: str = ""
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One system, one run under a scenario's faults (or, as its baseline, without them).

    Attributes:
        system: Who ran: `OURS`, ``react``, ``static``.
        seed: What chance was drawn from.
        outcome: What the system said: ``succeeded``, ``demoted``, ``escalated``, ``cancelled``, ``failed``.
        goal: The goal it said it reached.
        correct: Whether the end is the one that the scenario expects, by the ground truth where there is one.
        silent: Failures that could be seen and were passed over: success claimed and not so, faults unanswered.
        undetectable: False answers that kept their contract: nobody could have seen them.
        duplicate_effects: Effects that stand more than once.
        budget_breaches: Times that more was spent or reserved than allowed.
        llm_calls: Model calls of the control plane and of steps.
        tool_calls: Calls of tools, remedies included.
        retries: Failures answered by the same tool.
        reroutes: Failures answered by others.
        escalations: Times that somebody else decided.
        doubts: Effects that may have happened and that nobody could look into: those go to a person, by rule.
        flaps: Times that a tool came back onto the route after it had been routed around.
        cost_usd: Spent, USD.
        duration_s: Seconds from start to end; of virtual time, at that level.
        detect_s: Seconds from each fault to the failure on record.
        reroute_s: Seconds from each failure to its answer.
        faults: Every rule with its count.
        violations: Invariants that do not hold, one sentence each.
        deviations: Expectations that are not met, one sentence each.
        oracle: What would have been possible.
        events: The journal of the run as JSON data, for whoever wants to look.
    """

    system: str = OURS
    seed: int = 0
    outcome: str = ""
    goal: str = ""
    correct: bool = False
    silent: int = 0
    undetectable: int = 0
    duplicate_effects: int = 0
    budget_breaches: int = 0
    llm_calls: int = 0
    tool_calls: int = 0
    retries: int = 0
    reroutes: int = 0
    escalations: int = 0
    doubts: int = 0
    flaps: int = 0
    cost_usd: float = 0.0
    duration_s: float = 0.0
    detect_s: Sequence[float] = ()
    reroute_s: Sequence[float] = ()
    faults: Sequence[FaultCount] = ()
    violations: Sequence[str] = ()
    deviations: Sequence[str] = ()
    oracle: OracleView | None = None
    events: Sequence[Mapping[str, Any]] = ()

    @property
    def triggered(self) -> int:
        """Faults that really happened."""
        return sum(count.times for count in self.faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRecord:
    """One scenario and what came of it.

    Attributes:
        title: Its title.
        file: Where it was read from.
        level: How real its faults were.
        verdict: See `Verdict`.
        reason: Why it is not held, in a sentence; empty if it is.
        expected: Outcome that it expects under faults, for people; empty if it expects none.
        baseline: The run without faults, if one was made.
        trials: Runs under faults: one for each repetition, then those of the systems compared with.
        took_s: Seconds of real time that all of it took.
    """

    title: str
    file: str
    level: Level = "virtual"
    verdict: Verdict
    reason: str = ""
    expected: str = ""
    baseline: Trial | None = None
    trials: Sequence[Trial] = ()
    took_s: float = 0.0

    def of(self, system: str = OURS) -> list[Trial]:
        """Runs of one system under faults."""
        return [trial for trial in self.trials if trial.system == system]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Everything that one ``scenario run`` did.

    Attributes:
        scenarios: In the order in which they were given.
        systems: `OURS` first, then those compared with.
        seed: The seed given, None if each scenario's own was used.
        repeat: Runs of each scenario.
        started: Seconds since 1970.
        took_s: Seconds of real time.
    """

    scenarios: Sequence[ScenarioRecord] = field(default_factory=list[ScenarioRecord])
    systems: Sequence[str] = (OURS,)
    seed: int | None = None
    repeat: int = 1
    started: float = 0.0
    took_s: float = 0.0
