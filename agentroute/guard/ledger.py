"""Ledgers: what may be used, what is held back, what is gone. The worst case is reserved before a call."""

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, Self

from agentroute.graph.cost import NOTHING, Amounts


class Limits(NamedTuple):
    """Upper bounds, by what they limit; None where there is none."""

    usd: int | None = None
    tokens: int | None = None
    model_calls: int | None = None
    tool_calls: int | None = None


UNLIMITED = Limits()


class Reservation:
    """What is held back for one attempt. A context manager: what was not settled is released, on cancellation too."""

    __slots__ = ("_ledger", "amounts", "open")

    def __init__(self, ledger: "Ledger", amounts: Amounts) -> None:
        self._ledger = ledger
        self.amounts = amounts
        self.open = True

    def settle(self, used: Amounts, *, keeping: bool = False) -> None:
        """Turn the reservation into what the attempt really used. May exceed it only if somebody lied.

        Args:
            used: What it used.
            keeping: Keep the rest in the ledgers above: the run will need it for another try.
        """
        if self.open:
            self.open = False
            self._ledger.move(self.amounts, used)
            if keeping:
                unused = Amounts(*(max(0, held - gone) for held, gone in zip(self.amounts, used, strict=True)))
                self._ledger.keep(self._ledger.kept.plus(unused))

    def release(self) -> None:
        """Give everything back: the attempt was never made."""
        self.settle(NOTHING)

    def carve(self) -> "Ledger":
        """A ledger for what the attempt itself calls, such as a run of another agent.

        Its money is what is reserved here, and is settled with the attempt. Everything else is counted where the
        reservation was made, as it is used.
        """
        return Carved(self._ledger, self.amounts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Ledger:
    """What a run, or many runs together, may use. Invariant: ``spent + reserved <= limits`` whenever it grants.

    A ledger may have others above it, such as those of an agent and of the run that called it: what is reserved here is
    reserved there too, or nowhere.

    What a run will still need can be *kept* for it in the ledgers above, so that others do not take it: it is held
    there like a reservation, but whoever keeps it may use it.

    No locks: every method is synchronous and runs on the event loop, so no other run comes in between.

    Attributes:
        limits: Upper bounds of this ledger alone.
        spent: What is gone.
        reserved: What is held back for attempts under way, and kept by ledgers below.
        kept: What is held in the ledgers above beyond what is reserved here.
        above: Ledgers that have to agree.
        freed: Called when something is given back, or forgotten, by whoever wants to know.
    """

    __slots__ = ("above", "freed", "kept", "limits", "reserved", "spent")

    def __init__(self, limits: Limits = UNLIMITED, *, above: Iterable["Ledger"] = ()) -> None:
        """Start with nothing used."""
        self.limits = limits
        self.spent = self.reserved = self.kept = NOTHING
        self.above = tuple(above)
        self.freed: Callable[[], None] | None = None

    # ---------------------------------------------------------------- questions

    @property
    def left(self) -> Limits:
        """What is neither spent nor held for others, here and above; None where nothing limits it."""
        return self._left(NOTHING)

    def left_once_freed(self, held: Amounts | None = None, *, by: float = -math.inf) -> Limits:
        """What would be left if others gave back all that they hold, and time went on.

        Args:
            held: What the one who asks holds; all that is reserved here, if left out.
            by: Until then; monotonic seconds.
        """
        mine = self.reserved if held is None else held
        own = self._beyond(mine.minus(self._forgotten(by)))
        if not self.above:
            return own
        above = [each.left_once_freed(self._kept_above(mine), by=by) for each in self.above]
        return Limits(*map(_least, own, *map(self._seen_from_here, above)))

    def fits(self, worst: Amounts) -> bool:
        """Whether the worst case of an attempt can be reserved. What is overspent affords nothing, free or not."""
        if not self._has_room(worst, self.reserved):
            return False
        return not self.above or all(each.fits(self._asked_above(worst)) for each in self.above)

    def may_fit(self, worst: Amounts, held: Amounts | None = None, *, by: float = -math.inf) -> bool:
        """Whether it could be reserved if others gave back all that they hold; as for `left_once_freed`."""
        mine = self.reserved if held is None else held
        if not self._has_room(worst, mine.minus(self._forgotten(by))):
            return False
        if not self.above:
            return True
        asked, away = self._passed_on(worst), self._kept_above(mine)
        return all(each.may_fit(asked, away, by=by) for each in self.above)

    def fits_from(self, worst: Amounts) -> float:
        """The moment from which on it can be reserved, by the passing of time alone.

        Returns:
            Monotonic seconds; minus infinity if it fits now, infinity if others would have to give something back.
        """
        own = self._has_room_from(worst)
        return max([own, *(each.fits_from(self._asked_above(worst)) for each in self.above)]) if self.above else own

    # ---------------------------------------------------------------- changes

    def reserve(self, worst: Amounts, keeping: Amounts | None = None) -> Reservation | None:
        """Hold back the worst case of an attempt, here and above, or return None if it does not fit any more.

        Args:
            worst: To be reserved.
            keeping: What to keep above from then on; None: what is kept already.
        """
        kept = self.kept if keeping is None else keeping
        if not self.fits(worst if keeping is None else worst.plus(keeping)):
            return None
        self.reserved = self.reserved.plus(worst)
        self._shift_above(worst.plus(kept).minus(self.kept))
        self.kept = kept
        return Reservation(self, worst)

    def keep(self, amounts: Amounts) -> None:
        """Keep so much above, in place of what was kept there so far, whether or not there is room for it."""
        self._shift_above(amounts.minus(self.kept))
        self.kept = amounts

    def _shift_above(self, change: Amounts) -> None:
        if change != NOTHING:
            for each in self.above:
                each.shift(self._passed_on(change))

    def shift(self, change: Amounts) -> None:
        """Hold more, or less where it is negative, here and above."""
        self.reserved = self.reserved.plus(change)
        self._shift_above(change)
        if self.freed is not None and min(change) < 0:
            self.freed()

    def move(self, held: Amounts, used: Amounts) -> None:
        """Give back what was held, and take what was used."""
        self.reserved = self.reserved.minus(held)
        self.spent = self.spent.plus(used)
        for each in self.above:
            each.move(self._passed_on(held), self._passed_on(used))
        if self.freed is not None:
            self.freed()

    def advance(self, now: float) -> None:
        """Let time pass, for those that limit what is used within a stretch of it.

        Args:
            now: Monotonic seconds.
        """
        for each in self.above:
            each.advance(now)

    # ---------------------------------------------------------------- inside

    def _left(self, credit: Amounts) -> Limits:
        """What is left to someone who keeps `credit` here."""
        own = self._beyond(self.reserved.minus(credit))
        if not self.above:
            return own
        mine = self._passed_on(credit.plus(self.kept))
        return Limits(*map(_least, own, *(self._seen_from_here(each._left(mine)) for each in self.above)))  # noqa: SLF001

    def _asked_above(self, worst: Amounts) -> Amounts:
        """What there has to be room for above: what is kept there is used first."""
        return self._passed_on(worst if self.kept is NOTHING else worst.minus(self.kept))

    def _forgotten(self, by: float) -> Amounts:  # noqa: ARG002
        """What is gone and will not count any more at a moment; this ledger knows nothing of time."""
        return NOTHING

    def _has_room(self, worst: Amounts, held: Amounts) -> bool:
        limits, gone = self.limits, self.spent
        if limits is UNLIMITED:
            return True
        return (  # field by field: this is asked several times with every decision of every run
            (limits.usd is None or gone.usd + held.usd + worst.usd <= limits.usd)
            and (limits.tokens is None or gone.tokens + held.tokens + worst.tokens <= limits.tokens)
            and (
                limits.model_calls is None
                or gone.model_calls + held.model_calls + worst.model_calls <= limits.model_calls
            )
            and (limits.tool_calls is None or gone.tool_calls + held.tool_calls + worst.tool_calls <= limits.tool_calls)
        )

    def _has_room_from(self, worst: Amounts) -> float:
        """The same of this ledger alone, which knows nothing of time."""
        return -math.inf if self._has_room(worst, self.reserved) else math.inf

    def _beyond(self, held: Amounts) -> Limits:
        figures = zip(self.limits, self.spent, held, strict=True)
        return Limits(*(None if limit is None else max(0, limit - gone - away) for limit, gone, away in figures))

    def _passed_on(self, amounts: Amounts) -> Amounts:
        """What the ledgers above have to agree to."""
        return amounts

    def _kept_above(self, held: Amounts) -> Amounts:
        """What is held in the ledgers above that nobody else could give back, where this is held here."""
        return held

    def _seen_from_here(self, left: Limits) -> Limits:
        """What that, which a ledger above leaves, is to this one."""
        return left


class Carved(Ledger):
    """The ledger of a reservation: its money is paid for already, everything else is counted above as it is used."""

    __slots__ = ("_whole",)

    def __init__(self, above: Ledger, whole: Amounts) -> None:
        """Bind what was reserved, and where."""
        super().__init__(Limits(usd=whole.usd), above=[above])
        self._whole = whole

    def _passed_on(self, amounts: Amounts) -> Amounts:
        return amounts._replace(usd=0)

    def _kept_above(self, held: Amounts) -> Amounts:
        """With what the attempt itself holds, which is given back only when all that it calls is over."""
        return self._whole.plus(held._replace(usd=0))

    def _seen_from_here(self, left: Limits) -> Limits:
        return left._replace(usd=None)


SHARES = 60
"""Parts of a window that are forgotten as a whole: what is gone is remembered up to a sixtieth longer than asked."""


class Window(Ledger):
    """A ledger for any stretch of so many seconds: what was spent before counts no more.

    A rolling window and not a calendar day, so that nobody spends two days' money around midnight, and on the monotonic
    clock, so that no jump of the wall clock gives anything back.
    """

    __slots__ = ("_now", "_past", "per_s")

    def __init__(self, limits: Limits, per_s: float) -> None:
        """Start with nothing used.

        Args:
            limits: Of what is used within any `per_s` seconds.
            per_s: Length of the window, seconds.
        """
        super().__init__(limits)
        self.per_s = per_s
        self._now: float | None = None
        self._past: deque[tuple[float, Amounts]] = deque()

    def move(self, held: Amounts, used: Amounts) -> None:
        """Give back what was held, and take what was used, to be forgotten when its time is up."""
        if used != NOTHING:
            now = math.inf if self._now is None else self._now  # what has no date is never forgotten
            if self._past and self._past[-1][0] >= now:
                until, gone = self._past.pop()
                self._past.append((until, gone.plus(used)))
            else:
                self._past.append((now + self.per_s / SHARES, used))
        super().move(held, used)

    def advance(self, now: float) -> None:
        """Forget what was spent before the window began."""
        self._now = now if self._now is None else max(self._now, now)
        before = len(self._past)
        while self._past and self._past[0][0] + self.per_s <= self._now:
            self.spent = self.spent.minus(self._past.popleft()[1])
        if len(self._past) < before and self.freed is not None:
            self.freed()

    def _forgotten(self, by: float) -> Amounts:
        gone = NOTHING
        for until, amounts in self._past:
            if until + self.per_s > by:
                break
            gone = gone.plus(amounts)
        return gone

    def _has_room_from(self, worst: Amounts) -> float:
        """When so much of what is gone will be forgotten that there is room."""
        if self._has_room(worst, self.reserved):
            return -math.inf
        held = self.reserved
        for until, gone in self._past:
            held = held.minus(gone)
            if self._has_room(worst, held):
                return until + self.per_s
        return math.inf


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
