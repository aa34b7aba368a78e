"""What must hold of every run, checked from outside: `check_run`, `check_breakers`, `decision_journal`.

Nothing of the runtime is imported and no state of its own making is trusted. Everything is worked out again from the
facts on record, and held against what others saw: the fault injector's ledger and the ground truth of the world.

Numbers of the invariants:

1. Every fault that was triggered is answered: by a retry, a reroute, a demotion, an escalation, or a proof of no harm.
2. No result that differs from the ground truth, and no effect that nobody owns up to.
3. Reserved plus spent never exceeds the budget.
4. At most one standing effect per run, tool and key; none is tried again while it may have happened.
5. Exactly one terminal event, at the end, and by the deadline.
6. The journal has no gap, is chained, and says what the result says; every call has its intent on record before it.
7. The same seed gives the same decisions (`decision_journal`).
8. No call to a tool that is open, closed, not on the route or not ready; attempts are capped; no secret in any output.
9. Where a way over tools that never fail was there, the run succeeded (`reachable`; the caller knows the schedule).
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from pydantic_core import to_jsonable_python

from agentroute.graph.tool import KOfN, Need, ToolSpec, artifacts_of
from agentroute.graph.toolgraph import ToolGraph
from agentroute.ids import nanos
from agentroute.ports import Record
from agentroute.routing.health import Health
from agentroute.run.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Chosen,
    Compensated,
    Event,
    GuardClosed,
    Rerouted,
    Retried,
    RouteChosen,
    RunFinished,
    RunStarted,
    Suspended,
    Unresolved,
    Verified,
)
from agentroute.testing.fakes import Row, World
from agentroute.testing.faults import HARMLESS, UNDETECTABLE, Seen, Triggered

REMEDY_GRACE_S = 5.0
"""Seconds past the deadline in which a run may look into effects and undo them."""


class Result(Protocol):
    """What a run told its caller."""

    @property
    def outcome(self) -> str: ...
    @property
    def goal(self) -> str: ...
    @property
    def artifacts(self) -> Mapping[str, Any]: ...
    @property
    def route(self) -> Sequence[str]: ...
    @property
    def attempts(self) -> int: ...
    @property
    def retries(self) -> int: ...
    @property
    def reroutes(self) -> int: ...
    @property
    def llm_calls(self) -> int: ...
    @property
    def cost_usd(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold. `invariant` is its number in this module's list."""

    invariant: int
    run: str
    what: str

    def __str__(self) -> str:
        """One line for a report."""
        return f"[{self.invariant}] run {self.run}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run and everything that is known about it from elsewhere.

    Attributes:
        run: Its id.
        graph: Contracts of the tools and goals.
        records: Its journal.
        result: What it told its caller; None if it was cut off and told nobody.
        health: Settings of the agent.
        budget_usd: The limit that was set, in USD.
        deadline_s: The limit that was set, in seconds.
        triggered: The injector's ledger, of this run or of many.
        seen: The injector's calls, of this run or of many; None if there was no injector.
        world: Ground truth, if there is any.
        secrets: Texts that must appear nowhere.
        outputs: Texts that left the process: what was printed, logged, exported.
        epsilon_s: How late a terminal event may be.
    """

    run: str
    graph: ToolGraph
    records: Sequence[Record]
    result: Result | None = None
    health: Health = field(default_factory=Health)
    budget_usd: float | None = None
    deadline_s: float | None = None
    triggered: Sequence[Triggered] = ()
    seen: Sequence[Seen] | None = None
    world: World | None = None
    secrets: Sequence[str] = ()
    outputs: Sequence[str] = ()
    epsilon_s: float = 0.05


Found = Iterator[tuple[int, str]]
"""What a check yields: the invariant's number, and what is wrong."""


@dataclass(slots=True)
class Life:
    """An attempt as the journal tells it: positions and events of its beginning and its end."""

    started: AttemptStarted
    begin: int
    spec: ToolSpec
    end: AttemptSucceeded | AttemptFailed | AttemptAbandoned | None = None
    end_at: int = -1


