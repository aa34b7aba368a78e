"""What one call comes to, for somebody who knows beforehand which faults will hit it. One table, and no clock.

Nothing here asks the router, the runtime or the classifier of failures: what is judged by it does not judge itself.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentroute.errors import AgentrouteError, FailureKind
from agentroute.graph.tool import ToolSpec
from agentroute.graph.toolgraph import ToolGraph
from agentroute.ids import ArtifactId, NanoUsd
from agentroute.testing.faults import Fault

INSTANT_S = 1e-6
"""Moments closer than this are the same moment: the sums behind them are rounded."""

LONGEST_WAIT_S = 3600.0
"""Seconds that anybody is heard who asks to wait."""

SHORTEST_CALL_S = 0.001
"""A call that begins at the very deadline is given this long before it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Everything the oracle knows of one run beforehand. Times are in seconds since its start, money in nano-dollars.

    Attributes:
        graph: Tools and goals.
        have: Artifacts at hand at the start.
        strikes: Faults that would really hit the n-th call of a tool (counted from 1), begun at that second. Pure; a
            fault of a changing kind comes as what it is at that moment, and latencies come with their jitter settled
            (what jitter is left is taken at its luckiest).
        seconds: How long a call of a tool takes without faults.
        prices: What a successful call of a tool costs without faults.
        closed: Tools that a guard closes before they can be called.
        max_attempts: Calls of one tool in one run (`agentroute.routing.health.Health.max_attempts`).
        budget: Money for the run; None for no limit.
        deadline_s: When the run has to be over; None for no limit.
        moments: Times at which `strikes` may change its answer; between them only the number of the call matters.
        grace_s: Seconds past the deadline in which effects may still be looked into, never called for.
        goes_on: Whether a tool whose caller gave it up midway still does its work. On a real provider it may; behind
            virtual time it does not.
        hang_ups: Calls of each read tool that may be given up midway and made again. A runtime does so when a route
            drops a tool under way, and then escapes a fault by luck; 0 does not count luck as skill.
    """

    graph: ToolGraph
    have: frozenset[ArtifactId]
    strikes: Callable[[str, int, float], Sequence[Fault]]
    seconds: Callable[[str], float]
    prices: Callable[[str], NanoUsd]
    closed: frozenset[str] = frozenset()
    max_attempts: int = 3
    budget: NanoUsd | None = None
    deadline_s: float | None = None
    moments: Sequence[float] = ()
    grace_s: float = 5.0
    goes_on: bool = True
    hang_ups: int = 0

    def end(self, *, step: bool) -> float:
        """When a call has to be over: the deadline, and for those that look into effects the grace after it."""
        return math.inf if self.deadline_s is None else self.deadline_s + (0.0 if step else self.grace_s)


class UnforeseeableError(AgentrouteError):
    """The oracle cannot say: it does not know a fault, or it would have to search for too long."""


# -------------------------------------------------------------------- the table

Look: TypeAlias = Literal["answer", "late", "dear", "status", "silence", "crash"] | FailureKind
"""What the caller sees of a fault, before it is asked which status, which price, or which moment of a crash."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one type of fault comes to.

    Attributes:
        look: What the caller sees.
        runs: Whether the tool is reached and does its work.
        spoils: Only the answer is wrong: where none is needed, of a verifier or compensator, it does no harm.
    """

    look: Look
    runs: bool = True
    spoils: bool = False


ANSWERED = Sight("answer")

SIGHTS: Mapping[str, Sight] = {
    "error": Sight("status", runs=False),
    "secret_echo": Sight("status", runs=False),
    "rate_limit": Sight("rate_limited", runs=False),
    "down": Sight("transient", runs=False),
    "flap": Sight("transient", runs=False),
    "reset": Sight("ambiguous", runs=False),
    "timeout": Sight("silence", runs=False),
    "hang": Sight("silence", runs=False),
    "late_success": Sight("silence"),
    "latency": Sight("late"),
    "ramp": Sight("late"),
    "tail": Sight("late"),
    "malformed": Sight("contract"),
    "truncated": Sight("ambiguous"),
    "ack_lost": Sight("ambiguous"),
    "renamed_field": Sight("contract", spoils=True),
    "type_change": Sight("contract", spoils=True),
    "empty": Sight("contract", spoils=True),
    "error_in_200": Sight("contract", spoils=True),
    "crash": Sight("crash"),
    "price_change": Sight("dear"),
    "wrong": ANSWERED,
    "stale": ANSWERED,
    "silent_noop": ANSWERED,
    "injection": ANSWERED,
    "output_bomb": ANSWERED,  # whether it breaks the contract depends on the type and on the client's limits
    "duplicate_delivery": ANSWERED,
    "slice": ANSWERED,
    "bandwidth": ANSWERED,
    "model_down": ANSWERED,
    "model_invalid": ANSWERED,
    "clock_jump": ANSWERED,
    "monitor_lies": ANSWERED,
    "monitor_late": ANSWERED,
    "monitor_dead": ANSWERED,
}
"""Every type of fault that the oracle knows; in doubt, the kinder reading. A ``flap`` is read as down: it comes as
what it is at the moment."""

STATUS_KINDS: Mapping[int, FailureKind] = {408: "ambiguous", 425: "transient", 429: "rate_limited", 503: "transient"}
"""Status codes that say more than their class."""


# -------------------------------------------------------------------- one call


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ends.

    Attributes:
        kind: Kind of its failure; None for a success.
        ended: When.
        charge: What it costs.
        happened_at: From when on its effect is there to be found; None if it has none.
        again_at: When the tool may be called again.
        down_until: Until when every call of it is refused.
    """

    kind: FailureKind | None
    ended: float
    charge: NanoUsd
    happened_at: float | None = None
    again_at: float = 0.0
    down_until: float = 0.0


