"""What to do next. One pure function of the state, the health board and the ledger: `Navigator.decide`.

The runner asks, does the one thing it is told, records what came of it, and asks again. A failure has no handler of
its own: it is a fact that makes the route stale, and the next answer is a retry, a reroute, a demotion or an escalation.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from agentroute.graph.cost import Rates
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import Guard, KOfN, Need, ToolSpec, artifacts_of
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.budget import Ledger
from agentroute.ids import ArtifactId, AttemptId, GoalId, NanoUsd, ToolId
from agentroute.routing.health import HealthBoard
from agentroute.routing.router import Problem, Route, cheapest_route
from agentroute.run.events import (
    HAND_OVER,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Chosen,
    Compensated,
    Event,
    GuardClosed,
    Option,
    Outcome,
    Rerouted,
    Retried,
    Role,
    RouteChosen,
    Unresolved,
    Verified,
    Waiting,
)
from agentroute.run.state import RunState

GRACE_S = 5.0
"""Seconds past the deadline that a run may take to verify and undo effects. Never used to go on."""

POLL_S = 0.1
"""Seconds until a run looks again at a tool whose one half-open probe somebody else is making."""


@dataclass(frozen=True, slots=True)
class Record:
    """Take note of a fact that follows from the others."""

    event: Event


@dataclass(frozen=True, slots=True)
class Call:
    """Start an attempt of `tool`. For `role` verify and compensate, `about` is the attempt in question."""

    tool: ToolSpec
    role: Role = "step"
    about: AttemptId | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until an attempt ends, or until `until` (seconds since the start), if that comes first."""

    until: float | None = None


