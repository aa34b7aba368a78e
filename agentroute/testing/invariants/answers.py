"""1: every fault that was triggered is answered."""

from agentroute.run.events import (
    AttemptFailed,
    AttemptStarted,
    Chosen,
    Event,
    LateResultFenced,
    Rerouted,
    Retried,
    Unresolved,
    Verified,
)
from agentroute.testing.faults import HARMLESS, UNDETECTABLE, Triggered
from agentroute.testing.invariants.account import Account, Found, Life, calls_of, ledger, role, worked


def faults_are_answered(account: Account) -> Found:
    """Each fault in the injector's ledger ended its attempt as a failure, did no harm, or hit what nobody wanted."""
    for entry in ledger(account):
        life, where = account.lives.get(entry.attempt), f"{entry.fault} in attempt {entry.attempt} of {entry.tool}"
        if life is None:
            yield 1, f"{where}: the journal has no such attempt"
        elif life.end is None and account.finished is not None:
            yield 1, f"{where}: the attempt has no outcome"
        elif worked(account, entry) and not _may_pass(life, entry):
            yield 1, f"{where}: counted as a success"


def _may_pass(life: Life, entry: Triggered) -> bool:
    """Whether a call can succeed under a fault. A verifier that says nothing says "it did not happen"."""
    mute = entry.fault.type == "empty" and life.started.role != "step"
    return mute or entry.fault.type in UNDETECTABLE | HARMLESS


def failures_are_answered(account: Account) -> Found:
    """Each failure of a step is followed by exactly one answer."""
    unanswered: dict[int, AttemptFailed] = {}
    for event in account.events:
        match event:
            case AttemptFailed() if role(account, event.attempt) == "step":
                unanswered[event.attempt] = event
            case Retried() | Rerouted() if role(account, event.attempt) == "step":
                if unanswered.pop(event.attempt, None) is None:
                    yield 1, f"{type(event).__name__} answers attempt {event.attempt}, which has no open failure"
            case Verified(happened=True):
                unanswered.pop(event.attempt, None)
            case Chosen():
                unanswered.clear()
            case _:
                pass
    for failure in unanswered.values() if account.over else ():
        yield 1, f"the failure of attempt {failure.attempt} of {failure.tool} was never answered"


def remedies_are_answered(account: Account) -> Found:
    """Each failure to verify or undo is followed by another try, another remedy, or the admission that none is left."""
    if account.cut_off:
        return
    for life in account.lives.values():
        if life.started.about is None or not isinstance(life.end, AttemptFailed):
            continue
        rest = account.events[life.end_at + 1 :]
        if not any(_goes_on(event, life) for event in rest):
            yield (
                1,
                f"{life.spec.name} failed to {life.started.role} attempt {life.started.about}, and nothing followed",
            )


def _goes_on(event: Event, life: Life) -> bool:
    match event:
        case Retried(attempt=attempt):
            return attempt == life.started.attempt
        case AttemptStarted(about=about):
            return about == life.started.about
        case Unresolved(attempt=attempt):
            return attempt == life.started.about
        case _:
            return False


def late_results_are_fenced(account: Account) -> Found:
    """A call that was given up and came back is on record as fenced off, if the run went on after it."""
    fenced = {event.attempt for event in account.events if isinstance(event, LateResultFenced)}
    calls = calls_of(account)
    for seen in calls:
        late = seen.late_order
        if late is None or seen.attempt in fenced:
            continue
        if any(other.order > late for other in calls):
            yield 1, f"attempt {seen.attempt} of {seen.tool} came back late, and the journal does not say so"
