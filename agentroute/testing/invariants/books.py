"""6: the journal has no gap, is chained, and says what the result and the injector say."""

from collections import Counter

from agentroute.ids import nanos
from agentroute.run.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptSucceeded,
    Chosen,
    LateResultFenced,
    ModelAsked,
    Rerouted,
    Retried,
    Verified,
)
from agentroute.testing.faults import Seen
from agentroute.testing.invariants.account import Account, Found, Life, at_hand, calls_of, deaf_for, role
from agentroute.testing.invariants.canonical import link


def books_are_whole(account: Account) -> Found:
    """No gap, no broken link, and time does not run backwards."""
    digest, before = "0" * 64, 0.0
    for number, record in enumerate(account.case.records):
        digest = link(digest, record.event)
        if record.number != number:
            yield 6, f"record {number} is numbered {record.number}"
        if record.digest != digest:
            yield 6, f"record {number} ({type(record.event).__name__}) does not follow from the one before"
            digest = record.digest
        late = isinstance(record.event, LateResultFenced)  # dated when it came, recorded when somebody looked
        if record.event.at < before - 1e-9 and not late:
            yield 6, f"record {number} is dated {record.event.at:g} s, after one of {before:g} s"
        before = max(before, record.event.at)


def attempts_are_whole(account: Account) -> Found:
    """Every attempt begins once and ends once; without an end its money stays reserved for ever."""
    for what in account.strange:
        yield 6, what
    if account.finished is None and not account.suspended:
        return
    for life in account.lives.values():
        if life.end is None:
            yield 6, f"attempt {life.started.attempt} of {life.spec.name} has no outcome; its reservation is leaked"


def result_matches_books(account: Account) -> Found:
    """The caller was told what the journal says."""
    result = account.case.result
    if result is None:
        return
    lives = account.lives.values()
    spent = sum(life.end.spent for life in lives if life.end is not None)
    choices = [event for event in account.events if isinstance(event, Chosen)]
    unanswered = _unanswered(account)
    spent += sum(event.spent for event in choices) + sum(event.reserved for event in unanswered)
    said = {
        "outcome": account.finished.outcome if account.finished is not None else "escalated",
        "cost": spent,
        "attempts": len(account.lives),
        "retries": sum(isinstance(event, Retried) for event in account.events),
        "reroutes": sum(isinstance(event, Rerouted) for event in account.events),
        "llm_calls": sum(life.started.calls_model for life in lives if _was_made(life))
        + sum(event.model_called for event in choices)
        + len(unanswered),
        "tool_calls": sum(map(_was_made, lives)),
        "tokens": sum(life.end.used_tokens for life in lives if life.end is not None)
        + sum(event.used_tokens for event in choices)
        + sum(event.tokens for event in unanswered),
        "artifacts": at_hand(account),
        "route": _completed(account),
    }
    told = {
        "outcome": result.outcome,
        "cost": nanos(result.cost_usd),
        "attempts": result.attempts,
        "retries": result.retries,
        "reroutes": result.reroutes,
        "llm_calls": result.llm_calls,
        "tool_calls": result.tool_calls,
        "tokens": result.tokens,
        "artifacts": dict(result.artifacts),
        "route": list(result.route),
    }
    for what, value in said.items():
        if told[what] != value:
            yield 6, f"{what}: the result says {told[what]!r}, the journal {value!r}"


def _unanswered(account: Account) -> list[ModelAsked]:
    """Models that were asked to choose, and the run was over before they had."""
    open_: list[ModelAsked] = []
    for event in account.events:
        if isinstance(event, ModelAsked):
            open_.append(event)
        elif isinstance(event, Chosen):
            open_.clear()
    return open_


def _was_made(life: Life) -> bool:
    """Whether the call was made, and not given up before its turn came."""
    return not isinstance(life.end, AttemptAbandoned) or life.end.called


def _completed(account: Account) -> list[str]:
    """Names of the steps that completed, in order; an effect found late counts if it was still of use."""
    done: list[str] = []
    at_hand: set[str] = set()
    for event in account.events:
        match event:
            case AttemptSucceeded() if role(account, event.attempt) == "step":
                reads = account.lives[event.attempt].spec.effect == "read"
                if not (reads and set(map(str, event.outputs)) <= at_hand):  # else another had answered first
                    done.append(event.tool)
                at_hand |= set(map(str, event.outputs))
            case Verified(happened=True):
                if not set(map(str, event.outputs)) <= at_hand or not _answered_before(account, event):
                    done.append(event.tool)
                at_hand |= set(map(str, event.outputs))
            case _:
                pass
    return done


def _answered_before(account: Account, found: Verified) -> bool:
    """Whether the run had gone on from a failure before its effect was found after all.

    What may be called again is never in doubt: a run goes on from its failure at once, and looks at the end.
    """
    if account.lives[found.attempt].spec.effect != "once":
        return True
    for event in account.events:
        if event is found:
            return False
        if isinstance(event, Verified) and event.attempt == found.attempt:
            return True
    return False


def calls_have_intents(account: Account) -> Found:
    """Each call that came through was on record before it, came through once, and its outcome is the one on record."""
    if account.case.seen is None:
        return
    calls = Counter(seen.attempt for seen in calls_of(account))
    for attempt, count in calls.items():
        if attempt not in account.lives:
            yield 6, f"a call was made as attempt {attempt}, which the journal does not know"
        if count > 1:
            yield 6, f"attempt {attempt} made {count} calls"
    by_attempt = {seen.attempt: seen for seen in calls_of(account)}
    for life in account.lives.values():
        yield from _same_story(life, by_attempt.get(life.started.attempt))


def _same_story(life: Life, seen: Seen | None) -> Found:
    name = f"attempt {life.started.attempt} of {life.spec.name}"
    if seen is None:
        if isinstance(life.end, (AttemptSucceeded, AttemptFailed)):
            yield 6, f"{name} is said to have ended as {type(life.end).__name__}, but no call was made"
        return
    if seen.tool != life.spec.name or (life.started.role == "step" and seen.key != life.started.key):
        yield 6, f"{name} called {seen.tool} with key {seen.key[:8]!r}"
    if isinstance(life.end, AttemptSucceeded) and seen.outcome != "answered":
        yield 6, f"{name} is said to have succeeded; its call ended as {seen.outcome or 'not at all'}"
    if isinstance(life.end, AttemptAbandoned) and life.spec.effect == "once" and life.started.role == "step":
        yield 6, f"{name} changes something and was cut off, but is on record as merely abandoned"


def calls_keep_time(account: Account) -> Found:
    """No call is waited for longer than its tool's timeout."""
    for seen in calls_of(account):
        life = account.lives.get(seen.attempt)
        if life is None or seen.ended is None:
            continue
        took = seen.ended - seen.at - deaf_for(account, seen.attempt)
        if took > life.spec.timeout_s + account.case.epsilon_s:
            yield 5, f"attempt {seen.attempt} of {seen.tool} took {took:g} s of {life.spec.timeout_s:g} s"
