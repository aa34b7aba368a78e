"""One fault as files have it: how bad it is, and when it is on."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from agentroute.testing.faults.fault import FaultType
from agentroute.testing.scenario.drawing.axes import Duration, Timing
from agentroute.testing.scenario.drawing.dice import Dice

Words: TypeAlias = dict[str, Any]
"""Keys of a fault's entry."""

LEAD_S = (0.01, 0.02, 0.04)
"""How long before a call a fault may begin that is to hit it."""

BLIP_S = 0.02
"""How long after its beginning a call is still hit by a fault that is over in a moment: shorter than any backoff."""

BOMB = 20_000_000
"""Bytes that are more than an answer may have."""

WINDOWS_S = (0.5, 1.0, 2.0, 5.0)


def times(timing: Timing, duration: Duration, at: float, dice: Dice) -> Words:
    """When a fault is on that is to hit the call which begins at `at`, the first of its tool."""
    if timing == "nth-call":
        return {"attempts": {"one-shot": 1, "window": dice.pick(("1-2", "1-3")), "permanent": "1-"}[duration]}
    begins: Words = {"from": max(0.0, round(at - dice.pick(LEAD_S), 3))} if timing == "midway" else {}
    match duration:
        case "one-shot":
            once: Words = {} if timing == "midway" else {"attempts": 1}
            return {**begins, "until": round(at + BLIP_S, 3), **once}
        case "window":
            return {**begins, "until": round(at + dice.pick(WINDOWS_S), 3)}
        case "permanent":
            return begins


def severity(kind: FaultType, dice: Dice) -> Words:
    """How bad it is."""
    draw = _SEVERITY.get(kind)
    return {} if draw is None else draw(dice)


def _rate_limit(dice: Dice) -> Words:
    seconds = dice.pick((None, 1.0, 3.0, 60.0))
    return {} if seconds is None else {"retry_after": seconds}


def _latency(dice: Dice) -> Words:
    jitter: Words = {"jitter": 0.1} if dice.chance(0.3) else {}
    return {"latency": dice.pick((0.3, 1.0, 6.0)), **jitter}


_SEVERITY: Mapping[FaultType, Callable[[Dice], Words]] = {
    "error": lambda dice: {"status": dice.pick((503, 503, 500, 502, 429, 404, 400))},
    "secret_echo": lambda dice: {"status": dice.pick((401, 500))},
    "rate_limit": _rate_limit,
    "latency": _latency,
    "ramp": lambda dice: {"latency": dice.pick((0.2, 0.9)), "factor": dice.pick((1.5, 4.0))},
    "tail": lambda dice: {"latency": dice.pick((1.0, 30.0)), "toxicity": dice.pick((0.1, 0.5))},
    "hang": lambda dice: {"latency": dice.pick((0.5, 1.5, 6.0))},
    "late_success": lambda dice: {"latency": dice.pick((0.3, 2.0))},
    "flap": lambda dice: {"up": dice.pick((0.3, 1.0)), "down": dice.pick((0.3, 1.0))},
    "output_bomb": lambda _: {"bytes": BOMB},
    "crash": lambda dice: {"point": dice.pick(("arrives", "answered"))},
    "price_change": lambda dice: {"factor": dice.pick((0.5, 2.0, 10.0))},
    "clock_jump": lambda dice: {"jump": dice.pick((3600.0, -3600.0, -0.5, 86400.0))},
}
