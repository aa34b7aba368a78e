"""3: reserved plus spent never exceeds the budget."""

from agentroute.ids import nanos
from agentroute.run.events import AttemptAbandoned, AttemptFailed, AttemptStarted, AttemptSucceeded, Chosen, Rerouted
from agentroute.testing.invariants.account import Account, Found, ledger
from agentroute.testing.invariants.effects import doubled_on_the_way


def budget_is_kept(account: Account) -> Found:
    """Reserved plus spent stays within the budget, and what is said to be left is left."""
    limit = None if account.case.budget_usd is None else nanos(account.case.budget_usd)
    lied, overcharged = _lied_to(account), 0
    reserved: dict[int, int] = {}
    spent = 0
    for event in account.events:
        match event:
            case AttemptStarted():
                reserved[event.attempt] = event.reserved
            case AttemptSucceeded() | AttemptFailed() | AttemptAbandoned():
                held = reserved.pop(event.attempt, 0)
                spent += event.spent
                overcharged += max(0, event.spent - held) if event.attempt in lied else 0
            case Chosen():
                spent += event.spent
            case Rerouted() if limit is not None and event.budget_left != max(
                0, limit - spent - sum(reserved.values())
            ):
                left = limit - spent - sum(reserved.values())
                yield 3, f"at {event.at:g} s {event.budget_left} are said to be left, but it is {left}"
            case _:
                pass
        # What a provider charged above its word stands; nothing may be begun on the strength of it.
        allowed = None if limit is None else limit + (0 if isinstance(event, AttemptStarted) else overcharged)
        if allowed is not None and spent + sum(reserved.values()) > allowed:
            yield (
                3,
                f"at {event.at:g} s {spent} are spent and {sum(reserved.values())} reserved of {allowed} nano-dollars",
            )


def charges_are_covered(account: Account) -> Found:
    """The worst case is what was reserved, no attempt costs more, and the providers' bill is on the books."""
    for life in account.lives.values():
        if life.started.reserved != life.spec.cost.worst:
            yield 3, f"attempt {life.started.attempt} reserved {life.started.reserved}, not {life.spec.cost.worst}"
        lied = life.started.attempt in _lied_to(account)
        if life.end is not None and life.end.spent > life.started.reserved and not lied:
            yield (
                3,
                f"attempt {life.started.attempt} cost {life.end.spent}, more than the {life.started.reserved} reserved",
            )
    world, case = account.case.world, account.case
    booked = sum(life.end.spent for life in account.lives.values() if life.end is not None)
    if world is not None and not account.cut_off and world.paid[case.run] > booked + _unknowable(account):
        yield 3, f"providers charged {world.paid[case.run]} nano-dollars, the journal knows of {booked}"


def _unknowable(account: Account) -> int:
    """What the bill may be off by: requests that arrived twice, and those whose price is another than was told."""
    off = doubled_on_the_way(account) | _lied_to(account)
    return sum(life.started.reserved for attempt, life in account.lives.items() if attempt in off)


def _lied_to(account: Account) -> set[int]:
    """Attempts that were charged another price than was declared."""
    return {entry.attempt for entry in ledger(account) if entry.fault.type == "price_change"}