@dataclass(slots=True)
class Account:
    """A journal, read once: the events in order, the attempts by number, the terminal event."""

    case: Case
    events: list[Event]
    lives: dict[int, Life]
    finished: RunFinished | None
    strange: list[str]

    @property
    def cut_off(self) -> bool:
        """Whether the run was cancelled, so that things may be left open."""
        return self.finished is not None and self.finished.outcome == "cancelled"

    @property
    def suspended(self) -> bool:
        """Whether it waits for a person."""
        return bool(self.events) and isinstance(self.events[-1], Suspended)


def check_run(case: Case) -> list[Violation]:
    """Check one run. Linear in the length of its journal, but for the number of its tools.

    Returns:
        What does not hold; empty if everything does.
    """
    account = _read(case)
    return [Violation(number, case.run, what) for check in CHECKS for number, what in check(account)]


def undetectable(case: Case) -> list[Triggered]:
    """False answers that kept the contract, and reached a call that counts as a success: nobody could have seen them."""
    account = _read(case)
    return [entry for entry in _ledger(account) if entry.fault.type in UNDETECTABLE and _worked(account, entry)]


def satisfied(needs: Iterable[Need], at_hand: Iterable[str]) -> bool:
    """Whether what is at hand meets all of `needs`."""
    have = set(at_hand)
    return all(
        sum(a in have for a in need.of) >= need.k if isinstance(need, KOfN) else need in have for need in needs
    )


def reachable(graph: ToolGraph, goal: str, have: Iterable[str], tools: Iterable[str]) -> bool:
    """Whether `tools` lead from what is at hand to the goal, whatever it costs. By closure, without the router."""
    at_hand, left = set(have), set(tools)
    moved = True
    while moved:
        ready = {name for name in left if satisfied(graph.routable[name].requires, at_hand)}
        moved = bool(ready)
        left -= ready
        at_hand |= {artifact for name in ready for artifact in graph.routable[name].produces}
    return satisfied(next(g for g in graph.goals.values() if g.name == goal).requires, at_hand)


def _read(case: Case) -> Account:
    events = [record.event for record in case.records]
    account = Account(case, events, {}, None, [])
    for index, event in enumerate(events):
        match event:
            case AttemptStarted():
                _begin(account, index, event)
            case AttemptSucceeded() | AttemptFailed() | AttemptAbandoned():
                _end(account, index, event)
            case RunFinished():
                account.finished = account.finished or event
            case _:
                pass
    return account


def _begin(account: Account, index: int, event: AttemptStarted) -> None:
    spec = account.case.graph.tools.get(event.tool)
    if spec is None:
        account.strange.append(f"attempt {event.attempt} calls {event.tool!r}, which is no tool of the agent")
    elif event.attempt in account.lives:
        account.strange.append(f"attempt {event.attempt} begins twice")
    else:
        account.lives[event.attempt] = Life(event, index, spec)


def _end(account: Account, index: int, event: AttemptSucceeded | AttemptFailed | AttemptAbandoned) -> None:
    life = account.lives.get(event.attempt)
    if life is None or life.spec.name != event.tool:
        account.strange.append(f"attempt {event.attempt} of {event.tool} ends without having begun")
    elif life.end is not None:
        account.strange.append(f"attempt {event.attempt} of {event.tool} ends twice")
    else:
        life.end, life.end_at = event, index


def _ledger(account: Account) -> list[Triggered]:
    return [entry for entry in account.case.triggered if entry.run == account.case.run]


def _seen(account: Account) -> list[Seen]:
    return [seen for seen in account.case.seen or () if seen.run == account.case.run]


def _worked(account: Account, entry: Triggered) -> bool:
    life = account.lives.get(entry.attempt)
    return life is not None and isinstance(life.end, AttemptSucceeded)


# -------------------------------------------------------------------- 1: nothing is silent


def faults_are_answered(account: Account) -> Found:
    """Each fault in the injector's ledger ended its attempt as a failure, did no harm, or met an attempt nobody wanted."""
    for entry in _ledger(account):
        life, where = account.lives.get(entry.attempt), f"{entry.fault} in attempt {entry.attempt} of {entry.tool}"
        if life is None:
            yield 1, f"{where}: the journal has no such attempt"
        elif life.end is None and not account.suspended and account.finished is not None:
            yield 1, f"{where}: the attempt has no outcome"
        elif _worked(account, entry) and entry.fault.type not in UNDETECTABLE | HARMLESS:
            if life.started.role == "step" or entry.fault.type not in ("empty", "renamed_field"):
                yield 1, f"{where}: counted as a success"


