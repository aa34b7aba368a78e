"""How likely a call is to fail, and whether it has begun to fail: habit and burst, told apart."""

import math
from dataclasses import dataclass

HABIT_STRENGTH = 10.0
"""Calls that the declared risk counts for when habit is estimated."""

PRIOR_STRENGTH = 2.0
"""Calls that habit counts for in the failure probability, against the burst of the moment."""

KNOWN_HABIT = 0.04
"""What each call that habit is known from adds to that: a burst means less of a tool that is known well."""

HABIT_MEMORY = 200.0
"""Calls that habit looks back on."""

RAREST, COMMONEST = 0.02, 0.25
"""Bounds of a habit that an outage is told from: nobody is perfect, and who fails more often is not in order."""

OUTAGE = 0.6
"""Share of failing calls that an outage is taken to have."""


@dataclass(frozen=True, slots=True)
class Fading:
    """How fast things are forgotten: half-lives in seconds."""

    habit_s: float
    burst_s: float

    def of_habit(self, age: float) -> float:
        """Share of a habit that is left after `age` seconds."""
        return math.exp2(-age / self.habit_s)

    def of_burst(self, age: float) -> float:
        """Share of a burst that is left after `age` seconds."""
        return math.exp2(-age / self.burst_s)


@dataclass(slots=True)
class Reliability:
    """Counts of one tool or provider, on two time scales.

    *Habit* is the long-run share of failures. *The burst* is what has come since things last looked normal. Which of
    the two explains the burst is decided by a cumulative sum of log-likelihood ratios (Page 1954): each failure adds
    to the suspicion that this is an outage, each success takes some away, and at zero the burst is put down to habit.
    A tool that hardly ever fails is under full suspicion after the first few failures in a row; one that fails one
    call in five by habit is given more. Calls of many runs can come in any order: what counts is how they look as a
    sequence, so a thousand runs at once do not open a breaker that one would have left closed.

    The failure probability is the mean of a Beta distribution whose prior is the habit and whose data is the burst, and
    never below the habit. Both fade with time, the burst soon and the habit late, so that a tool nobody calls drifts
    back to what was declared of it. Suspicion does not: three failures in a row are that, whenever they were.

    Attributes:
        failed, worked: Habit: decaying counts of calls, as of `as_of`.
        burst_failed, burst_worked: The burst, as of `as_of`.
        suspicion: Failures in a row that the burst amounts to, for a tool that hardly ever fails.
        as_of: Monotonic seconds.
    """

    failed: float = 0.0
    worked: float = 0.0
    burst_failed: float = 0.0
    burst_worked: float = 0.0
    suspicion: float = 0.0
    as_of: float = float("-inf")

    def p_fail(
        self,
        declared: float,
        now: float,
        fading: Fading,
        *,
        beat: float | None = None,
        shift: float = 0.0,
        overdue: int = 0,
        meanwhile: int = 0,
    ) -> float:
        """Expected share of failing calls.

        Args:
            declared: What the contract says.
            now: Monotonic seconds.
            fading: How fast things are forgotten.
            beat: As of when habit counts (monotonic seconds), if it is not worked out anew all the time.
            shift: How much more often calls of the kind in question fail than others.
            overdue: Calls under way that should have answered long ago: they count as if they had failed.
            meanwhile: Calls that have worked since the first of these began: one that hangs says little of a tool
                that goes on answering others.
        """
        beat = now if beat is None else beat
        habit = self.habit(declared, beat, fading, shift=shift)
        if not self.burst_failed and not overdue:
            return habit
        age = now - self.as_of
        kept = fading.of_burst(age) if age > 0 else 1.0
        failed, calls = kept * self.burst_failed, kept * (self.burst_failed + self.burst_worked)
        failed += shift * calls
        strength = PRIOR_STRENGTH + KNOWN_HABIT * self.known(beat, fading)
        burst = (strength * habit + failed) / (strength + calls)
        failed, calls = failed + overdue, calls + overdue + meanwhile
        return max(habit, burst, (strength * habit + failed) / (strength + calls))

    @property
    def calls(self) -> float:
        """How many calls habit is known from, as of the last of them."""
        return self.failed + self.worked

    def known(self, now: float, fading: Fading) -> float:
        """How many calls habit is known from, by what is left of them."""
        age = now - self.as_of
        return (fading.of_habit(age) if age > 0 else 1.0) * self.calls

    def habit(self, declared: float, now: float, fading: Fading, *, shift: float = 0.0) -> float:
        """Share of failing calls in the long run; before there are calls, what was declared."""
        if not self.failed and not declared:
            habit = 0.0  # however much of it has faded
        else:
            age = now - self.as_of
            habit = self._habit(declared, fading.of_habit(age) if age > 0 else 1.0)
        return habit if not shift else min(max(habit + shift, 0.0), 1.0)

    def fail(self, declared: float, now: float, fading: Fading, *, shift: float = 0.0) -> float:
        """Note a failure; returns the suspicion there is now."""
        self._fade(now, fading)
        self.burst_failed += 1 - shift
        self.burst_worked += shift
        self.suspicion += math.log(OUTAGE / self._normal(declared, shift)) / _FULL
        return self.suspicion

    def succeed(self, declared: float, now: float, fading: Fading, *, shift: float = 0.0) -> None:
        """Note a success. With no burst going on, it is simply counted."""
        if self.suspicion <= 0:
            self.count(1, now, fading, shift=shift)
            return
        self._fade(now, fading)
        self.suspicion -= math.log((1 - self._normal(declared, shift)) / (1 - OUTAGE)) / _FULL
        self.burst_worked += 1 + shift
        self.burst_failed -= shift
        if self.suspicion > 0:
            return
        self.failed += self.burst_failed
        self.worked += self.burst_worked
        self.end_burst()
        self._forget_oldest()

    def count(self, calls: int, now: float, fading: Fading, *, shift: float = 0.0) -> None:
        """Count so many calls that worked for habit, whatever burst is going on; `shift`: the sum of theirs."""
        self._fade(now, fading)
        self.worked += calls + shift
        self.failed -= shift
        self._forget_oldest()

    def copy(self) -> "Reliability":
        """Another one with the same counts."""
        burst = self.burst_failed, self.burst_worked, self.suspicion
        return Reliability(self.failed, self.worked, *burst, self.as_of)

    def end_burst(self) -> None:
        """Begin anew: what has come lately was an outage that is over, and no habit."""
        self.burst_failed = self.burst_worked = self.suspicion = 0.0

    def _habit(self, declared: float, kept: float) -> float:
        failed, worked = kept * self.failed, kept * self.worked
        return (HABIT_STRENGTH * declared + failed) / (HABIT_STRENGTH + failed + worked)

    def _normal(self, declared: float, shift: float) -> float:
        """The habit that an outage is told from."""
        return min(max(self._habit(declared, 1.0) + shift, RAREST), COMMONEST)

    def _forget_oldest(self) -> None:
        """Look back on no more than `HABIT_MEMORY` calls: each one beyond that makes those before it lighter."""
        beyond = self.failed + self.worked - HABIT_MEMORY
        if beyond > 0:
            self.failed *= (HABIT_MEMORY / (HABIT_MEMORY + 1)) ** beyond
            self.worked = HABIT_MEMORY - self.failed

    def _fade(self, now: float, fading: Fading) -> None:
        """Bring the counts to what they are worth at `now`."""
        age = now - self.as_of
        if age <= 0:
            return
        self.as_of = now
        kept = fading.of_habit(age)
        self.failed *= kept
        self.worked *= kept
        if self.burst_failed:
            kept = fading.of_burst(age)
            self.burst_failed *= kept
            self.burst_worked *= kept


_FULL = math.log(OUTAGE / RAREST)
"""What a failure of a tool that hardly ever fails adds: the unit in which suspicion is told."""
