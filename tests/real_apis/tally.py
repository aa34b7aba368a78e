"""What many trials come to, as one row of figures."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.real_apis.trial import Trial


@dataclass(slots=True)
class Tally:
    """Counts over trials.

    Attributes:
        runs: Trials.
        calls: Gold calls of their tasks.
        attempts: Calls that agentroute made, look-ups included.
        rules: Faults drawn.
        rules_hit: Those that were triggered at least once.
        triggered: Times a fault was triggered.
        outcomes: Runs by outcome.
        equal: Runs after which all objects are as they are without faults.
        honest: Runs after which they are not, and that say so.
        silent: Runs after which they are not (or whose answers are not), and that do not say so.
        silent_late: Those of `silent` to which something was done when they were over.
        again: Gold calls that came to their object when they had been done already.
        doubled: Those that had been done again by the end of the run: duplicate effects.
        silent_doubles: Those that no word of the run points to.
        unaccounted: Runs that claim to know what was done, and objects that are not in that state.
        late: Calls that change something and came when the run was over.
        violations: Of the invariants, by number.
    """

    runs: int = 0
    calls: int = 0
    attempts: int = 0
    rules: int = 0
    rules_hit: int = 0
    triggered: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    equal: int = 0
    honest: int = 0
    silent: int = 0
    silent_late: int = 0
    again: int = 0
    doubled: int = 0
    silent_doubles: int = 0
    unaccounted: int = 0
    late: int = 0
    violations: Counter[int] = field(default_factory=Counter[int])

    def add(self, trial: Trial) -> None:
        """Count one more."""
        truth = trial.truth
        self.runs += 1
        self.calls += len(trial.task.calls)
        self.attempts += trial.result.attempts
        self.rules += len(trial.faults)
        self.rules_hit += sum(count > 0 for count in trial.counts)
        self.triggered += sum(trial.counts)
        self.outcomes[trial.result.outcome] += 1
        self.equal += truth.equal
        self.honest += trial.admits and not truth.equal
        self.silent += trial.silent
        self.silent_late += trial.silent and truth.late > 0
        self.again += len(truth.again)
        self.doubled += len(truth.doubled)
        self.silent_doubles += len(trial.silent_doubles)
        self.unaccounted += truth.accounted is False
        self.late += truth.late
        self.violations.update(violation.invariant for violation in trial.violations)


def tally(trials: Iterable[Trial]) -> Tally:
    """Count all of them."""
    found = Tally()
    for trial in trials:
        found.add(trial)
    return found
