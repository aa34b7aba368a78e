"""4: at most one standing effect per run, tool and key; none is tried again while it may have happened."""

from agentroute.run.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Compensated,
    Rerouted,
    Retried,
    Unresolved,
    Verified,
)
from agentroute.testing.invariants.account import Account, Found, ledger


def effects_are_single(account: Account) -> Found:
    """No second effect under the same key, or of the same tool on the same inputs, while the first stands."""
    world = account.case.world
    rows = [row for row in world.rows if row.run == account.case.run] if world is not None else []
    doubled = doubled_on_the_way(account)
    for row in rows:
        for other in rows:
            same = other.tool == row.tool and (other.key == row.key or other.inputs == row.inputs)
            if other.attempt == row.attempt and row.attempt in doubled:
                continue
            if same and other.number < row.number and (other.undone_at is None or other.undone_at > row.made_at):
                yield 4, f"effect {row.number} of {row.tool} repeats effect {other.number} (key {row.key[:8]})"


def doubled_on_the_way(account: Account) -> set[int]:
    """Attempts whose request arrived twice: what that does, their caller cannot see."""
    return {entry.attempt for entry in ledger(account) if entry.fault.type == "duplicate_delivery"}


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
                what = f"although attempt {event.attempt} may have happened"
                yield 4, f"{type(event).__name__} at {event.at:g} s goes on {what}"
            case _:
                pass


def _in_doubt(account: Account, failure: AttemptFailed) -> bool:
    """Whether a failure leaves it open if something happened, by the contract and what the injector did."""
    life = account.lives.get(failure.attempt)
    if life is None or life.started.role != "step" or life.spec.effect != "once":
        return False
    hidden = any(entry.attempt == failure.attempt and entry.fault.type in RAN for entry in ledger(account))
    return hidden or failure.kind in ("ambiguous", "contract")


RAN = frozenset(
    {
        "malformed",
        "truncated",
        "renamed_field",
        "type_change",
        "empty",
        "error_in_200",
        "output_bomb",
        "ack_lost",
        "late_success",
        "timeout",
        "hang",
        "reset",
        "crash",
    }
)
"""Faults after which the caller cannot know that nothing happened."""


def sagas_run_backwards(account: Account) -> Found:
    """Of several effects that are undone, the last goes first."""
    undone = [event.attempt for event in account.events if isinstance(event, Compensated)]
    made = {attempt: life.end_at for attempt, life in account.lives.items() if isinstance(life.end, AttemptSucceeded)}
    order = [made[attempt] for attempt in undone if attempt in made]
    if order != sorted(order, reverse=True):
        yield 4, f"effects of attempts {undone} were undone in this order"
