"""Which faults hit which call. Pure: it follows from the rules, the seed and the call, and from nothing else."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from agentroute.testing.faults.fault import Fault


@dataclass(frozen=True, slots=True)
class Strike:
    """A rule that hits a call.

    Attributes:
        index: Which of the rules, from 0.
        rule: As it was written.
        fault: What it comes to for this call: a ``flap`` is down or nothing, a ``ramp`` is so many seconds.
    """

    index: int
    rule: Fault
    fault: Fault


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rules and the seed that their dice are drawn from.

    The dice of a call depend on the seed, the rule, the run, the tool and the number of the call, so that whatever
    happens elsewhere, the same call meets the same fault. Faults with a `cause` share one draw for each run.
    """

    faults: Sequence[Fault]
    seed: int = 0

    def strikes(
        self,
        run: str,
        tool: str,
        number: int,
        at: float,
        *,
        provider: str | None = None,
        without: Collection[str] = (),
    ) -> list[Strike]:
        """Rules that hit the `number`-th call of `tool` in a run, `at` seconds after the start.

        Latencies come on top; of all others the first counts. Types that are `without` effect here are passed over.
        """
        hits: list[Strike] = []
        for index, rule in enumerate(self.faults):
            if rule.type in without or not rule.aims_at(tool, provider) or not rule.is_on(number, at):
                continue
            if self._draw(index, rule, run, tool, number) < rule.toxicity:
                fault = _resolved(rule, number, at)
                if fault is not None:
                    hits.append(Strike(index, rule, fault))
        slow = [strike for strike in hits if strike.fault.type == "latency"]
        return slow + [strike for strike in hits if strike.fault.type != "latency"][:1]

    def moments(self, *, until: float) -> list[float]:
        """Times up to `until` at which a call may begin or cease to meet a fault: edges of windows and phases."""
        edges = {edge for rule in self.faults for edge in (rule.from_s, rule.until_s) if edge}
        for rule in self.faults:
            if rule.type == "flap":
                edges |= _phases(rule, until)
        return sorted(edge for edge in edges if edge <= until)

    def _draw(self, index: int, rule: Fault, run: str, tool: str, number: int) -> float:
        if rule.toxicity >= 1.0:
            return 0.0
        if rule.cause is not None:
            return Random(f"{self.seed}/{rule.cause}/{run}").random()
        return Random(f"{self.seed}/{index}/{run}/{tool}/{number}").random()


MOST_PHASES = 24
"""Turns of a ``flap`` whose edges are named: who can wait that long gains nothing by waiting longer."""


def _resolved(rule: Fault, number: int, at: float) -> Fault | None:
    """What a rule comes to at this moment; None if it is quiet."""
    if rule.type == "flap":
        phase = (at - rule.from_s) % (rule.up_s + rule.down_s)
        return _down(rule) if phase < rule.down_s else None
    if rule.type == "ramp":
        step = number - (rule.attempts or (1, None))[0]
        return replace(rule, type="latency", latency_s=min(rule.latency_s * rule.factor ** min(step, 64), 1e6))
    if rule.type == "tail":
        return replace(rule, type="latency")
    return rule


@lru_cache(maxsize=256)
def _down(rule: Fault) -> Fault:
    """The rule as ``down``; made once, as an oracle asks tens of thousands of times."""
    return replace(rule, type="down")


def _phases(rule: Fault, until: float) -> set[float]:
    length = rule.up_s + rule.down_s
    end = until if rule.until_s is None else min(until, rule.until_s)
    turns = int(min(MOST_PHASES, (end - rule.from_s) / length + 1)) if end > rule.from_s else 0
    begins = [rule.from_s + turn * length for turn in range(turns)]
    return {edge for begin in begins for edge in (begin, begin + rule.down_s)}
