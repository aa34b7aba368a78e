"""Effects: finding out about those in doubt, undoing those that were in vain (sagas: Garcia-Molina & Salem, 1987)."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from agentroute.graph.tool import artifacts_of
from agentroute.guard.breaker import INSTANT_S
from agentroute.ids import AttemptId, NanoUsd, ToolId
from agentroute.run.choices import Call, Decision, Finish, Record, Wait
from agentroute.run.events import AttemptFailed, AttemptSucceeded, Retried, Role, Unresolved, Verified
from agentroute.run.outlook import Outlook, meets

MOST_REMEDIES = 6
"""Attempts of one verifier or compensator for one effect. More than a step gets: the alternative is a person."""

GRACE_S = 5.0
"""Seconds past the deadline that a run may take to verify and undo effects. Never used to go on."""

Subject: TypeAlias = AttemptFailed | AttemptSucceeded | Verified
"""An attempt whose effect is looked into: it may have happened, or it has."""


class Saga:
    """Decides about the side effects of one run."""

    def __init__(self, outlook: Outlook, backoff: Callable[[int], float]) -> None:
        """Bind the run's outlook and the waiting time after the n-th attempt of a tool."""
        self._outlook = outlook
        self._graph = outlook.graph
        self._state = outlook.state
        self._backoff = backoff

    def settle(self, doubt: AttemptFailed, now: float) -> Decision:
        """Find out whether an effect happened; failing that, undo it; failing that, give up. Never try it again."""
        spec = self._graph.tools[doubt.tool]
        return self._remedy(doubt, [("verify", spec.verify), ("compensate", spec.compensate)], now)

    def clear_up(self, now: float) -> Decision | None:
        """Before the end: look again for effects that came late, and undo what was in vain, the last first."""
        state = self._state
        for doubt in state.rechecks.values():
            verifier = self._graph.tools[doubt.tool].verify
            if verifier is not None:
                return self._remedy(doubt, [("verify", verifier)], now)
        for attempt in reversed(self.in_vain()):
            effect = state.effects[attempt]
            compensator = self._graph.tools[effect.tool].compensate
            if compensator is not None or isinstance(effect, Verified):
                return self._remedy(effect, [("compensate", compensator)], now)
        return None

    def in_vain(self) -> list[AttemptId]:
        """Effects that nothing in the result rests on, in order of completion."""
        state = self._state
        wanted = self._graph.goals[state.goal].requires if state.goal is not None else ()
        pending = [maker.attempt for artifact in artifacts_of(wanted) if (maker := state.makers.get(artifact))]
        support: set[AttemptId] = set()
        while pending:
            attempt = pending.pop()
            if attempt not in support:
                support.add(attempt)
                pending += state.uses.get(attempt, ())
        return [attempt for attempt in state.effects if attempt not in support]

    def finish(self) -> Finish:
        """Say how it ends, and what stays behind without being part of the result."""
        state = self._state
        in_vain = [state.effects[attempt].tool for attempt in self.in_vain()]
        open_ends = [event.tool for event in (*state.rechecks.values(), *state.unresolved.values())]
        left = tuple(dict.fromkeys((*in_vain, *open_ends)))
        behind = f"; left behind: {', '.join(left)}" if left else ""
        if state.unresolved:
            return Finish("escalated", "; ".join(event.reason for event in state.unresolved.values()), left)
        if state.goal is None:
            return Finish("escalated", f"handed over to a person: {state.gave_up}{behind}", left)
        if state.goal != state.asked:
            return Finish("demoted", f"{state.goal!r} instead of {state.asked!r}: {state.gave_up}{behind}", left)
        return Finish("succeeded", f"reached {state.goal!r}{behind}", left)

    def _remedy(self, about: Subject, remedies: Iterable[tuple[Role, ToolId | None]], now: float) -> Decision:
        """Work down the remedies for one attempt: call the first that can still work, or give up and say so."""
        state = self._state
        if about.attempt in state.settling or any(a.about == about.attempt for a in state.in_flight.values()):
            return Wait()
        failed = state.auxiliary_failures.get(about.attempt)
        for role, name in remedies:
            if name is None or not self._can_help(name, about.attempt, failed, now):
                continue
            if failed is not None and failed.tool == name:
                wait_s = max(self._backoff(state.tries.get(name, 1)), failed.retry_after_s or 0.0)
                return Record(Retried(now, failed.attempt, name, failed.kind, wait_s, NanoUsd(0)))
            start = self._outlook.start_at(self._graph.tools[name], now)
            return Wait(start) if start > now + INSTANT_S else Call(self._graph.tools[name], role, about.attempt)
        tried = f"; {failed.tool} failed: {failed.message}" if failed is not None else ""
        what = "may have happened" if isinstance(about, AttemptFailed) else "happened and could not be undone"
        return Record(Unresolved(now, about.attempt, about.tool, f"the effect of {about.tool} {what}{tried}"))

    def _can_help(self, name: ToolId, about: AttemptId, failed: AttemptFailed | None, now: float) -> bool:
        outlook, spec = self._outlook, self._graph.tools[name]
        if failed is not None and failed.tool == name and failed.kind not in ("transient", "rate_limited"):
            return False
        start = outlook.start_at(spec, now)
        in_time = outlook.deadline_s is None or start < outlook.deadline_s + GRACE_S
        in_time = in_time and start - now <= max(outlook.board.settings.patience_s, GRACE_S)
        trusted = name not in self._state.closed and name not in outlook.board.quarantined
        usable = trusted and self._state.tries.get(name, 0) < MOST_REMEDIES
        return in_time and usable and outlook.affordable(spec) and meets(outlook.values_for(spec, about), spec.requires)
