"""What must hold of every run, checked from outside: `check_run`, `check_breakers`, `decision_journal`.

Nothing of the runtime is imported and no state of its own making is trusted. Everything is worked out again from the
facts on record, and held against what others saw: the fault injector's ledger and the ground truth of the world.

Numbers of the invariants:

1. Every fault that was triggered is answered: by a retry, a reroute, a demotion, an escalation, or a proof of no harm.
2. No result that differs from the ground truth, and no effect that nobody owns up to.
3. Reserved plus spent never exceeds the budget, in money, tokens or calls, but for what an alarm was raised about.
4. At most one standing effect per run, tool and key; none is tried again while it may have happened.
5. Exactly one terminal event, at the end, and by the deadline.
6. The journal has no gap, is chained, and says what the result says; every call has its intent on record before it.
7. The same seed gives the same decisions (`decision_journal`).
8. No call to a tool that is open, closed, not on the route or not ready, or to a tier that was not chosen; attempts
   are capped; no secret in any output.
9. Where a way over tools that never fail was there, the run succeeded (`reachable`; the caller knows the schedule).
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from agentroute.graph.toolgraph import ToolGraph
from agentroute.ids import ToolId
from agentroute.testing.invariants.account import Account, Found, read, satisfied
from agentroute.testing.invariants.answers import (
    failures_are_answered,
    faults_are_answered,
    late_results_are_fenced,
    remedies_are_answered,
)
from agentroute.testing.invariants.books import (
    attempts_are_whole,
    books_are_whole,
    calls_have_intents,
    calls_keep_time,
    result_matches_books,
)
from agentroute.testing.invariants.breakers import check_breakers
from agentroute.testing.invariants.calls import remedies_are_capped, secrets_are_kept, steps_are_allowed
from agentroute.testing.invariants.canonical import decision_journal
from agentroute.testing.invariants.case import Case, Result, Violation
from agentroute.testing.invariants.effects import RAN, doubts_are_settled_first, effects_are_single, sagas_run_backwards
from agentroute.testing.invariants.ending import ends_in_time, ends_once
from agentroute.testing.invariants.money import (
    budget_is_kept,
    charges_are_covered,
    models_are_covered,
    nobody_put_aside_is_called,
)
from agentroute.testing.invariants.tiers import tiers_are_chosen
from agentroute.testing.invariants.truth import effects_are_owned, outcome_is_earned, result_is_true, undetectable

__all__ = [
    "RAN",
    "Case",
    "Result",
    "Violation",
    "check_breakers",
    "check_run",
    "decision_journal",
    "reachable",
    "undetectable",
]

Check: TypeAlias = Callable[[Account], Found]

CHECKS: tuple[Check, ...] = (
    faults_are_answered,
    failures_are_answered,
    remedies_are_answered,
    late_results_are_fenced,
    outcome_is_earned,
    result_is_true,
    effects_are_owned,
    budget_is_kept,
    charges_are_covered,
    models_are_covered,
    nobody_put_aside_is_called,
    effects_are_single,
    doubts_are_settled_first,
    sagas_run_backwards,
    ends_once,
    ends_in_time,
    books_are_whole,
    attempts_are_whole,
    result_matches_books,
    calls_have_intents,
    calls_keep_time,
    steps_are_allowed,
    remedies_are_capped,
    secrets_are_kept,
    tiers_are_chosen,
)


def check_run(case: Case) -> list[Violation]:
    """Check one run. Linear in the length of its journal, but for the number of its tools.

    Returns:
        What does not hold; empty if everything does.
    """
    account = read(case)
    return [Violation(number, case.run, what) for check in CHECKS for number, what in check(account)]


def reachable(graph: ToolGraph, goal: str, have: Iterable[str], tools: Iterable[str]) -> bool:
    """Whether `tools` lead from what is at hand to the goal, whatever it costs. By closure, without the router."""
    at_hand, left = set(have), {ToolId(tool) for tool in tools}
    moved = True
    while moved:
        ready = {name for name in left if satisfied(graph.routable[name].requires, at_hand)}
        moved = bool(ready)
        left -= ready
        at_hand |= {artifact for name in ready for artifact in graph.routable[name].produces}
    return satisfied(next(g for g in graph.goals.values() if g.name == goal).requires, at_hand)
