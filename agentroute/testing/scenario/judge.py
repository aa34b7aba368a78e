"""Judges a play from outside: the invariants, what was expected, and what would have been possible."""

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

from agentroute.ids import ArtifactId, NanoUsd, nanos
from agentroute.ports import Record, Tool
from agentroute.run.events import Unresolved
from agentroute.testing.fakes import FakeTool
from agentroute.testing.faults import CANARY, Fault, Schedule
from agentroute.testing.faults.falsehoods import ORDERS
from agentroute.testing.invariants import (
    Case,
    Violation,
    check_breakers,
    check_run,
    decision_journal,
    undetectable,
)
from agentroute.testing.invariants.canonical import canonical, plain
from agentroute.testing.scenario.expectations import Expectations
from agentroute.testing.scenario.findings import by_run, claims_falsely, deviations
from agentroute.testing.scenario.measures import flaps, repeated_rows, times_to_answer, times_to_detect
from agentroute.testing.scenario.open_ways import ways_are_taken
from agentroute.testing.scenario.oracle import Foresight, foresee
from agentroute.testing.scenario.play import Play
from agentroute.testing.scenario.record import FaultCount, OracleView, Trial
from agentroute.testing.scenario.staging import Staging

REAL_EPSILON_S = 0.5
"""How late things may be in real time, on a machine that has other work too."""

FAR_S = 60.0
"""How far the oracle looks for moments at which a fault comes or goes; later ones save nobody who still waits."""

GRACE_S = 5.0
"""Seconds past the deadline in which effects may still be looked into."""

SILENT = (1, 2)
"""Invariants whose violation is a failure that nobody was told of."""


def judge(
    staging: Staging, played: Play, faults: Sequence[Fault], expected: Expectations, seed: int, *, keep_events: bool
) -> Trial:
    """Judge one play.

    Args:
        staging: The scenario.
        played: What came of it.
        faults: What went wrong; nothing, for a baseline.
        expected: What must hold.
        seed: What chance was drawn from.
        keep_events: Keep the journals in the record.
    """
    cases = _cases(staging, played)
    violations = [violation for case in cases for violation in check_run(case)]
    violations += [] if staging.is_real else check_breakers(cases, played.seen)
    if played.killed:  # it had no time to end
        violations = [v for v in violations if not (v.invariant == 5 and v.what.startswith("0 terminal events"))]
    violations += [*_orders_kept_out(played), *ways_are_taken(staging, played, faults)]
    unseen = sum(len(undetectable(case)) for case in cases) + _doubled(played)
    missed = deviations(expected, played, undetectable=unseen, under_faults=bool(faults))
    results = list(played.results.values())
    numbers = Counter(violation.invariant for violation in violations)
    claimed_falsely = claims_falsely([result.outcome for result in results], missed)
    return Trial(
        seed=seed,
        outcome="killed" if played.killed else _worst([r.outcome for r in results], crashed=bool(played.crashes)),
        goal=results[0].goal if results else "",
        correct=not violations and not missed,
        silent=sum(numbers[number] for number in SILENT) + claimed_falsely,
        undetectable=unseen,
        duplicate_effects=_duplicates(violations, played),
        budget_breaches=numbers[3],
        llm_calls=sum(result.llm_calls for result in results),
        tool_calls=len(played.seen),
        retries=sum(result.retries for result in results),
        reroutes=sum(result.reroutes for result in results),
        escalations=sum(result.escalations for result in results),
        doubts=sum(isinstance(r.event, Unresolved) for records in played.records.values() for r in records),
        flaps=sum(map(flaps, played.records.values())),
        cost_usd=sum(result.cost_usd for result in results),
        duration_s=max((result.duration_s for result in results), default=0.0),
        detect_s=times_to_detect(played.triggered, played.seen),
        reroute_s=[time for records in played.records.values() for time in times_to_answer(records)],
        faults=[FaultCount(fault=str(f), times=n) for f, n in zip(faults, played.counts, strict=True)],
        violations=list(map(str, violations)),
        deviations=missed,
        oracle=_oracle(staging, played, faults, seed),
        events=_events(played) if keep_events else (),
    )


def difference(first: Play, second: Play, *, values: bool) -> str:
    """Invariant 7: where two plays with the same seed took other decisions; empty if they did not.

    Args:
        first: One play.
        second: The other.
        values: Compare what tools answered, too. Tools of a user's own may answer something else each time, such as
            the time of day; what follows from that is theirs, and the sentence says where to look.
    """
    for number, (before, after) in enumerate(zip_longest(first.records.values(), second.records.values())):
        lines, others = _decisions(before, values=values), _decisions(after, values=values)
        for at, (line, other) in enumerate(zip_longest(lines, others)):
            if line != other:
                what = (line or other or "").partition(",")[0].strip('{"')
                hint = "" if values else "; does a tool or guard depend on chance, the time, or what it did before?"
                return f"run {number}, event {at} ({what}){hint}"
    return ""


