"""What goes wrong with a provider. Pure: what a call meets follows from when it comes and what else is under way."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides the fate of a call.

    Attributes:
        at: Seconds since the start of the load.
        before: Calls of the tool since the trouble began.
        under_way: Calls of the tool under way.
        dice: From 0 to 1, drawn for this call.
    """

    at: float
    before: int
    under_way: int
    dice: float


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a call: it ends after `seconds` (infinity: never), with an error if `status` is one."""

    seconds: float
    status: int = 200
    retry_at: float | None = None

    @property
    def works(self) -> bool:
        """Whether there is an answer."""
        return self.status == 200 and math.isfinite(self.seconds)


REFUSES_IN_S = 0.02
"""Seconds that a refusal takes."""


@dataclass(frozen=True, kw_only=True)
class Trouble(ABC):
    """Something wrong from `from_s` to `until_s`, in seconds since the start of the load."""

    from_s: float = 0.0
    until_s: float = math.inf

    @abstractmethod
    def befall(self, fate: Fate, call: Circumstances) -> Fate:
        """What a call comes to that would have met `fate`."""

    def is_on(self, at: float) -> bool:
        return self.from_s <= at < self.until_s

    def spells(self, end: float) -> list[tuple[float, float]]:
        """When it is bad, up to `end`."""
        return [(self.from_s, min(self.until_s, end))]

    def next_change(self, at: float) -> float:
        """The next moment at which things may be different."""
        return next((edge for edge in (self.from_s, self.until_s) if edge > at), math.inf)


@dataclass(frozen=True, kw_only=True)
class Slow(Trouble):
    """Calls take `factor` times as long."""

    factor: float = 10.0

    def befall(self, fate: Fate, call: Circumstances) -> Fate:
        return replace(fate, seconds=fate.seconds * self.factor)


@dataclass(frozen=True, kw_only=True)
class Ramp(Trouble):
    """Each call takes `factor` times as long as the one before, up to `most` times."""

    factor: float = 1.05
    most: float = 40.0

    def befall(self, fate: Fate, call: Circumstances) -> Fate:
        steps = min(call.before + 1, 500)
        return replace(fate, seconds=fate.seconds * min(self.most, self.factor**steps))


@dataclass(frozen=True, kw_only=True)
class Hanging(Trouble):
    """A share of the calls is never answered."""

    share: float = 1.0

    def befall(self, fate: Fate, call: Circumstances) -> Fate:
        return replace(fate, seconds=math.inf) if call.dice < self.share else fate


@dataclass(frozen=True, kw_only=True)
class Failing(Trouble):
    """A share of the calls is refused."""

    share: float = 1.0
    status: int = 503

    def befall(self, fate: Fate, call: Circumstances) -> Fate:
        return Fate(REFUSES_IN_S, self.status) if call.dice < self.share else fate


@dataclass(frozen=True, kw_only=True)
class Flapping(Trouble):
    """Calls are refused for `down_s`, served for `up_s`, and so on."""

    up_s: float
    down_s: float

    def befall(self, fate: Fate, call: Circumstances) -> Fate:
        return Fate(REFUSES_IN_S, 503) if self._phase(call.at) < self.down_s else fate

    def next_change(self, at: float) -> float:
        if not self.is_on(at):
            return super().next_change(at)
        phase = self._phase(at)
        left = (self.down_s if phase < self.down_s else self.down_s + self.up_s) - phase
        return min(self.until_s, at + left + 1e-9)

    def spells(self, end: float) -> list[tuple[float, float]]:
        spells, begins = list[tuple[float, float]](), self.from_s
        while begins < min(self.until_s, end):
            spells.append((begins, min(begins + self.down_s, end)))
            begins += self.down_s + self.up_s
        return spells

    def _phase(self, at: float) -> float:
        return (at - self.from_s) % (self.up_s + self.down_s)


@dataclass(frozen=True, kw_only=True)
class Crowded(Trouble):
    """Only so many calls are served at once; others are refused."""

    room: int

    def befall(self, fate: Fate, call: Circumstances) -> Fate:
        return fate if call.under_way < self.room else Fate(REFUSES_IN_S, 503)


@dataclass(frozen=True, kw_only=True)
class RateLimited(Trouble):
    """Calls are refused with the date, by the provider's own clock, from which on they are welcome."""

    wait_s: float = 5.0

    def befall(self, fate: Fate, call: Circumstances) -> Fate:
        return Fate(REFUSES_IN_S, 429, retry_at=call.at + self.wait_s)
