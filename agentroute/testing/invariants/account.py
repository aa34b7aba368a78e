"""A journal read once, without the runtime's own state: attempts with beginning and end, what is at hand when."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentroute.graph.tool import KOfN, Need, ToolSpec
from agentroute.run.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Compensated,
    Event,
    RunFinished,
    RunStarted,
    Suspended,
    Verified,
)
from agentroute.testing.faults import Seen, Triggered
from agentroute.testing.invariants.case import Case

Found: TypeAlias = Iterator[tuple[int, str]]
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
    def over(self) -> bool:
        """Whether it came to an end of its own, with nothing left open."""
        return self.finished is not None and not self.cut_off

    @property
    def suspended(self) -> bool:
        """Whether it waits for a person."""
        return bool(self.events) and isinstance(self.events[-1], Suspended)


def read(case: Case) -> Account:
    """Go through the journal once."""
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


def ledger(account: Account) -> list[Triggered]:
    """What the injector triggered in this run."""
    return [entry for entry in account.case.triggered if entry.run == account.case.run]


def calls_of(account: Account) -> list[Seen]:
    """What the injector saw of this run."""
    return [seen for seen in account.case.seen or () if seen.run == account.case.run]


def worked(account: Account, entry: Triggered) -> bool:
    """Whether the attempt that a fault hit counts as a success."""
    life = account.lives.get(entry.attempt)
    return life is not None and isinstance(life.end, AttemptSucceeded)


def deaf_for(account: Account, attempt: int) -> float:
    """Seconds for which a call was deaf to being given up: nobody can hurry code that is."""
    hangs = [entry for entry in ledger(account) if entry.fault.type == "hang" and entry.attempt == attempt]
    return max((entry.fault.latency_s for entry in hangs), default=0.0)


def role(account: Account, attempt: int) -> str:
    """Why an attempt was made: ``step``, ``verify`` or ``compensate``."""
    life = account.lives.get(attempt)
    return life.started.role if life is not None else "?"


def at_hand(account: Account) -> dict[str, Any]:
    """Artifacts at the end, worked out again: what came in, what was made, less what was undone."""
    there: dict[str, Any] = {}
    maker: dict[str, int] = {}
    for event in account.events:
        match event:
            case RunStarted():
                there.update({str(name): value for name, value in event.inputs.items()})
            case AttemptSucceeded() if role(account, event.attempt) == "step":
                news = [name for name in event.outputs if _is_news(account, event, name, there)]
                made = {str(name): event.outputs[name] for name in news}
                there.update(made)
                maker.update(dict.fromkeys(made, int(event.attempt)))
            case Verified(happened=True):
                late = {str(name): value for name, value in event.outputs.items() if name not in there}
                there.update(late)
                maker.update(dict.fromkeys(late, int(event.attempt)))
            case Compensated():
                undone = [name for name, attempt in maker.items() if attempt == event.attempt]
                there = {name: value for name, value in there.items() if name not in undone}
                maker = {name: attempt for name, attempt in maker.items() if name not in undone}
            case _:
                pass
    return there


def _is_news(account: Account, event: AttemptSucceeded, name: str, there: Container[str]) -> bool:
    """Whether an output counts: of two tools that only read, the first to answer is believed."""
    return name not in there or account.lives[event.attempt].spec.effect != "read"


def satisfied(needs: Iterable[Need], at_hand: Iterable[str]) -> bool:
    """Whether what is at hand meets all of `needs`."""
    have = set(at_hand)
    return all(sum(a in have for a in need.of) >= need.k if isinstance(need, KOfN) else need in have for need in needs)
