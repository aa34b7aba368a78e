"""8, across runs: nobody calls a tool that is open or asked to be left alone, except one probe at a time.

The breakers of an agent are shared by its runs, so they are worked out again from the calls of all of them, in the
order in which the injector saw them begin and end.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentroute.graph.tool import ToolSpec
from agentroute.routing.health import Health
from agentroute.run.events import AttemptAbandoned, AttemptFailed, AttemptSucceeded
from agentroute.testing.faults import Seen
from agentroute.testing.invariants.case import Case, Violation

LONGEST_COOL_DOWN_S = 300.0

SLACK_S = 1e-9
"""Rounding of differences between times."""

Outcome = AttemptSucceeded | AttemptFailed | AttemptAbandoned


@dataclass(slots=True)
class _Shadow:
    """A breaker as the design has it, kept beside the real one."""

    health: Health
    in_a_row: int = 0
    opened_at: float | None = None
    ejections: int = 0
    epoch: int = 0
    probe: int | None = None
    limited_at: float = float("-inf")
    limited_until: float = float("-inf")

    def why_not(self, at: float) -> str | None:
        """Why a call at `at` must not be made; None if it may."""
        if self.limited_at < at - SLACK_S and at < self.limited_until - SLACK_S:
            return f"asked to wait until {self.limited_until:g} s"
        if self.opened_at is None or self.just_opened(at):
            return None
        back = self.opened_at + min(self.health.cool_down_s * 2 ** (self.ejections - 1), LONGEST_COOL_DOWN_S)
        if at < back - SLACK_S:
            return f"open until {back:g} s"
        return "half-open, and a probe is out" if self.probe is not None else None

    def just_opened(self, at: float) -> bool:
        """Whether it opened in this very moment: a call may have been let through before."""
        return self.opened_at is not None and at - self.opened_at < SLACK_S

    def begin(self, order: int, at: float) -> int:
        """Note the call's epoch: the one before, if it was let through before the breaker opened."""
        if self.just_opened(at):
            return self.epoch - 1
        if self.opened_at is not None and self.probe is None:
            self.probe = order
        return self.epoch

    def limit(self, call: Seen, end: Outcome | None) -> None:
        """Note that the tool asked to wait, if it did."""
        if isinstance(end, AttemptFailed) and end.kind == "rate_limited":
            wait = self.health.backoff_s if end.retry_after_s is None else end.retry_after_s
            self.limited_at = call.ended or call.at
            self.limited_until = max(self.limited_until, self.limited_at + wait)

    def end(self, call: Seen, epoch: int, *, worked: bool | None) -> None:
        """Note how a call ended, unless the breaker has changed since it began."""
        if epoch != self.epoch:
            return
        if worked is None:
            self.probe = None if self.probe == call.order else self.probe
        elif worked:
            self.in_a_row = 0
            if self.opened_at is not None:
                self.opened_at, self.ejections, self.probe, self.epoch = None, 0, None, self.epoch + 1
        else:
            self.in_a_row += 1
            if self.opened_at is not None or self.in_a_row >= self.health.trip_after:
                self.opened_at, self.probe, self.in_a_row = call.ended or call.at, None, 0
                self.ejections, self.epoch = self.ejections + 1, self.epoch + 1


def check_breakers(cases: Sequence[Case], seen: Iterable[Seen]) -> list[Violation]:
    """Check the calls of all runs of one agent, in virtual time (or with a clock that both sides share).

    Args:
        cases: Every run there was.
        seen: The injector's calls.
    """
    ends: dict[tuple[str, int], Outcome] = {}
    for case in cases:
        for record in case.records:
            if isinstance(record.event, (AttemptSucceeded, AttemptFailed, AttemptAbandoned)):
                ends[case.run, record.event.attempt] = record.event
    specs: dict[str, ToolSpec] = {str(name): spec for name, spec in cases[0].graph.tools.items()} if cases else {}
    return list(_replay(specs, ends, seen, cases[0].health if cases else Health()))


def _replay(
    specs: Mapping[str, ToolSpec], ends: Mapping[tuple[str, int], Outcome], seen: Iterable[Seen], health: Health
) -> Iterator[Violation]:
    shadows: dict[str, _Shadow] = {}
    epochs: dict[tuple[int, str], int] = {}
    moments = [(call.order, True, call) for call in seen]
    moments += [(call.end_order, False, call) for call in seen if call.end_order is not None]
    for _, begins, call in sorted(moments, key=lambda moment: moment[0]):
        spec = specs[call.tool]
        end = ends.get((call.run, call.attempt))
        for name in (f"tool {spec.name}", *([f"provider {spec.provider}"] if spec.provider else [])):
            shadow = shadows.setdefault(name, _Shadow(health))
            if not begins:
                if name.startswith("tool "):
                    shadow.limit(call, end)
                shadow.end(call, epochs[call.order, name], worked=_verdict(end))
                continue
            if (why := shadow.why_not(call.at)) is not None:
                what = f"attempt {call.attempt} at {call.at:g} s calls {spec.name}; {name} is {why}"
                yield Violation(8, call.run, what)
            epochs[call.order, name] = shadow.begin(call.order, call.at)


def _verdict(end: Outcome | None) -> bool | None:
    """What a call says about its tool: that it works, that it does not, or (None) nothing."""
    if isinstance(end, AttemptFailed):
        silent = end.error == "Cancelled" or end.kind in ("rate_limited", "permanent")
        return None if silent else False
    return True if isinstance(end, AttemptSucceeded) else None
