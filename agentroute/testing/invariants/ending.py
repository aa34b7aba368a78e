"""5: exactly one terminal event, at the end, and by the deadline."""

from agentroute.run.events import RunFinished, RunStarted, Unresolved
from agentroute.testing.invariants.account import Account, Found, ledger

REMEDY_GRACE_S = 5.0
"""Seconds past the deadline in which a run may look into effects and undo them."""


def ends_once(account: Account) -> Found:
    """One terminal event, the last of all (or a suspension in its place)."""
    ends = [index for index, event in enumerate(account.events) if isinstance(event, RunFinished)]
    if not account.events or not isinstance(account.events[0], RunStarted):
        yield 5, "the journal does not begin with RunStarted"
    if not ends and account.suspended:
        return
    if len(ends) != 1:
        yield 5, f"{len(ends)} terminal events"
    elif ends[0] != len(account.events) - 1:
        yield 5, f"{type(account.events[-1]).__name__} after the terminal event"


def ends_in_time(account: Account) -> Found:
    """By the deadline, or within the grace that remedies have."""
    deadline, finished = account.case.deadline_s, account.finished
    if deadline is None or finished is None:
        return
    remedies = any(life.started.about is not None for life in account.lives.values())
    remedies = remedies or any(isinstance(event, Unresolved) for event in account.events)  # waited for, in vain
    latest = deadline + account.case.epsilon_s + (REMEDY_GRACE_S if remedies else 0.0)
    latest = max(latest, _deaf_until(account))
    if finished.at > latest:
        yield 5, f"ended at {finished.at:g} s, the deadline was {deadline:g} s"
    for life in account.lives.values():
        if life.started.role == "step" and life.started.at > deadline:
            yield 5, f"attempt {life.started.attempt} began at {life.started.at:g} s, after the deadline"


def _deaf_until(account: Account) -> float:
    """When the last call was over that was deaf to being given up, in seconds of the run. Nobody can hurry it."""
    hung = {entry.attempt: entry.fault.latency_s for entry in ledger(account) if entry.fault.type == "hang"}
    ends = [life.started.at + life.spec.timeout_s + hung[n] for n, life in account.lives.items() if n in hung]
    return max(ends, default=0.0) + account.case.epsilon_s
