"""Turns to make a call: so many at once over all runs, and when there are more, who comes next."""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

SENIORITY = 8
"""Every so manieth turn goes to whoever has waited longest, so that nobody waits for ever."""


class Rank(NamedTuple):
    """Who comes before whom; what is less comes first.

    Attributes:
        is_new: Nothing has come of the run yet, so that nothing would be lost with it.
        steps_left: Calls its route still has to make.
        deadline: Moment by which it has to be over, monotonic seconds; infinity without one.
    """

    is_new: bool
    steps_left: int
    deadline: float


class Waiter:
    """Somebody in the line for a turn."""

    __slots__ = ("arrival", "came", "rank", "wake")

    def __init__(self, rank: Rank, arrival: int, wake: Callable[[], None]) -> None:
        """Bind the place."""
        self.rank = rank
        self.arrival = arrival
        self.wake = wake
        self.came = False  # its turn

    def have(self) -> None:
        """The turn has come."""
        self.came = True
        self.wake()

    def __lt__(self, other: "Waiter") -> bool:
        return (self.rank, self.arrival) < (other.rank, other.arrival)


class Turns:
    """So many turns, and a line of those that wait for one.

    Runs that have begun come before those that have not, for what is paid for is lost if they do not finish; then those
    with the fewest steps left (shortest remaining processing time: Schrage 1968, least work left finishes most), the
    one whose deadline comes first, and who came first. Were it first come, first served, a thousand runs at once would
    all make their first call, and none its last. But every eighth turn goes to whoever has waited longest: with n
    older ones in line, one's turn is at most the 8(n + 1)th from now.

    A turn that is given back goes to somebody in the line there and then: nobody who has just come can overtake. So
    there is a line only while no turn is free. No locks: every method is synchronous and runs on the event loop.

    Attributes:
        size: How many there are.
        free: How many are not taken.
    """

    def __init__(self, size: int) -> None:
        """All are free.

        Args:
            size: Turns that may be taken at once, from 1.
        """
        self.size = self.free = size
        self._line: list[Waiter] = []  # in order of rank
        self._by_age: OrderedDict[int, Waiter] = OrderedDict()
        self._arrivals = count()
        self._handed_on = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    def take(self) -> bool:
        """Take a turn, if one is free."""
        if not self.free:
            return False
        self.free -= 1
        return True

    def join(self, rank: Rank, wake: Callable[[], None]) -> Waiter:
        """Stand in line. Whoever joins either leaves, or has its turn and gives it back.

        Args:
            rank: Who one is.
            wake: Called when the turn has come, which is taken then; at once, if one is free.
        """
        waiter = Waiter(rank, next(self._arrivals), wake)
        if self.take():
            waiter.have()
            return waiter
        insort(self._line, waiter)
        self._by_age[waiter.arrival] = waiter
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Wait no longer; if the turn has come meanwhile, it is given back."""
        if waiter.came:
            self.give_back()
        elif self._by_age.pop(waiter.arrival, None) is not None:
            del self._line[bisect_left(self._line, waiter)]

    def give_back(self) -> None:
        """Hand a turn on to the next in line, if anybody waits."""
        if not self._line:
            self.free += 1
            return
        self._handed_on += 1
        if self._handed_on % SENIORITY:
            waiter = self._line.pop(0)
            del self._by_age[waiter.arrival]
        else:
            _, waiter = self._by_age.popitem(last=False)
            del self._line[bisect_left(self._line, waiter)]
        waiter.have()
