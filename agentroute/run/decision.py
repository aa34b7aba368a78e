"""What to do next. One pure function of the state, the health board and the ledger: `Navigator.decide`.

The runner asks, does the one thing it is told, records what came of it, and asks again. A failure has no handler of
its own: it is a fact that makes the route stale, and the next answer to it is a retry, a reroute, a demotion or an
escalation.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agentroute.graph.tool import Guard, ToolSpec, artifacts_of
from agentroute.guard.breaker import INSTANT_S
from agentroute.ids import ArtifactId, AttemptId, GoalId, NanoUsd, ToolId
from agentroute.routing.router import Route
from agentroute.routing.signals import PRIORITIES
from agentroute.run.choices import Abandon, Ask, Call, Decision, Record, Wait
from agentroute.run.events import (
    HAND_OVER,
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Chosen,
    Compensated,
    Event,
    GuardClosed,
    Hedged,
    Option,
    Quarantined,
    Rerouted,
    Retried,
    RouteChosen,
    Signalled,
    TierChosen,
    Verified,
    Waiting,
)
from agentroute.run.hedging import Hedges
from agentroute.run.outlook import Outlook
from agentroute.run.saga import Saga
from agentroute.run.tier_choices import TierChoices
from agentroute.run.watching import MOST_SIGHTINGS, RunMonitor, next_look, sightings


@dataclass(slots=True)
class Schedule:
    """Which tools of a route can start, and which artifacts the others wait for."""

    ready: list[ToolId] = field(default_factory=list[ToolId])
    waiting: dict[ArtifactId, list[ToolId]] = field(default_factory=dict[ArtifactId, list[ToolId]])


class Navigator:
    """Decides for one run. Synchronous and without a clock: `now` is in seconds since the start of the run."""

    def __init__(
        self,
        outlook: Outlook,
        *,
        guards: Mapping[ToolId, Guard],
        backoff: Callable[[int], float],
        made: Mapping[AttemptId, float],
        tiers: TierChoices | None = None,
        monitors: Sequence[RunMonitor] = (),
        asks_people: bool = False,
    ) -> None:
        """Bind what it reads.

        Args:
            outlook: The run's view of its tools.
            guards: ``when=`` conditions by tool.
            backoff: Seconds to wait after the n-th attempt of a tool.
            made: When each call under way was made (seconds since the start of the run), up to date at each decision;
                those that wait for a turn are not in it.
            tiers: Chooses among the tiers of model steps, if somebody does.
            monitors: Watch the run.
            asks_people: A person decides whether a run goes on that a monitor has stopped; else it is handed over.
        """
        self._outlook = outlook
        self._graph = outlook.graph
        self._state = outlook.state
        self._saga = Saga(outlook, backoff)
        self._hedges = Hedges(outlook, made)
        self._made = made
        self._tiers = tiers
        self._guards = dict(guards)
        self._backoff = backoff
        self._monitors = tuple(monitors)
        self._asks_people = asks_people
        self._schedule = Schedule()
        self._unwanted: tuple[AttemptId, ...] = ()
        self._weights: dict[ToolId, NanoUsd] = {}  # of the route's tools, when it was made
        self._overtaken = ""  # why the route was left that a call took too long on, once it has answered after all
        self._weighed: Mapping[ToolId, NanoUsd] = {}  # what the latest route was computed with
        self._seen: int | None = None  # version of the health board that the latest route was computed with
        self._version: int | None = None  # of the health board, when the route was made; None: make a new one

    # ---------------------------------------------------------------- the decision

    def decide(self, now: float) -> Decision:
        """Return the one next thing to do."""
        state = self._state
        if state.doubts:
            return self._saga.settle(next(iter(state.doubts.values())), now)
        if state.goal is None:
            return self._wind_up(now)
        is_reached = self._outlook.satisfied(self._graph.goals[state.goal].requires)
        if state.unresolved and not is_reached:
            return self._let_go() or self._hand_over(now)
        if (noticed := self._noticed(now, is_reached=is_reached)) is not None:
            return Record(noticed)
        if state.alarms:  # before the end, too: a run that is a risk is not over because its last call was quick
            return self._stop(state.goal, now)
        return self._wind_up(now) if is_reached else self._pursue(state.goal, now)

    def _pursue(self, goal: GoalId, now: float) -> Decision:
        """Choose what has to be chosen, tiers before routes, then go along the route."""
        if self._tiers is not None and (chosen := self._tiers.due(goal, now)) is not None:
            return Record(chosen)
        is_stale = self._state.unanswered or self._version != self._outlook.board.version
        if is_stale or self._outlook.expired(now):
            decision = self._navigate(goal, now)
            if decision is not None:
                return decision
        return self._proceed(goal, now)

    def note(self, event: Event) -> None:
        """Keep the schedule up to date with a fact that was just recorded."""
        match event:
            case AttemptSucceeded():
                self._arrived(event.outputs)
                if self._state.hedged:
                    self._meet(event)
            case RouteChosen(tools=tools) | Rerouted(after=tools) | Hedged(after=tools):
                self._adopt(tools, event.at)
            case (
                AttemptFailed()
                | AttemptAbandoned()
                | GuardClosed()
                | Quarantined()
                | TierChosen()
                | Chosen()
                | Verified()
                | Compensated()
            ):
                self._version = None
            case Signalled() if event.factors:
                self._version = None
            case _:
                pass

    def _meet(self, event: AttemptSucceeded) -> None:
        """Of two ways that are gone at once, one may have become superfluous."""
        state = self._state
        is_late = event.attempt in state.hedged
        self._overtaken = f"{event.tool} answered after all" if is_late else ""
        if is_late or any(attempt in state.in_flight for attempt in state.hedged):
            self._version = None

    def refresh(self) -> None:
        """Choose the route anew at the next decision: something it rested on turned out otherwise."""
        self._version = None

    # ---------------------------------------------------------------- going along the route

    def _proceed(self, goal: GoalId, now: float) -> Decision:
        """Start what is ready, else wait for what is not."""
        if self._unwanted:
            unwanted, self._unwanted = self._still_cancellable(self._unwanted), ()
            if unwanted:
                return Abandon(unwanted)
        spec, wake = self._next(now)
        if spec is not None:
            self._schedule.ready.remove(spec.name)
            return Call(spec, hold=self._outlook.hold_for(spec))
        if self._state.in_flight:
            if (hedge := self._hedges.due(goal, now)) is None:
                return Wait(self._sooner(wake, now))
            hedged, route = hedge
            self._weighed = route.weights
            return Record(hedged)
        if wake is None:  # nothing ready, nothing under way: what was true when the route was made is not any more
            return self._navigate(goal, now) or self._dead_end(goal, now)
        return self._wait(goal, now, wake)

    def _next(self, now: float) -> tuple[ToolSpec | None, float | None]:
        """The first tool that can be called now, else when one can be; neither, if none is worth waiting for."""
        outlook, wake = self._outlook, None
        for tool in self._schedule.ready:
            spec = self._graph.tools[tool]
            payable = outlook.payable(spec)
            if not payable and not outlook.may_become_affordable(spec, now):
                continue
            start = max(outlook.start_at(spec, now), outlook.payable_at(spec, now))
            if start > now + INSTANT_S:
                wake = start if wake is None else min(wake, start)
            elif payable:
                return spec, None
        return None, wake

    def _wait(self, goal: GoalId, now: float, until: float) -> Decision:
        """Wait, and say so once if it is for a tool that is out rather than for a short backoff."""
        outlook, specs = self._outlook, [self._graph.tools[tool] for tool in self._schedule.ready]
        out = [spec.name for spec in specs if not (outlook.payable(spec) and outlook.admitted(spec, now))]
        dear = bool(out) and not outlook.payable(self._graph.tools[out[0]])
        if out and self._state.waiting_for != out[0]:
            if dear and (elsewhere := self._navigate(goal, now)) is not None:
                return elsewhere  # others have taken what the route needs: there may be one for what they left
            why = outlook.why_unpaid(self._graph.tools[out[0]]) if dear else "every way is closed until then"
            return Record(Waiting(now, out[0], until - now, why))
        if not out:
            return Wait(self._sooner(until, now))
        return Wait(self._sooner(self._outlook.look_at(out[0], until), now), out[0], poor=dear)

    def _adopt(self, tools: tuple[ToolId, ...], now: float) -> None:
        """Go by this route from here on; what is under way without being on it has become unwanted."""
        flights = self._state.in_flight.values()
        self._unwanted = tuple(f.attempt for f in flights if not self._is_wanted(f, tools))
        under_way = {flight.tool for flight in self._state.relied_on}
        self._schedule = Schedule()
        for tool in tools:
            needs = self._graph.tools[tool].requires
            if tool in under_way:
                continue
            if self._outlook.satisfied(needs):
                self._schedule.ready.append(tool)
                continue
            for artifact in artifacts_of(needs):
                if artifact not in self._state.artifacts:
                    self._schedule.waiting.setdefault(artifact, []).append(tool)
        self._version = self._seen  # by the time a route is adopted, health may have moved on
        self._weights = {  # to the route, what is under way weighed nothing any more
            tool: self._outlook.weight(self._graph.tools[tool], now) if tool in under_way else self._weighed[tool]
            for tool in tools
        }

    def _is_wanted(self, flight: AttemptStarted, route: tuple[ToolId, ...]) -> bool:
        """Whether a route waits for a call; for one that takes too long, whether it would still bring anything."""
        if flight.attempt in self._state.hedged:
            return any(name not in self._state.artifacts for name in self._graph.tools[flight.tool].produces)
        return flight.tool in route

    def _arrived(self, artifacts: Iterable[ArtifactId]) -> None:
        """Move tools that waited for these artifacts, and now have all they need, to the ready ones."""
        schedule = self._schedule
        for artifact in artifacts:
            for tool in schedule.waiting.pop(artifact, ()):
                if tool not in schedule.ready and self._outlook.satisfied(self._graph.tools[tool].requires):
                    schedule.ready.append(tool)

    # ---------------------------------------------------------------- letting go of calls

    def _let_go(self) -> Decision | None:
        """Cancel what can be cancelled and wait for the rest; None if nothing is under way."""
        state = self._state
        if not state.in_flight:
            return None
        unwanted = self._still_cancellable(state.in_flight)
        return Abandon(unwanted) if unwanted else Wait()

    def _withdraw(self) -> Decision | None:
        """Give up what only stands in line, and wait for what has been called; None if nothing is under way.

        For a goal that is out of reach nobody waits for a turn, nor holds money back. What has been called may still
        bring something that a lesser goal wants.
        """
        state = self._state
        if not state.in_flight:
            return None
        in_line = tuple(attempt for attempt in self._still_cancellable(state.in_flight) if attempt not in self._made)
        return Abandon(in_line) if in_line else Wait()

    def _still_cancellable(self, attempts: Iterable[AttemptId]) -> tuple[AttemptId, ...]:
        """Those that are under way and can be cancelled without a doubt as to what they have done.

        That is what changes nothing (only attempts that do carry a key), and what was not made yet: an attempt that
        waits for its turn has done nothing, whatever it was to do. No remedy for another is among them.
        """
        flights = [self._state.in_flight[attempt] for attempt in attempts if attempt in self._state.in_flight]
        return tuple(f.attempt for f in flights if f.about is None and not (f.key and f.attempt in self._made))

    # ---------------------------------------------------------------- choosing the route

    def _navigate(self, goal: GoalId, now: float) -> Decision | None:
        """Choose a route under current weights; None when the one there is still holds and the run can proceed."""
        state = self._state
        self._seen = self._outlook.board.version
        route = self._outlook.route_to(goal, now)
        if route is None:
            return self._withdraw() or self._ask(goal, now)
        self._weighed = route.weights
        if state.unanswered:
            return Record(self._answer(next(iter(state.unanswered.values())), route, now))
        remaining = {tool for tool in state.route if tool not in state.done}
        if set(route.tools) != remaining:
            return Record(self._chosen(goal, route, now))
        self._adopt(route.tools, now)
        return None

    def _answer(self, failure: AttemptFailed, route: Route, now: float) -> Event:
        """Name what happens after a failure: the same tool again, or others."""
        state, outlook = self._state, self._outlook
        wait_s = self._backoff(state.tries.get(failure.tool, 1))
        if failure.tool in route.tools:
            spec = self._graph.tools[failure.tool]
            if not outlook.admitted(spec, now):
                wait_s = max(wait_s, outlook.start_at(spec, now) - now)
            return Retried(now, failure.attempt, failure.tool, failure.kind, wait_s, route.weight)
        hedged = state.hedged.get(failure.attempt)
        before = tuple(tool for tool in (state.route if hedged is None else hedged.before) if tool not in state.done)
        return Rerouted(
            now,
            failure.attempt,
            failure.tool,
            failure.kind,
            before=before,
            after=route.tools,
            weight_before=NanoUsd(sum(self._weights.get(tool, 0) for tool in before)),
            weight_after=route.weight,
            optimal=route.optimal,
            budget_left=outlook.money_left,
            wait_s=wait_s,
            weighed=outlook.weighed(before, route.tools, now),
        )

    def _chosen(self, goal: GoalId, route: Route, now: float) -> RouteChosen:
        """A route that no failure asked for."""
        state = self._state
        before = tuple(tool for tool in state.route if tool not in state.done)
        weighed = self._outlook.weighed(before, route.tools, now) if self._outlook.board.version else ()
        return RouteChosen(now, goal, route.tools, route.weight, route.optimal, self._why_now(route.tools), weighed)

    def _why_now(self, after: tuple[ToolId, ...]) -> str:
        state = self._state
        if not state.route:
            return "start" if state.goal == state.asked else "demoted"
        gone = [tool for tool in state.route if tool in state.closed]
        if gone:
            return f"{gone[0]} is closed for this run"
        return self._overtaken or self._tier_changed(after) or "health changed"

    def _tier_changed(self, after: tuple[ToolId, ...]) -> str:
        """Of which step the tier is taken now that was chosen last; empty if of none."""
        for step, chosen in self._state.tiers.items():
            if chosen.ranking[0] in after and chosen.ranking[0] not in self._state.route:
                return f"{step}: {chosen.policy} takes {chosen.ranking[0]}"
        return ""

    def _closing_guard(self, now: float) -> GuardClosed | None:
        """The next guard that can be asked and says no. Each is asked once: artifacts do not change within a run."""
        at_hand = self._state.artifacts
        for tool, guard in list(self._guards.items()):
            if not all(artifact in at_hand for artifact in guard.reads):
                continue
            reason = _refusal(guard, {artifact: at_hand[artifact] for artifact in guard.reads})
            if reason is not None and tool not in self._state.closed:
                return GuardClosed(now, tool, reason)  # asked again until that is on record
            del self._guards[tool]
        return None

    # ---------------------------------------------------------------- what monitors see

    def _noticed(self, now: float, *, is_reached: bool) -> Signalled | GuardClosed | None:
        """What monitors or guards have to say that is not on record yet; when the goal is reached, what stops it."""
        if self._monitors and (signal := self._sighted(now, only_stops=is_reached)) is not None:
            return signal
        return self._closing_guard(now) if self._guards and not is_reached else None

    def _sighted(self, now: float, *, only_stops: bool) -> Signalled | None:
        """The first thing that a monitor sees and that is not on record yet."""
        view, known = self._outlook.view(self._hedges.made), self._state.signals
        for monitor in self._monitors:
            for seen in sightings(monitor, view, now):
                if (monitor.name, seen.about) in known or (only_stops and not seen.stops):
                    continue
                stops_it = seen.stops and not self._state.alarms
                if stops_it or sum(name == monitor.name for name, _ in known) < MOST_SIGHTINGS:
                    return Signalled(now, monitor.name, monitor.kind, seen.reason, seen.about, seen.stops, seen.factors)
        return None

    def _sooner(self, wake: float | None, now: float) -> float | None:
        """When to wake: as asked, or sooner, when a call will be overdue or a monitor wants to look again.

        Never within a rounding error of now: nobody can sleep for less, and what is to be seen would not be there yet.
        """
        times = [wake, self._hedges.look_at(now) if self._state.in_flight else None]
        if self._monitors:
            view = self._outlook.view(self._hedges.made)
            times += [next_look(monitor, view, now) for monitor in self._monitors]
        first = min((at for at in times if at is not None and at > now), default=None)
        return None if first is None else max(first, now + 2 * INSTANT_S)

    def _stop(self, goal: GoalId, now: float) -> Decision:
        """A monitor has stopped the run: let go of what can be cancelled, wait for the rest, then let somebody decide.

        That is never a model. Without a person to ask, or time to wait for one, handing over is all there is.
        """
        if (first := self._let_go()) is not None:
            return first
        alarm = min(self._state.alarms, key=lambda signal: (-PRIORITIES[signal.kind], signal.monitor))
        reason = f"stopped by a monitor: {alarm.reason}"
        if not self._asks_people or self._outlook.expired(now):
            return Ask((Option(HAND_OVER, 0.0),), reason)
        return Ask(self._outlook.menu_with(goal, now), reason)

    # ---------------------------------------------------------------- when no route is left, and at the end

    def _ask(self, goal: GoalId, now: float) -> Decision:
        return Ask(self._outlook.menu(goal, now), f"no route to {goal!r}: {self._outlook.why_not(now)}")

    def _dead_end(self, goal: GoalId, now: float) -> Decision:
        """Reached only if a route has no first step, which the router rules out; hand over rather than hang."""
        return Ask((Option(HAND_OVER, 0.0),), f"the route to {goal!r} cannot be started at {now:.3f}s")

    def _hand_over(self, now: float) -> Decision:
        reason = "; ".join(event.reason for event in self._state.unresolved.values())
        return Record(Chosen(now, (Option(HAND_OVER, 0.0),), HAND_OVER, "only-option", reason))

    def _wind_up(self, now: float) -> Decision:
        """The goal is reached or given up: let go of what is under way, answer what is open, clear up, finish."""
        if (first := self._let_go()) is not None:
            return first
        state = self._state
        if state.unanswered and state.goal is not None:
            return Record(self._moot(next(iter(state.unanswered.values())), now))
        return self._saga.clear_up(now) or self._saga.finish()

    def _moot(self, failure: AttemptFailed, now: float) -> Event:
        """A failure that came when the goal had been reached without it: the route goes on, over nothing."""
        before, free = (failure.tool,), NanoUsd(0)
        left = self._outlook.money_left
        return Rerouted(now, failure.attempt, failure.tool, failure.kind, before, (), free, free, True, left)


def _refusal(guard: Guard, values: Mapping[ArtifactId, object]) -> str | None:
    try:
        return None if guard.allows(values) else "its when= condition does not hold"
    except Exception as error:  # noqa: BLE001  # a guard that cannot say yes says no
        return f"its when= condition raised {type(error).__name__}"