def failures_are_answered(account: Account) -> Found:
    """Each failure of a step is followed by exactly one answer."""
    open_failures: dict[int, AttemptFailed] = {}
    for event in account.events:
        match event:
            case AttemptFailed() if _role(account, event.attempt) == "step":
                open_failures[event.attempt] = event
            case Retried() | Rerouted() if _role(account, event.attempt) == "step":
                if open_failures.pop(event.attempt, None) is None:
                    yield 1, f"{type(event).__name__} answers attempt {event.attempt}, which has no open failure"
            case Verified(happened=True):
                open_failures.pop(event.attempt, None)
            case Chosen():
                open_failures.clear()
            case _:
                pass
    if account.finished is not None and not account.cut_off:
        for failure in open_failures.values():
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
            yield 1, f"{life.spec.name} failed to {life.started.role} attempt {life.started.about}, and nothing followed"


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


def _role(account: Account, attempt: int) -> str:
    life = account.lives.get(attempt)
    return life.started.role if life is not None else "?"


# -------------------------------------------------------------------- 2: nothing is made up


def outcome_is_earned(account: Account) -> Found:
    """Succeeded means the goal asked for, demoted a lesser one, and both that its artifacts are there."""
    finished, started = account.finished, account.events[0] if account.events else None
    if finished is None or not isinstance(started, RunStarted) or finished.outcome not in ("succeeded", "demoted"):
        return
    goal = finished.goal
    if (goal == started.goal) != (finished.outcome == "succeeded"):
        yield 2, f"{finished.outcome} with goal {goal!r} where {started.goal!r} was asked for"
    at_hand = _at_hand(account)
    if goal is None or not satisfied(account.case.graph.goals[goal].requires, at_hand):
        yield 2, f"{finished.outcome}, but {goal!r} is not met by {sorted(at_hand)}"
    if any(isinstance(event, Unresolved) for event in account.events):
        yield 2, f"{finished.outcome}, although an effect is unresolved"


def result_is_true(account: Account) -> Found:
    """What the caller is given was really answered by a tool, and is still there."""
    case, result = account.case, account.case.result
    if case.world is None or result is None or result.outcome not in ("succeeded", "demoted"):
        return
    false = {entry.tool for entry in undetectable(case)}
    inputs = account.events[0].inputs if isinstance(account.events[0], RunStarted) else {}
    gone = {str(value) for row in case.world.rows if row.undone_at is not None for value in row.outputs.values()}
    for artifact in artifacts_of(case.graph.goals[next(g for g in case.graph.goals if g == result.goal)].requires):
        value = result.artifacts.get(artifact)
        if value is None or (artifact in inputs and inputs[artifact] == value) or false:
            continue
        if value not in case.world.answers.get((case.run, artifact), ()):
            yield 2, f"{artifact} = {value!r} was never answered by any tool"
        elif str(value) in gone:
            yield 2, f"{artifact} = {value!r} is part of the result and has been undone"


def effects_are_owned(account: Account) -> Found:
    """An effect that stands and must happen once is part of the result, or the run says that it may have stayed behind."""
    case, finished = account.case, account.finished
    if case.world is None or finished is None:
        return
    values = {str(value) for value in _at_hand(account).values()}
    named = {str(tool) for tool in finished.left_behind} | _said_unknown(account, finished)
    named |= {entry.tool for entry in undetectable(case)}
    for row in case.world.standing(case.run):
        if case.graph.tools[next(t for t in case.graph.tools if t == row.tool)].effect != "once":
            continue
        if row.tool not in named and not any(str(value) in values for value in row.outputs.values()):
            yield 2, f"effect {row.number} of {row.tool} (attempt {row.attempt}) stands, and nobody owns up to it"


def _said_unknown(account: Account, finished: RunFinished) -> set[str]:
    said = {str(event.tool) for event in account.events if isinstance(event, Unresolved)}
    if finished.outcome == "cancelled":
        said |= {str(tool) for tool in account.case.graph.tools if tool in finished.reason}
    return said


