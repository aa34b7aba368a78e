"""What can go wrong with a call of a provider, and what is counted of calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["down", "refused", "busy", "doubt"]
"""What to do next hangs on whether the provider can have done what it was asked. down: nobody listens, so no. refused:
no, and asking again is no use. busy: no, and asking again may help. doubt: nobody can know."""

MEANING: Mapping[Kind, str] = {
    "down": "nothing was done",
    "refused": "nothing was done",
    "busy": "nothing was done; it may work if tried again",
    "doubt": "it is unknown whether it was done",
}


class CallError(Exception):
    """A provider did not do what it was asked, or nobody can know."""

    def __init__(self, provider: str, what: str, *, kind: Kind) -> None:
        """Say what happened and what that means."""
        super().__init__(f"{provider}: {what}; {MEANING[kind]}")
        self.kind: Kind = kind


@dataclass(slots=True)
class Tally:
    """What a run did, counted where it is done.

    Attributes:
        llm_calls: Questions to the model.
        tool_calls: Calls of providers.
        recovered_s: Seconds from each of them that failed to the next that succeeded.
    """

    llm_calls: int = 0
    tool_calls: int = 0
    recovered_s: list[float] = field(default_factory=list[float])
    _failed_at: list[float] = field(default_factory=list[float])

    def failed(self, now: float) -> None:
        """Note that a call failed."""
        self._failed_at.append(now)

    def succeeded(self, now: float) -> None:
        """Note that a call succeeded: what failed before it is recovered from."""
        self.recovered_s += [now - at for at in self._failed_at]
        self._failed_at.clear()
