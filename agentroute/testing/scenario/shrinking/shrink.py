"""Makes a scenario that fails as small as it can be and still fail.

Delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002) over the lists of a
scenario, then one small move after the other until none is left that still fails: what comes out is 1-minimal over the
moves of `agentroute.testing.scenario.shrinking.moves`.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from agentroute.errors import InputError
from agentroute.testing.scenario.document import ScenarioDocument
from agentroute.testing.scenario.shrinking.moves import LISTS, Removal, simpler, with_variables_put_in

Data: TypeAlias = dict[str, Any]

Fails: TypeAlias = Callable[[Data], bool]


def shrink(data: Data, fails: Fails, *, steps: int = 2000) -> Data:
    """Find the smallest scenario that still fails. Deterministic, if `fails` is.

    Args:
        data: A scenario, as a file holds it. It is not changed.
        fails: Whether a scenario fails, and in the way that is meant; asked once about each.
        steps: Scenarios to try at the most. What is smallest by then is returned.

    Raises:
        InputError: It does not fail to begin with.
    """
    search = _Search(fails, steps)
    whole = with_variables_put_in(data)
    if not search.does_fail(whole):
        raise InputError("the scenario does not fail as it is, so there is nothing to shrink")
    search.best = whole
    while search.go_on():
        pass
    return search.best


class _Search:
    """What is known so far. Candidates that are no scenarios count as not failing, and cost nothing."""

    def __init__(self, fails: Fails, steps: int) -> None:
        self.best: Data = {}
        self._fails = fails
        self._left = steps
        self._known: dict[str, bool] = {}

    def go_on(self) -> bool:
        """Try to make it smaller everywhere, in large bites first; False if nothing was to be gained."""
        before = canonical(self.best)
        for removal in LISTS:
            self._thin_out(removal)
        self._walk()
        return canonical(self.best) != before

    def does_fail(self, candidate: Data) -> bool:
        """Whether it fails; asked once about each."""
        key = canonical(candidate)
        if key not in self._known:
            self._known[key] = self._asked(candidate)
        return self._known[key]

    def _asked(self, candidate: Data) -> bool:
        try:
            ScenarioDocument.model_validate(candidate)
        except ValidationError:
            return False
        if self._left <= 0:
            return False
        self._left -= 1
        return self._fails(candidate)

    def _take(self, candidate: Data) -> bool:
        """Go on with a candidate if it is smaller and still fails."""
        if size(candidate) < size(self.best) and self.does_fail(candidate):
            self.best = candidate
            return True
        return False

    def _walk(self) -> None:
        """Take every small move that can be taken, until none can."""
        while any(self._take(candidate) for candidate in simpler(self.best)):
            pass

    def _thin_out(self, removal: Removal) -> None:
        """Leave out parts of a list, in bites that are halved where none can be spared (ddmin, complements only)."""
        bite = max(1, removal.count(self.best) // 2)
        while bite:
            spared = any(self._take(removal.without(self.best, part)) for part in self._bites(removal, bite))
            if not spared:
                bite //= 2
            bite = min(bite, removal.count(self.best))

    def _bites(self, removal: Removal, bite: int) -> Iterable[Sequence[int]]:
        """Parts of a list, from its end: what stands first was often meant most."""
        count = removal.count(self.best)
        return [range(max(0, end - bite), end) for end in range(count, 0, -bite)]


def canonical(data: Data) -> str:
    """The same text for the same data."""
    return json.dumps(data, sort_keys=True, ensure_ascii=False)


def size(data: Data) -> tuple[int, str]:
    """What is to become smaller: the length of the text and, among equals, the text. There is no endless way down."""
    text = canonical(data)
    return len(text), text
