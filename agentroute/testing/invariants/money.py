"""3: reserved plus spent never exceeds the budget, in money, tokens, model calls or tool calls."""

from agentroute.graph.cost import NOTHING, Amounts
from agentroute.ids import nanos
from agentroute.run.events import (
    NO_ATTEMPT,
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Chosen,
    Event,
    ModelAsked,
    Quarantined,
    Rerouted,
)
from agentroute.testing.invariants.account import Account, Found, Life, ledger
from agentroute.testing.invariants.effects import doubled_on_the_way

UNITS = ("nano-dollars", "tokens", "model calls", "tool calls")


def budget_is_kept(account: Account) -> Found:
    """Reserved plus spent stays within the budget, and what is said to be left is left."""
    books = _Books(account)
    for event in account.events:
        books.enter(event)
        yield from books.look(event)


class _Books:
    """Every amount of one run, entered as the journal tells it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        case = account.case
        usd = None if case.budget_usd is None else nanos(case.budget_usd)
        self.limits = (usd, case.tokens, case.llm_calls, case.tool_calls)
        self.alarmed = _alarmed(account)
        self.held: dict[int, Amounts] = {}
        self.spent = self.overcharged = NOTHING

    @property
    def total(self) -> Amounts:
        total = self.spent
        for amounts in self.held.values():
            total = total.plus(amounts)
        return total

    def enter(self, event: Event) -> None:
        match event:
            case AttemptStarted():
                self.held[event.attempt] = _reserved(event)
            case AttemptSucceeded() | AttemptFailed() | AttemptAbandoned():
                held = self.held.pop(event.attempt, NOTHING)
                called = not isinstance(event, AttemptAbandoned) or event.called
                counts = held._replace(usd=0, tokens=0) if called else NOTHING
                used = counts._replace(usd=event.spent, tokens=event.used_tokens)
                self.spent = self.spent.plus(used)
                if event.attempt in self.alarmed:
                    self.overcharged = self.overcharged.plus(Amounts(*(max(0, x) for x in used.minus(held))))
            case ModelAsked():
                self.held[NO_ATTEMPT] = Amounts(event.reserved, event.tokens, 1)
            case Chosen():
                self._chosen(event)
            case _:
                pass

    def _chosen(self, event: Chosen) -> None:
        held = self.held.pop(NO_ATTEMPT, NOTHING)
        used = Amounts(event.spent, event.used_tokens, int(event.model_called))
        self.spent = self.spent.plus(used)
        if NO_ATTEMPT in self.alarmed:
            self.overcharged = self.overcharged.plus(Amounts(*(max(0, x) for x in used.minus(held))))

    def look(self, event: Event) -> Found:
        """Add up after an event. What was charged above somebody's word stands; nothing may begin on its strength."""
        beyond = NOTHING if isinstance(event, (AttemptStarted, ModelAsked)) else self.overcharged
        for used, limit, more, unit in zip(self.total, self.limits, beyond, UNITS, strict=True):
            if limit is not None and used > limit + more:
                yield 3, f"at {event.at:g} s {used} {unit} are spent or reserved of {limit + more}"
        if isinstance(event, Rerouted) and self.limits[0] is not None:
            left = self.limits[0] - self.total.usd
            if event.budget_left != max(0, left):
                yield 3, f"at {event.at:g} s {event.budget_left} are said to be left, but it is {left}"


def charges_are_covered(account: Account) -> Found:
    """The worst case is what was reserved, no attempt uses more without an alarm, and the bill is on the books."""
    alarmed = _alarmed(account)
    for life in account.lives.values():
        yield from _is_covered(life, alarmed=life.started.attempt in alarmed)
    world, case = account.case.world, account.case
    booked = sum(life.end.spent for life in account.lives.values() if life.end is not None)
    if world is not None and not account.cut_off and world.paid[case.run] > booked + _unknowable(account):
        yield 3, f"providers charged {world.paid[case.run]} nano-dollars, the journal knows of {booked}"


def _is_covered(life: Life, *, alarmed: bool) -> Found:
    started, least, worst = life.started, life.spec.least, life.spec.worst
    name, held = f"attempt {started.attempt}", _reserved(started)
    for amount, low, high, unit in zip(held, least, worst, UNITS, strict=True):
        if not low <= amount <= high:
            between = str(high) if low == high else f"{low} to {high}"
            yield 3, f"{name} reserved {amount} {unit}, not {between}"
    if life.end is None or alarmed:
        return
    if life.end.spent > held.usd:
        yield 3, f"{name} cost {life.end.spent}, more than the {held.usd} reserved, and nobody raised the alarm"
    if life.end.used_tokens > held.tokens:
        yield 3, f"{name} used {life.end.used_tokens} tokens, more than the {held.tokens} reserved, without an alarm"


def models_are_covered(account: Account) -> Found:
    """A model is asked to choose only after that is on record, and uses no more than is held back, but for an alarm."""
    asked, alarmed = None, NO_ATTEMPT in _alarmed(account)
    for event in account.events:
        match event:
            case ModelAsked():
                asked = event
            case Chosen(model_called=True) if asked is None:
                yield 6, f"at {event.at:g} s a model has chosen that nobody meant to ask"
            case Chosen():
                held, used = (
                    (0, 0) if asked is None else (asked.reserved, asked.tokens),
                    (event.spent, event.used_tokens),
                )
                if not alarmed and any(much > most for much, most in zip(used, held, strict=True)):
                    yield (
                        3,
                        f"the choice at {event.at:g} s used {used}, more than the {held} reserved, without an alarm",
                    )
                asked = None
            case _:
                pass


def nobody_put_aside_is_called(account: Account) -> Found:
    """Who has charged more than it may, or told lies about it, is not called again by the run that has seen it."""
    put_aside: set[str] = set()
    for event in account.events:
        match event:
            case Quarantined():
                put_aside.add(event.tool)
            case AttemptStarted() if event.tool in put_aside and _was_called(account, event.attempt):
                yield 3, f"attempt {event.attempt} calls {event.tool}, which has been put aside"
            case ModelAsked() if event.model in put_aside:
                yield 3, f"at {event.at:g} s {event.model} is asked, which has been put aside"
            case _:
                pass


def _was_called(account: Account, attempt: int) -> bool:
    end = account.lives[attempt].end if attempt in account.lives else None
    return not isinstance(end, AttemptAbandoned) or end.called


def _reserved(event: AttemptStarted) -> Amounts:
    return Amounts(event.reserved, event.tokens, int(event.calls_model), 1)


def _alarmed(account: Account) -> set[int]:
    """Attempts that an alarm was raised about."""
    return {event.attempt for event in account.events if isinstance(event, Quarantined)}


def _unknowable(account: Account) -> int:
    """What the bill may be off by: requests that arrived twice, and those whose price is another than was told."""
    lied = {entry.attempt for entry in ledger(account) if entry.fault.type == "price_change"}
    off = doubled_on_the_way(account) | lied
    return sum(life.started.reserved for attempt, life in account.lives.items() if attempt in off)