def _at_hand(account: Account) -> dict[str, Any]:
    """Artifacts at the end, worked out again: what came in, what was made, less what was undone."""
    at_hand: dict[str, Any] = {}
    maker: dict[str, int] = {}
    for event in account.events:
        match event:
            case RunStarted():
                at_hand.update({str(name): value for name, value in event.inputs.items()})
            case AttemptSucceeded() if _role(account, event.attempt) == "step":
                at_hand.update({str(name): value for name, value in event.outputs.items()})
                maker.update({str(name): event.attempt for name in event.outputs})
            case Verified(happened=True):
                for name, value in event.outputs.items():
                    if name not in at_hand:
                        at_hand[str(name)], maker[str(name)] = value, event.attempt
            case Compensated():
                for name in [name for name, attempt in maker.items() if attempt == event.attempt]:
                    del at_hand[name], maker[name]
            case _:
                pass
    return at_hand


# -------------------------------------------------------------------- 3: money


def budget_is_kept(account: Account) -> Found:
    """Reserved plus spent stays within the budget, and what is said to be left is left."""
    limit = None if account.case.budget_usd is None else nanos(account.case.budget_usd)
    reserved: dict[int, int] = {}
    spent = 0
    for event in account.events:
        match event:
            case AttemptStarted():
                reserved[event.attempt] = event.reserved
            case AttemptSucceeded() | AttemptFailed() | AttemptAbandoned():
                reserved.pop(event.attempt, None)
                spent += event.spent
            case Chosen():
                spent += event.spent
            case Rerouted() if limit is not None and event.budget_left != max(0, limit - spent - sum(reserved.values())):
                left = limit - spent - sum(reserved.values())
                yield 3, f"at {event.at:g} s {event.budget_left} are said to be left, but it is {left}"
            case _:
                pass
        if limit is not None and spent + sum(reserved.values()) > limit:
            yield 3, f"at {event.at:g} s {spent} are spent and {sum(reserved.values())} reserved of {limit} nano-dollars"


def charges_are_covered(account: Account) -> Found:
    """The worst case is what was reserved, no attempt costs more, and the providers' bill is on the books."""
    for life in account.lives.values():
        if life.started.reserved != life.spec.cost.worst:
            yield 3, f"attempt {life.started.attempt} reserved {life.started.reserved}, not {life.spec.cost.worst}"
        if life.end is not None and life.end.spent > life.started.reserved:
            yield 3, f"attempt {life.started.attempt} cost {life.end.spent}, more than the {life.started.reserved} reserved"
    world, case = account.case.world, account.case
    booked = sum(life.end.spent for life in account.lives.values() if life.end is not None)
    if world is not None and not account.cut_off and world.paid[case.run] > booked:
        yield 3, f"providers charged {world.paid[case.run]} nano-dollars, the journal knows of {booked}"


# -------------------------------------------------------------------- 4: effects


def effects_are_single(account: Account) -> Found:
    """No second effect under the same key while the first stands."""
    world = account.case.world
    standing: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in world.rows if world is not None else ():
        if row.run != account.case.run:
            continue
        before = [other for other in standing[row.tool, row.key] if other.undone_at is None or other.undone_at > row.made_at]
        if before:
            yield 4, f"effect {row.number} of {row.tool} repeats effect {before[0].number} (key {row.key[:8]})"
        standing[row.tool, row.key].append(row)


def doubts_are_settled_first(account: Account) -> Found:
    """A tool that must run once is not called again, nor its failure answered, before the doubt is settled."""
    doubts: dict[int, str] = {}
    for event in account.events:
        match event:
            case AttemptFailed() if _in_doubt(account, event):
                doubts[event.attempt] = event.tool
            case Verified() | Compensated() | Unresolved():
                doubts.pop(event.attempt, None)
            case AttemptStarted(role="step") if event.tool in doubts.values():
                yield 4, f"attempt {event.attempt} calls {event.tool} although an earlier one may have happened"
            case Retried() | Rerouted() if event.attempt in doubts:
                yield 4, f"{type(event).__name__} at {event.at:g} s goes on although attempt {event.attempt} may have happened"
            case _:
                pass


def _in_doubt(account: Account, failure: AttemptFailed) -> bool:
    """Whether a failure leaves it open if something happened, by the contract and what the injector did."""
    life = account.lives.get(failure.attempt)
    if life is None or life.started.role != "step" or life.spec.effect != "once":
        return False
    hidden = any(entry.attempt == failure.attempt and entry.fault.type in RAN for entry in _ledger(account))
    return hidden or failure.kind in ("ambiguous", "contract")


