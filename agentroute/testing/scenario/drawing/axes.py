"""What generated scenarios differ in, and what goes together with what."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias, cast, get_args

from agentroute.testing.faults.fault import BESIDE_CALLS, IN_CALLS, FaultType
from agentroute.testing.scenario.drawing.pairwise import Axes, Combination

Timing: TypeAlias = Literal["start", "midway", "nth-call"]
"""When it begins: with the run, at a time within it, or at a call's number."""

Scope: TypeAlias = Literal["tool", "provider", "pattern", "remedy", "surroundings"]
"""Whom it hits: one tool, all of a provider, all of a pattern, a verifier or compensator, or no tool at all."""

Duration: TypeAlias = Literal["one-shot", "window", "permanent"]
"""How long it lasts: one call or a moment, for a while, for ever."""

Correlation: TypeAlias = Literal["single", "shared-cause", "independent", "cascade"]
"""What comes with it: nothing, others of one cause, another by chance, another that follows."""

Topology: TypeAlias = Literal["linear", "dag", "fanout", "k-of-n"]
"""How the tools hang together."""

KINDS: tuple[FaultType, ...] = (*sorted(IN_CALLS), "clock_jump")
"""Faults that can be done in virtual time. Those of a model and of monitors are left out: an agent that reroutes by
policy asks neither."""

AXES: Axes = {
    "kind": KINDS,
    "timing": get_args(Timing),
    "scope": get_args(Scope),
    "duration": get_args(Duration),
    "correlation": get_args(Correlation),
    "topology": get_args(Topology),
}

EFFECTS_ONLY: frozenset[FaultType] = frozenset({"stale", "silent_noop"})
"""Faults that only tools which change something can have: a simulated one that reads has nothing to undo, and gives
the same answer to the same question."""

ANSWERS: frozenset[FaultType] = frozenset({"renamed_field", "type_change", "error_in_200", "output_bomb"})
"""Faults of an answer that anybody can see."""

VERIFIERS_ONLY: frozenset[FaultType] = ANSWERS.union(("late_success",))
"""Faults that only a verifier can have, of all remedies: the answer of a compensator says nothing."""

LIES: frozenset[FaultType] = frozenset({"wrong", "injection", "empty", "stale", "silent_noop", "price_change"})
"""Faults that a remedy cannot have: who is lied to about an effect makes a second one, and cannot know better. And a
price, which simulated remedies do not have."""

LASTING: frozenset[FaultType] = frozenset({"flap", "ramp", "crash"})
"""Faults that are nothing if they last for one call, or never last so short."""


@dataclass(frozen=True, slots=True)
class Mix:
    """A value for each axis."""

    kind: FaultType
    timing: Timing
    scope: Scope
    duration: Duration
    correlation: Correlation
    topology: Topology

    @property
    def values(self) -> Mapping[str, str]:
        """By axis."""
        return asdict(self)


def mix_of(combination: Combination) -> Mix:
    """A combination of values, as a `Mix`."""
    return Mix(
        kind=cast("FaultType", combination["kind"]),
        timing=cast("Timing", combination["timing"]),
        scope=cast("Scope", combination["scope"]),
        duration=cast("Duration", combination["duration"]),
        correlation=cast("Correlation", combination["correlation"]),
        topology=cast("Topology", combination["topology"]),
    )


def goes_together(chosen: Combination) -> bool:
    """Whether these values, of some axes or of all, can be in one scenario."""
    kind, scope = chosen.get("kind"), chosen.get("scope")
    if scope == "surroundings" or kind in BESIDE_CALLS:
        return _beside_calls(chosen)
    if kind is None:
        return True
    if chosen.get("duration") == "one-shot" and kind in LASTING:
        return False
    return scope != "remedy" or kind not in LIES


def _beside_calls(chosen: Combination) -> bool:
    """The clock jumps once, at a time, for itself."""
    return (
        chosen.get("kind", "clock_jump") in BESIDE_CALLS
        and chosen.get("scope", "surroundings") == "surroundings"
        and chosen.get("timing") != "nth-call"
        and chosen.get("duration", "permanent") == "permanent"
        and chosen.get("correlation") != "shared-cause"
    )
