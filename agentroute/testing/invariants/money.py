"""3: reserved plus spent never exceeds the budget."""

from agentroute.ids import nanos
from agentroute.run.events import AttemptAbandoned, AttemptFailed, AttemptStarted, AttemptSucceeded, Chosen, Rerouted
from agentroute.testing.invariants.account import Account, Found


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
            case Rerouted() if limit is not None and event.budget_left != max(
                0, limit - spent - sum(reserved.values())
            ):
                left = limit - spent - sum(reserved.values())
                yield 3, f"at {event.at:g} s {event.budget_left} are said to be left, but it is {left}"
            case _:
                pass
        if limit is not None and spent + sum(reserved.values()) > limit:
            yield (
                3,
                f"at {event.at:g} s {spent} are spent and {sum(reserved.values())} reserved of {limit} nano-dollars",
            )


def charges_are_covered(account: Account) -> Found:
    """The worst case is what was reserved, no attempt costs more, and the providers' bill is on the books."""
    for life in account.lives.values():
        if life.started.reserved != life.spec.cost.worst:
            yield 3, f"attempt {life.started.attempt} reserved {life.started.reserved}, not {life.spec.cost.worst}"
        if life.end is not None and life.end.spent > life.started.reserved:
            yield (
                3,
                f"attempt {life.started.attempt} cost {life.end.spent}, more than the {life.started.reserved} reserved",
            )
    world, case = account.case.world, account.case
    booked = sum(life.end.spent for life in account.lives.values() if life.end is not None)
    if world is not None and not account.cut_off and world.paid[case.run] > booked:
        yield 3, f"providers charged {world.paid[case.run]} nano-dollars, the journal knows of {booked}"