def _decisions(records: Sequence[Record] | None, *, values: bool) -> list[str]:
    lines = decision_journal(records or ()).decode(errors="surrogatepass").split("\n")
    if values:
        return lines
    return [canonical(_without_values(json.loads(line))) for line in lines if line]


def _without_values(event: dict[str, Any]) -> dict[str, Any]:
    """The same, with names for values, and without what is derived from values and ids."""
    named = {key: sorted(event[key]) for key in ("outputs", "inputs") if key in event}
    return {**event, **named, **{key: bool(event[key]) for key in ("key", "message") if key in event}}


def _cases(staging: Staging, played: Play) -> list[Case]:
    """What there is to say about each run; what the injector saw is sorted by run once, as there may be thousands."""
    guards = {str(name): tool.when for name, tool in played.agent.tools.items() if tool.when is not None}
    triggered, seen = by_run(played.triggered), by_run(played.seen)
    outputs = [*played.outputs, *played.prompts]
    return [
        Case(
            run=run,
            graph=played.agent.graph,
            records=records,
            guards=guards,
            result=played.results.get(run),
            health=played.agent.health,
            budget_usd=played.budget.usd,
            deadline_s=played.budget.deadline_s,
            tokens=played.budget.tokens,
            llm_calls=played.budget.llm_calls,
            tool_calls=played.budget.tool_calls,
            triggered=triggered.get(run, ()),
            seen=seen.get(run, ()),
            world=None if staging.is_real else played.world,
            secrets=[CANARY],
            outputs=outputs,
            epsilon_s=REAL_EPSILON_S if not staging.is_virtual else 0.05,
        )
        for run, records in played.records.items()
    ]


def _orders_kept_out(played: Play) -> list[Violation]:
    """No text that a tool answered stands in what a model is told to do."""
    hits = sum(ORDERS in prompt for prompt in played.prompts)
    return [Violation(8, "", f"orders from a tool's answer stand in {hits} of a model's prompts")] if hits else []


def _doubled(played: Play) -> int:
    """Effects of requests that arrived twice, at tools that do not honour keys: their callers cannot see it."""
    doubled = {(e.run, e.attempt) for e in played.triggered if e.fault.type == "duplicate_delivery"}
    rows = Counter((row.run, row.attempt) for row in played.world.rows)
    return sum(rows[attempt] > 1 for attempt in doubled)


def _duplicates(violations: Sequence[Violation], played: Play) -> int:
    found = sum(violation.invariant == 4 and "repeats effect" in violation.what for violation in violations)
    return found + repeated_rows(played.truth or {})


def _worst(outcomes: Sequence[str], *, crashed: bool) -> str:
    """The outcome that stands for several runs: the one least wished for."""
    if crashed or not outcomes:
        return "failed" if crashed else "cancelled"
    return max(outcomes, key=("succeeded", "demoted", "escalated", "cancelled").index)


def _events(played: Play) -> list[dict[str, Any]]:
    return [{"run": run, **plain(record.event)} for run, records in played.records.items() for record in records]


# -------------------------------------------------------------------- the oracle


def _oracle(staging: Staging, played: Play, faults: Sequence[Fault], seed: int) -> OracleView | None:
    """What was possible, where the whole schedule is known: one run over simulated tools, not cut off."""
    document, limits = staging.document, played.budget
    if not staging.simulated or not faults or document.runs > 1 or document.cancel_at is not None:
        return None
    if limits.tokens is not None or limits.tool_calls is not None or played.agent.quotas:
        return None  # it counts money only
    agent, schedule = played.agent, Schedule(faults, seed)
    deadline = limits.deadline_s
    tools = {str(name): tool for name, tool in agent.tools.items()}

    def strikes(tool: str, number: int, at: float) -> list[Fault]:
        provider = tools[tool].spec.provider
        return [strike.fault for strike in schedule.strikes("run-0", tool, number, at, provider=provider)]

    known = Foresight(
        graph=agent.graph,
        have=frozenset(map(ArtifactId, staging.inputs)),
        strikes=strikes,
        seconds=lambda tool: getattr(tools[tool], "seconds", 0.0),
        prices=partial(_price, tools),
        max_attempts=agent.health.max_attempts,
        budget=limits.money,
        deadline_s=deadline,
        moments=schedule.moments(until=FAR_S if deadline is None else min(FAR_S, deadline + GRACE_S)),
        goes_on=False,  # simulated tools do nothing after they were given up
    )
    return foresee(known, document.goal or str(agent.graph.first_goal))


def _price(tools: dict[str, Tool], tool: str) -> NanoUsd:
    found = tools[tool]
    if isinstance(found, FakeTool):
        return nanos(found.spec.cost.usd if found.price is None else found.price)
    return NanoUsd(0)