@dataclass(frozen=True, slots=True)
class Abandon:
    """Cancel attempts whose results nobody wants any more; they change nothing."""

    attempts: tuple[AttemptId, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Let the escalation policy choose from what is still feasible."""

    menu: tuple[Option, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The run is over."""

    outcome: Outcome
    reason: str


Decision: TypeAlias = Record | Call | Wait | Abandon | Ask | Finish


@dataclass(slots=True)
class Schedule:
    """Which tools of a route can start, and which artifacts the others wait for."""

    ready: list[ToolId] = field(default_factory=list)
    waiting: dict[ArtifactId, list[ToolId]] = field(default_factory=dict)


class Navigator:
    """Decides for one run. Synchronous and without a clock: `now` is in seconds since the start of the run."""

    def __init__(
        self,
        graph: ToolGraph,
        state: RunState,
        board: HealthBoard,
        ledger: Ledger,
        *,
        rates: Rates,
        guards: Mapping[ToolId, Guard],
        origin: float,
        deadline_s: float | None,
        backoff: Callable[[int], float],
    ) -> None:
        """Bind what it reads.

        Args:
            graph: Tools and goals.
            state: The run so far; only the runner changes it, by recording events.
            board: Health, shared with other runs; its times are monotonic, `origin` is the run's start on that scale.
            ledger: The run's money.
            rates: Exchange rates into money.
            guards: ``when=`` conditions by tool.
            origin: Monotonic seconds at which the run started.
            deadline_s: Seconds since the start by which it must be over.
            backoff: Seconds to wait after the n-th attempt of a tool.
        """
        self._graph = graph
        self._state = state
        self._board = board
        self._ledger = ledger
        self._rates = rates
        self._guards = dict(guards)
        self._origin = origin
        self._deadline = deadline_s
        self._backoff = backoff
        self._schedule = Schedule()
        self._version: int | None = None  # of the board, when the schedule was made; None: make a new one

    # ---------------------------------------------------------------- the decision

    def decide(self, now: float) -> Decision:
        """Return the one next thing to do."""
        state = self._state
        if state.doubts:
            return self._settle(next(iter(state.doubts.values())), now)
        if state.goal is None or self._satisfied(self._graph.goals[state.goal].requires):
            return self._wind_up(now)
        if state.unresolved:
            return Wait() if state.in_flight else self._hand_over(now)
        if self._guards and (closed := self._closing_guard(now)) is not None:
            return Record(closed)
        if state.unanswered or self._version != self._board.version or self._expired(now):
            decision = self._navigate(now)
            if decision is not None:
                return decision
        return self._proceed(now)

    def note(self, event: Event) -> None:
        """Keep the schedule up to date with a fact that was just recorded."""
        match event:
            case AttemptSucceeded() | Verified():
                for artifact in event.outputs:
                    for tool in self._schedule.waiting.pop(artifact, ()):
                        if tool not in self._schedule.ready and self._satisfied(self._graph.tools[tool].requires):
                            self._schedule.ready.append(tool)
                if isinstance(event, Verified):
                    self._version = None
            case AttemptFailed() | GuardClosed() | Chosen() | Compensated():
                self._version = None
            case _:
                pass

    def refresh(self) -> None:
        """Choose the route anew at the next decision: something it rested on turned out otherwise."""
        self._version = None

    def _satisfied(self, needs: Iterable[Need]) -> bool:
        at_hand = self._state.artifacts
        for need in needs:
            if isinstance(need, KOfN):
                if sum(artifact in at_hand for artifact in need.of) < need.k:
                    return False
            elif need not in at_hand:
                return False
        return True

    # ---------------------------------------------------------------- going along the route

    def _proceed(self, now: float) -> Decision:
        """Start what is ready, else wait for what is not."""
        state, wake = self._state, None
        for tool in self._schedule.ready:
            spec = self._graph.tools[tool]
            start = self._start_at(spec, now)
            if start <= now and self._affordable(spec):
                self._schedule.ready.remove(tool)
                return Call(spec)
            if start > now:
                wake = start if wake is None else min(wake, start)
        if state.in_flight:
            return Wait(wake)
        if wake is None:  # nothing ready, nothing under way: what was true when the route was made is not any more
            self._version = None
            return self._navigate(now) or self._dead_end(now)
        return self._wait(now, wake)

    def _start_at(self, spec: ToolSpec, now: float) -> float:
        """Earliest start of an attempt, in seconds since the start of the run."""
        earliest = self._state.not_before.get(spec.name, 0.0)
        monotonic = now + self._origin
        if not self._board.admits(spec, monotonic):
            back = self._board.back_at(spec, monotonic) - self._origin
            earliest = max(earliest, back, now + POLL_S)
        return earliest

    def _wait(self, now: float, until: float) -> Decision:
        """Wait, and say so once if it is for a tool that is out rather than for a short backoff."""
        out = [tool for tool in self._schedule.ready if not self._admitted(self._graph.tools[tool], now)]
        if out and self._state.wait_until < until - POLL_S:
            return Record(Waiting(now, out[0], until - now, "every way is closed until then"))
        return Wait(until)

    def _affordable(self, spec: ToolSpec) -> bool:
        left = self._ledger.left
        if left is not None and spec.cost.worst > left:
            return False
        return not (spec.calls_model and self._ledger.model_calls_left == 0)

    def _expired(self, now: float) -> bool:
        return self._deadline is not None and now >= self._deadline

    def _admitted(self, spec: ToolSpec, now: float) -> bool:
        return self._board.admits(spec, now + self._origin)

    # ---------------------------------------------------------------- choosing the route

    def _navigate(self, now: float) -> Decision | None:
        """Choose a route under current weights; None when the schedule is up to date and the run can proceed."""
        state = self._state
        assert state.goal is not None
        route = self._route_to(state.goal, now)
        if route is None:
            return Wait() if state.in_flight else self._ask(now)
        if state.unanswered:
            return Record(self._answer(next(iter(state.unanswered.values())), route, now))
        remaining = tuple(tool for tool in state.route if tool not in state.done)
        if set(route.tools) != set(remaining):
            return Record(RouteChosen(now, state.goal, route.tools, route.weight, route.optimal, self._why_now()))
        self._schedule = self._new_schedule(route.tools)
        self._version = self._board.version
        unwanted = [a for a, started in state.in_flight.items() if self._cancellable(started) and started.tool not in route.tools]
        return Abandon(tuple(unwanted)) if unwanted else None

    def _answer(self, failure: AttemptFailed, route: Route, now: float) -> Event:
        """Name what happens after a failure: the same tool again, or others."""
        state = self._state
        if failure.tool in route.tools:
            wait_s = self._backoff(state.tries.get(failure.tool, 1))
            if not self._admitted(self._graph.tools[failure.tool], now):
                back = self._board.back_at(self._graph.tools[failure.tool], now + self._origin) - self._origin
                wait_s = max(wait_s, back - now)
            return Retried(now, failure.attempt, failure.tool, failure.kind, wait_s, route.weight)
        return Rerouted(
            now,
            failure.attempt,
            failure.tool,
            failure.kind,
            before=tuple(tool for tool in state.route if tool not in state.done),
            after=route.tools,
            weight_before=state.weight,
            weight_after=route.weight,
            optimal=route.optimal,
            budget_left=self._ledger.left,
        )

    def _why_now(self) -> str:
        state = self._state
        if not state.route:
            return "start" if state.goal == state.asked else "demoted"
        gone = [tool for tool in state.route if tool in state.closed]
        return f"{gone[0]} is closed for this run" if gone else "health changed"

    def _new_schedule(self, tools: Iterable[ToolId]) -> Schedule:
        schedule = Schedule()
        in_flight = {attempt.tool for attempt in self._state.in_flight.values()}
        for tool in tools:
            if tool in in_flight:
                continue
            needs = self._graph.tools[tool].requires
            if self._satisfied(needs):
                schedule.ready.append(tool)
                continue
            for artifact in artifacts_of(needs):
                if artifact not in self._state.artifacts:
                    schedule.waiting.setdefault(artifact, []).append(tool)
        return schedule

    def _route_to(self, goal: GoalId, now: float) -> Route | None:
        """Cheapest route over the tools that can be called now; failing that, over those worth waiting for."""
        if self._expired(now):
            return None
        for patient in (False, True):
            usable = self._usable(now, patient=patient)
            route = cheapest_route(self._problem(goal, usable, now))
            if route is not None:
                return route
        return None

    def _usable(self, now: float, *, patient: bool) -> list[ToolSpec]:
        in_flight = {attempt.tool for attempt in self._state.in_flight.values()}
        return [
            spec
            for spec in self._graph.routable.values()
            if spec.name in in_flight or (self._obstacle(spec) is None and self._available(spec, now, patient=patient))
        ]

    def _obstacle(self, spec: ToolSpec) -> str | None:
        """Why the tool cannot be used in this run any more; None if it can."""
        state = self._state
        if spec.name in state.closed:
            return state.closed[spec.name]
        if state.tries.get(spec.name, 0) >= self._board.settings.max_attempts:
            return f"failed {state.tries[spec.name]} times"
        return None if self._affordable(spec) else "cannot be afforded"

    def _available(self, spec: ToolSpec, now: float, *, patient: bool) -> bool:
        if self._admitted(spec, now):
            return True
        wait = self._start_at(spec, now) - now
        in_time = self._deadline is None or now + wait < self._deadline
        return patient and wait <= self._board.settings.patience_s and in_time

    def _problem(self, goal: GoalId, usable: Iterable[ToolSpec], now: float) -> Problem:
        """The routing problem from here; what is under way is already paid for."""
        sunk = {attempt.tool for attempt in self._state.in_flight.values()}
        specs = list(usable)
        monotonic = now + self._origin
        limit, deadline = self._ledger.left, self._deadline
        return Problem(
            graph=self._graph.compiled,
            goal=goal,
            have=frozenset(self._state.artifacts),
            weights={s.name: NanoUsd(0) if s.name in sunk else self._weight(s, monotonic) for s in specs},
            latency_s=None if deadline is None else {s.name: s.cost.latency_s for s in specs},
            within_s=None if deadline is None else deadline - now,
            usd=None if limit is None else {s.name: NanoUsd(0) if s.name in sunk else s.cost.expected for s in specs},
            within_usd=limit,
        )

    def _weight(self, spec: ToolSpec, monotonic: float) -> NanoUsd:
        return self._board.weight(spec, self._rates, monotonic)

    # ---------------------------------------------------------------- when no route is left

    def _ask(self, now: float) -> Decision:
        state = self._state
        assert state.goal is not None
        reason = f"no route to {state.goal!r}: {self.why_not(now)}"
        options = [option for goal in self._graph.below(state.goal) if (option := self._option(goal, now)) is not None]
        return Ask((*options, Option(HAND_OVER, 0.0)), reason)

    def _option(self, goal: GoalSpec, now: float) -> Option | None:
        if self._satisfied(goal.requires):
            return Option(goal.name, goal.utility)
        route = self._route_to(goal.name, now)
        return None if route is None else Option(goal.name, goal.utility, route.tools, route.weight)

    def _dead_end(self, now: float) -> Decision:
        """Reached only if a route has no first step, which the router rules out; never hang, hand over instead."""
        return Ask((Option(HAND_OVER, 0.0),), f"the route to {self._state.goal!r} cannot be started at {now:.3f}s")

    def _hand_over(self, now: float) -> Decision:
        menu = (Option(HAND_OVER, 0.0),)
        return Record(Chosen(now, menu, HAND_OVER, "only-option", self._state.unresolved))

    def why_not(self, now: float) -> str:
        """Name the obstacles between here and the goal, for people."""
        if self._expired(now):
            return f"the deadline of {self._deadline:g} s has passed"
        found: list[str] = []
        for spec in self._graph.routable.values():
            if all(artifact in self._state.artifacts for artifact in spec.produces):
                continue
            obstacle = self._obstacle(spec)
            if obstacle is None and not self._admitted(spec, now):
                obstacle = f"out for another {self._start_at(spec, now) - now:.1f} s"
            if obstacle is not None:
                found.append(f"{spec.name} ({obstacle})")
        return "; ".join(found) or "the tools left do not fit into the budget or deadline, or an input is missing"

    # ---------------------------------------------------------------- effects

    def _settle(self, doubt: AttemptFailed, now: float) -> Decision:
        """Find out whether an effect happened; failing that, undo it; failing that, hand over. Never try it again."""
        spec = self._graph.tools[doubt.tool]
        remedies: list[tuple[Role, ToolId | None]] = [("verify", spec.verify), ("compensate", spec.compensate)]
        return self._remedy(doubt, remedies, now)

    def _undo(self, effect: AttemptSucceeded | Verified, now: float) -> Decision:
        return self._remedy(effect, [("compensate", self._graph.tools[effect.tool].compensate)], now)

    def _remedy(
        self, about: AttemptFailed | AttemptSucceeded | Verified, remedies: Iterable[tuple[Role, ToolId | None]], now: float
    ) -> Decision:
        """Work down the remedies for one attempt: call the first that can still work, or give up and say so."""
        state = self._state
        if any(attempt.about == about.attempt for attempt in state.in_flight.values()):
            return Wait()
        failed = state.auxiliary_failures.get(about.attempt)
        for role, name in remedies:
            if name is None or not self._can_remedy(name, failed, now):
                continue
            if failed is not None and failed.tool == name:
                wait_s = max(self._backoff(state.tries.get(name, 1)), failed.retry_after_s or 0.0)
                return Record(Retried(now, failed.attempt, name, failed.kind, wait_s, NanoUsd(0)))
            start = state.not_before.get(name, 0.0)
            return Wait(start) if start > now else Call(self._graph.tools[name], role, about.attempt)
        tried = f"; {failed.tool} failed: {failed.message}" if failed is not None else ""
        what = "may have happened" if isinstance(about, AttemptFailed) else "happened and could not be undone"
        return Record(Unresolved(now, about.attempt, about.tool, f"the effect of {about.tool} {what}{tried}"))

    def _can_remedy(self, name: ToolId, failed: AttemptFailed | None, now: float) -> bool:
        spec = self._graph.tools[name]
        if failed is not None and failed.tool == name and failed.kind not in ("transient", "rate_limited"):
            return False
        in_time = self._deadline is None or now < self._deadline + GRACE_S
        return in_time and self._obstacle(spec) is None and self._satisfied(spec.requires)

    def _wind_up(self, now: float) -> Decision:
        """The goal is reached or given up: let go of what is under way, undo what was in vain, finish."""
        state = self._state
        if state.in_flight:
            unwanted = [attempt for attempt, started in state.in_flight.items() if self._cancellable(started)]
            return Abandon(tuple(unwanted)) if unwanted else Wait()
        if state.unanswered and state.goal is not None:
            return Record(self._moot(next(iter(state.unanswered.values())), now))
        if state.rechecks:
            doubt = next(iter(state.rechecks.values()))
            return self._remedy(doubt, [("verify", self._graph.tools[doubt.tool].verify)], now)
        for attempt in reversed(self.in_vain()):
            effect = state.effects[attempt]
            if self._graph.tools[effect.tool].compensate is not None or isinstance(effect, Verified):
                return self._undo(effect, now)
        return self._finish()

    def _moot(self, failure: AttemptFailed, now: float) -> Event:
        """A failure that came when the goal had been reached without it: the route goes on, over nothing."""
        left = self._ledger.left
        return Rerouted(now, failure.attempt, failure.tool, failure.kind, (failure.tool,), (), NanoUsd(0), NanoUsd(0), optimal=True, budget_left=left)

    @staticmethod
    def _cancellable(started: AttemptStarted) -> bool:
        """Whether the attempt changes nothing (only those that do carry a key) and is no remedy for another."""
        return not started.key and started.about is None

    def in_vain(self) -> list[AttemptId]:
        """Effects that nothing in the result rests on, in order of completion."""
        state = self._state
        wanted = self._graph.goals[state.goal].requires if state.goal is not None else ()
        support: set[AttemptId] = set()
        pending = list(artifacts_of(wanted))
        while pending:
            maker = state.makers.get(pending.pop())
            if maker is not None and maker.attempt not in support:
                support.add(maker.attempt)
                pending += artifacts_of(self._graph.tools[maker.tool].requires)
        return [attempt for attempt in state.effects if attempt not in support]

    def _finish(self) -> Decision:
        state = self._state
        in_vain = [state.effects[attempt].tool for attempt in self.in_vain()]
        left = [tool for tool in in_vain if self._graph.tools[tool].effect == "once"]
        behind = f"; left behind: {', '.join(left)}" if left else ""
        if state.unresolved:
            return Finish("escalated", state.unresolved + behind)
        if state.goal is None:
            return Finish("escalated", f"handed over to a person{behind}")
        if state.goal != state.asked:
            return Finish("demoted", f"{state.goal!r} instead of {state.asked!r}{behind}")
        return Finish("succeeded", f"reached {state.goal!r}{behind}")

    # ---------------------------------------------------------------- guards

    def _closing_guard(self, now: float) -> GuardClosed | None:
        """The next guard that can be asked and says no. Each is asked once: its artifacts never change within a run."""
        at_hand = self._state.artifacts
        for tool, guard in list(self._guards.items()):
            if not all(artifact in at_hand for artifact in guard.reads):
                continue
            del self._guards[tool]
            reason = _refusal(guard, {artifact: at_hand[artifact] for artifact in guard.reads})
            if reason is not None and tool not in self._state.closed:
                return GuardClosed(now, tool, reason)
        return None


def _refusal(guard: Guard, values: Mapping[ArtifactId, object]) -> str | None:
    try:
        return None if guard.allows(values) else "its when= condition does not hold"
    except Exception as error:  # noqa: BLE001  # a guard that cannot say yes says no
        return f"its when= condition raised {type(error).__name__}"