RAN = frozenset({"malformed", "truncated", "renamed_field", "empty", "ack_lost", "late_success", "timeout", "hang", "reset"})
"""Faults after which the caller cannot know that nothing happened."""


# -------------------------------------------------------------------- 5: the end


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
    latest = deadline + account.case.epsilon_s + (REMEDY_GRACE_S if remedies else 0.0)
    if finished.at > latest:
        yield 5, f"ended at {finished.at:g} s, the deadline was {deadline:g} s"
    for life in account.lives.values():
        if life.started.role == "step" and life.started.at > deadline:
            yield 5, f"attempt {life.started.attempt} began at {life.started.at:g} s, after the deadline"


# -------------------------------------------------------------------- 6: the books


def books_are_whole(account: Account) -> Found:
    """No gap, no broken link, no attempt that ends twice or never, and time does not run backwards."""
    digest, before = "0" * 64, 0.0
    for number, record in enumerate(account.case.records):
        digest = _link(digest, record.event)
        if record.number != number:
            yield 6, f"record {number} is numbered {record.number}"
        if record.digest != digest:
            yield 6, f"record {number} ({type(record.event).__name__}) does not follow from the one before"
            digest = record.digest
        if record.event.at < before - 1e-9:
            yield 6, f"record {number} is dated {record.event.at:g} s, after one of {before:g} s"
        before = max(before, record.event.at)
    for what in account.strange:
        yield 6, what
    if account.finished is not None or account.suspended:
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
    spent += sum(event.spent for event in account.events if isinstance(event, Chosen))
    said = {
        "outcome": account.finished.outcome if account.finished is not None else "escalated",
        "cost": spent,
        "attempts": len(account.lives),
        "retries": sum(isinstance(event, Retried) for event in account.events),
        "reroutes": sum(isinstance(event, Rerouted) for event in account.events),
        "llm_calls": sum(life.started.calls_model for life in lives)
        + sum(event.model_called for event in account.events if isinstance(event, Chosen)),
        "artifacts": _at_hand(account),
        "route": _completed(account),
    }
    told = {
        "outcome": result.outcome,
        "cost": nanos(result.cost_usd),
        "attempts": result.attempts,
        "retries": result.retries,
        "reroutes": result.reroutes,
        "llm_calls": result.llm_calls,
        "artifacts": dict(result.artifacts),
        "route": list(result.route),
    }
    for what, value in said.items():
        if told[what] != value:
            yield 6, f"{what}: the result says {told[what]!r}, the journal {value!r}"


def _completed(account: Account) -> list[str]:
    """Names of the steps that completed, in order; an effect found later counts when it was found in time to be used."""
    done: list[str] = []
    at_hand: set[str] = set()
    for event in account.events:
        match event:
            case AttemptSucceeded() if _role(account, event.attempt) == "step":
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
    """Whether the run had gone on from a failure before its effect was found after all."""
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
    calls = Counter(seen.attempt for seen in _seen(account))
    for attempt, count in calls.items():
        if attempt not in account.lives:
            yield 6, f"a call was made as attempt {attempt}, which the journal does not know"
        if count > 1:
            yield 6, f"attempt {attempt} made {count} calls"
    by_attempt = {seen.attempt: seen for seen in _seen(account)}
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


# -------------------------------------------------------------------- 8: what may be called


def steps_are_allowed(account: Account) -> Found:
    """Each step is on the route, ready, not closed for this run, and within its number of attempts."""
    walk = _Walk(account)
    for event in account.events:
        yield from walk.turn(event)