@dataclass(frozen=True, slots=True)
class _Hit:
    """The faults of one call together: how much later, how much dearer, and the one that decides."""

    delay: float = 0.0
    factor: float = 1.0
    sight: Sight = ANSWERED
    fault: Fault | None = None


def refused(at: float) -> Outcome:
    """A call of a tool that is down."""
    return Outcome("transient", at, NanoUsd(0), again_at=at)


def outcomes(known: Foresight, tool: ToolSpec, number: int, at: float, *, step: bool = True) -> list[Outcome]:
    """What the n-th call of a tool comes to when it begins at `at`; more than one where the oracle leaves it open.

    A call longer than its time limit is a timeout. What dies in a crash may have died before, at another tool's call.

    Args:
        known: What is known of the run.
        tool: The tool.
        number: Counts its calls from 1.
        at: When the call begins.
        step: It is a step, and does not verify or undo one.

    Raises:
        UnforeseeableError: A fault of a type that is not in `SIGHTS`.
    """
    hit = _hit(known.strikes(tool.name, number, at), tool, step=step)
    outcome = _outcome(known, tool, at, hit, step=step)
    if hit.fault is None or hit.fault.type != "crash":
        return [outcome]
    shared = tool.provider is not None or not step
    return [outcome, refused(at)] if shared else [outcome]


def _hit(faults: Sequence[Fault], tool: ToolSpec, *, step: bool) -> _Hit:
    delay, factor, decisive = 0.0, 1.0, _Hit()
    for fault in faults:
        sight = _sight(fault, tool)
        if sight.look == "late":
            delay += max(0.0, fault.latency_s - fault.jitter_s)
        elif sight.look == "dear":
            factor *= fault.factor
        elif sight.look != "answer" and decisive.fault is None and (step or not sight.spoils):
            decisive = _Hit(sight=sight, fault=fault)
    return _Hit(delay, factor, decisive.sight, decisive.fault)


def _sight(fault: Fault, tool: ToolSpec) -> Sight:
    sight = SIGHTS.get(fault.type)
    if sight is None:
        raise UnforeseeableError(f"the oracle does not know what {fault.type!r} comes to")
    if sight.look == "crash":
        if fault.victim not in {None, tool.provider or tool.name}:
            return ANSWERED  # somebody else dies, and this call goes well
        return Sight("ambiguous", runs=fault.point == "answered")
    return sight


def _outcome(known: Foresight, tool: ToolSpec, at: float, hit: _Hit, *, step: bool) -> Outcome:
    sight, fault = hit.sight, hit.fault
    limit = max(min(tool.timeout_s, known.end(step=step) - at), SHORTEST_CALL_S)
    ended = at + hit.delay + (known.seconds(tool.name) if sight.runs else 0.0)
    if fault is not None and sight.look == "silence":
        later = at + limit + fault.latency_s if sight.runs else None
        return _charged(tool, None, "ambiguous", at + limit, happened_at=later)
    if ended > at + limit + INSTANT_S:
        happened_at = at + limit if sight.runs and known.goes_on else None
        return _charged(tool, None, "ambiguous", at + limit, happened_at=happened_at)
    price = NanoUsd(round(known.prices(tool.name) * hit.factor))
    if fault is None:
        return Outcome(None, ended, price)
    found = _charged(tool, price, _kind(sight, fault), ended, happened_at=ended if sight.runs else None)
    again_at, down_until = ended, 0.0
    if fault.type == "rate_limit":
        again_at += min(fault.retry_after_s or 0.0, LONGEST_WAIT_S)
    if fault.type == "crash":
        down_until = math.inf if fault.until_s is None else fault.until_s
    return Outcome(found.kind, ended, found.charge, found.happened_at, again_at, down_until)


def _kind(sight: Sight, fault: Fault) -> FailureKind:
    match sight.look:
        case "status":
            return STATUS_KINDS.get(fault.status, "permanent" if 400 <= fault.status < 500 else "ambiguous")
        case "answer" | "late" | "dear" | "silence" | "crash":
            return "ambiguous"
        case kind:
            return kind


def _charged(
    tool: ToolSpec, price: NanoUsd | None, kind: FailureKind, ended: float, *, happened_at: float | None
) -> Outcome:
    """A failure at what it is charged: nothing, if nothing happened; the price, if it did; else the worst case.

    The price of a broken answer is the declared one, or what the tool reported: the lesser, as nobody knows which.
    """
    charge = NanoUsd(0)
    if kind == "ambiguous":
        charge = tool.cost.worst
    elif kind == "contract":
        charge = tool.cost.expected if price is None else min(price, tool.cost.expected)
    return Outcome(kind, ended, charge, happened_at, again_at=ended)