class _Walk:
    """Goes through a journal and keeps what a step has to be held against."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.route: tuple[str, ...] = ()
        self.closed: set[str] = set()
        self.at_hand: set[str] = set()
        self.tries: Counter[str] = Counter()

    def turn(self, event: Event) -> Found:
        match event:
            case RunStarted():
                self.at_hand = set(map(str, event.inputs))
            case RouteChosen(tools=tools) | Rerouted(after=tools):
                yield from self._route_is_walkable(event.at, tools)
            case GuardClosed():
                self.closed.add(event.tool)
            case AttemptStarted(role="step"):
                yield from self._step(event)
            case AttemptSucceeded() if _role(self.account, event.attempt) == "step":
                self.at_hand |= set(map(str, event.outputs))
            case AttemptFailed(kind="permanent" | "contract"):
                self.closed.add(event.tool)
            case AttemptAbandoned() if _role(self.account, event.attempt) == "step":
                self.tries[event.tool] -= 1  # says nothing about the tool, so it does not count
            case Verified(happened=True):
                self.at_hand |= set(map(str, event.outputs))
                self.closed.discard(event.tool)
            case _:
                pass

    def _step(self, event: AttemptStarted) -> Found:
        spec, name = self.account.case.graph.tools[event.tool], f"attempt {event.attempt} of {event.tool}"
        self.tries[event.tool] += 1
        if event.tool not in self.route:
            yield 8, f"{name} is not on the route {self.route}"
        if event.tool in self.closed:
            yield 8, f"{name}: the tool is closed for this run"
        if not satisfied(spec.requires, self.at_hand):
            yield 8, f"{name} was called without its inputs"
        if self.tries[event.tool] > self.account.case.health.max_attempts:
            yield 8, f"{name} is number {self.tries[event.tool]}, more than {self.account.case.health.max_attempts}"
        if event.number != self.tries[event.tool]:
            yield 8, f"{name} is numbered {event.number}, but is number {self.tries[event.tool]}"
        if (spec.effect == "read") != (not event.key):
            yield 4, f"{name} ({spec.effect}) carries the key {event.key!r}"

    def _route_is_walkable(self, at: float, tools: Sequence[str]) -> Found:
        self.route = tuple(map(str, tools))
        at_hand = set(self.at_hand)
        for tool in self.route:
            spec = next((spec for name, spec in self.account.case.graph.routable.items() if name == tool), None)
            if spec is None or tool in self.closed:
                yield 8, f"the route of {at:g} s goes over {tool}, which is closed or no step"
            elif not satisfied(spec.requires, at_hand):
                yield 8, f"the route of {at:g} s comes to {tool} without its inputs"
            at_hand |= set(map(str, spec.produces)) if spec is not None else set[str]()


def reroutes_are_capped(account: Account) -> Found:
    """As many reroutes as failures at most, and remedies within their attempts."""
    tries = Counter((life.started.about, life.spec.name) for life in account.lives.values() if life.started.about is not None)
    for (about, tool), count in tries.items():
        if count > 2 * account.case.health.max_attempts:
            yield 8, f"{tool} was called {count} times about attempt {about}"


def secrets_are_kept(account: Account) -> Found:
    """No planted secret in what is recorded, returned, printed or exported."""
    texts = [json.dumps(_plain(record.event)) for record in account.case.records]
    texts += [str(account.case.result), *account.case.outputs]
    for secret in account.case.secrets:
        hits = [text for text in texts if secret in text]
        if hits:
            yield 8, f"a secret is in {len(hits)} outputs, such as {hits[0][:60]!r}..."


Check = Callable[[Account], Found]

CHECKS: tuple[Check, ...] = (
    faults_are_answered,
    failures_are_answered,
    remedies_are_answered,
    outcome_is_earned,
    result_is_true,
    effects_are_owned,
    budget_is_kept,
    charges_are_covered,
    effects_are_single,
    doubts_are_settled_first,
    ends_once,
    ends_in_time,
    books_are_whole,
    result_matches_books,
    calls_have_intents,
    steps_are_allowed,
    reroutes_are_capped,
    secrets_are_kept,
)


# -------------------------------------------------------------------- 7: the same again


def decision_journal(records: Iterable[Record]) -> bytes:
    """The journal as canonical JSON lines without the wall clock: what has to be the same, to the byte, for the same seed."""
    return b"\n".join(_canonical({**_plain(record.event), "wall": None}).encode() for record in records)


def _plain(event: Event) -> dict[str, Any]:
    data = {item.name: getattr(event, item.name) for item in fields(event)}
    return {"event": type(event).__name__, **to_jsonable_python(data, fallback=lambda value: f"<{type(value).__name__}>")}


def _canonical(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _link(previous: str, event: Event) -> str:
    return hashlib.sha256(f"{previous}{_canonical(_plain(event))}".encode()).hexdigest()
