"""What is feasible from here: which tools can be used, at what weight, and which goals they still reach."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Any

from agentroute.graph.cost import NOTHING, Amounts, Rates
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import KOfN, Need, ToolSpec, artifacts_of
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.breaker import INSTANT_S
from agentroute.guard.ledger import Ledger, Limits
from agentroute.guard.turns import Rank
from agentroute.ids import ArtifactId, AttemptId, GoalId, NanoUsd, ToolId, dollars
from agentroute.routing.board import HealthBoard
from agentroute.routing.counted import Counts, within_counts
from agentroute.routing.expected import Expected
from agentroute.routing.factors import Factors
from agentroute.routing.router import Problem, Route, cheapest_route
from agentroute.routing.signals import HealthSignal
from agentroute.routing.tiers.situation import Situation
from agentroute.routing.tiers.tier_board import Offer, TierBoard, weighed
from agentroute.routing.tiers.weighed import TierWeighed
from agentroute.run.binding import RESOURCES, Limited
from agentroute.run.events import HAND_OVER, Option, Role
from agentroute.run.state import RunState
from agentroute.run.watching import View

POLL_S = 0.1
"""Seconds until a run looks again at a tool whose one half-open probe somebody else is making, unless it is called."""

LONGEST_POLL_S = 5.0
"""Seconds by which it looks later, at most, for those that stand in line before it."""

FOR_GOOD_S = 1e9
"""Seconds that a signal of the run's own monitors lasts: as long as any run."""


def meets(at_hand: Container[ArtifactId], needs: Iterable[Need]) -> bool:
    """Whether `at_hand` meets all of `needs`."""
    for need in needs:
        if isinstance(need, KOfN):
            if sum(artifact in at_hand for artifact in need.of) < need.k:
                return False
        elif need not in at_hand:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Outlook:
    """One run's view of its tools. Reads the state, the health board and the ledger; changes none of them.

    Times (`now`) are in seconds since the start of the run.

    Attributes:
        graph: Tools and goals.
        state: The run so far.
        board: Health, shared with other runs, on the monotonic clock.
        ledger: The run's money.
        rates: Exchange rates into money.
        origin: Monotonic seconds at which the run started.
        deadline_s: Seconds since the start by which it must be over.
        learned: What earlier runs have shown of tools, by goal; others are as declared.
        tiers: Chooses among the tiers of model steps; None: they weigh what health says, like all tools.
        who: The run, in the line for tools.
    """

    graph: ToolGraph
    state: RunState
    board: HealthBoard
    ledger: Ledger
    rates: Rates
    origin: float
    deadline_s: float | None
    learned: Mapping[GoalId, Mapping[ToolId, Expected]] = field(default_factory=dict[GoalId, Mapping[ToolId, Expected]])
    tiers: TierBoard | None = None
    who: object = field(default_factory=object)
    _foresight: dict[str, tuple[object, list[TierWeighed]]] = field(
        default_factory=dict[str, tuple[object, list[TierWeighed]]], repr=False, compare=False
    )

    def satisfied(self, needs: Iterable[Need]) -> bool:
        """Whether what is at hand meets all of `needs`."""
        return meets(self.state.artifacts, needs)

    def values_for(self, tool: ToolSpec, about: AttemptId | None) -> dict[ArtifactId, Any]:
        """What a call is given: the inputs of its contract that are at hand.

        A remedy is given what belongs to the attempt it is about. An effect is undone with what *it* produced, whoever
        made the same artifact since. An attempt in doubt has produced nothing that anybody knows of, so what others
        made in its place is not shown. And a second attempt under the same key is the same request: what may be given
        but has come only since is left out.
        """
        state = self.state
        at_hand = state.artifacts
        if about is not None and about in state.effects:
            at_hand = {**at_hand, **state.effects[about].outputs}
        elif about is not None:
            doubt = state.doubts.get(about) or state.rechecks[about]
            hidden = self.graph.tools[doubt.tool].produces
            at_hand = {name: value for name, value in at_hand.items() if name not in hidden}
        elif (knew := state.step_knew.get(tool.name)) is not None:
            at_hand = {name: value for name, value in at_hand.items() if name in knew}
        return {name: at_hand[name] for name in (*artifacts_of(tool.requires), *tool.optional) if name in at_hand}

    def expired(self, now: float) -> bool:
        """Whether the deadline has passed, or is this very moment."""
        return self.deadline_s is not None and now >= self.deadline_s - INSTANT_S

    def rank(self, role: Role) -> Rank:
        """Of a call among those of all runs that wait for a turn; what looks into effects comes before all steps."""
        state, end = self.state, inf if self.deadline_s is None else self.origin + self.deadline_s
        if role != "step":
            return Rank(is_new=False, steps_left=0, deadline=end)
        return Rank(not state.done, sum(tool not in state.done for tool in state.route), end)

    # ---------------------------------------------------------------- single tools

    def admitted(self, spec: ToolSpec, now: float) -> bool:
        """Whether health lets the tool be called now, and its provider's retry budget lets it be called again."""
        moment = now + self.origin
        return self.board.admits(spec, moment) and (
            not self.state.tries.get(spec.name) or self.board.admits_retry(spec, moment)
        )

    @property
    def money_left(self) -> NanoUsd | None:
        """Nano-dollars that are neither spent nor reserved; None without a limit."""
        left = self.ledger.left.usd
        return None if left is None else NanoUsd(left)

    def affordable(self, spec: ToolSpec) -> bool:
        """Whether the worst case of one attempt fits into what is left."""
        return self.ledger.fits(spec.needs)

    def payable(self, spec: ToolSpec) -> bool:
        """Whether the next call of the route can be paid for, and the rest of it after that."""
        return self.ledger.fits(self._needed(spec))

    def why_unpaid(self, spec: ToolSpec) -> str:
        """What a run waits for that cannot pay for the next call of its route."""
        is_held = self.ledger.fits_from(self._needed(spec)) == inf
        return "other runs hold what it may cost" if is_held else "a quota is used up until its window has moved on"

    def may_become_affordable(self, spec: ToolSpec, now: float) -> bool:
        """Whether to wait for what other runs hold, or for a window to move on: it would be enough, and in time."""
        return self._patience_ends(now) > now and self._may_fit(spec.needs, now)

    def _patience_ends(self, now: float) -> float:
        """When the run gives up waiting for money."""
        since = self.state.waiting_since
        return (now if since is None else since) + self.board.settings.patience_s - INSTANT_S

    def _may_fit(self, amounts: Amounts, now: float) -> bool:
        return self.ledger.may_fit(amounts, by=self._patience_ends(now) + self.origin)

    def rest_after(self, spec: ToolSpec) -> Amounts:
        """What the rest of the route needs after a call, as far as it is to be kept for it in quotas.

        Nobody else shares the run's own budget, so without quotas there is nothing to keep.
        """
        kept = NOTHING
        if not self.ledger.above or not self.state.limits.finish_share:
            return kept
        for later in self._rest(spec):
            kept = kept.plus(later.needs._replace(usd=self.kept_for(later)))
        return kept

    def _rest(self, spec: ToolSpec) -> list[ToolSpec]:
        """Tools of the route besides one that have still to be called."""
        state = self.state
        gone = {spec.name, *(flight.tool for flight in state.relied_on)}
        return [self.graph.tools[tool] for tool in state.route if tool not in state.done and tool not in gone]

    def _needed(self, spec: ToolSpec) -> Amounts:
        return spec.needs.plus(self.rest_after(spec)) if self.ledger.above else spec.needs

    def hold_for(self, spec: ToolSpec) -> Amounts:
        """What is reserved for an attempt: its worst case, or as much of it as leaves enough for the rest of the route.

        The second only for tools that can do with less.
        """
        if spec.least is spec.worst:
            return spec.worst
        left, kept = self.ledger.left, [later.needs for later in self._rest(spec)]
        usd = spec.worst.usd if left.usd is None else left.usd - sum(each.usd for each in kept)
        tokens = spec.worst.tokens if left.tokens is None else left.tokens - sum(each.tokens for each in kept)
        return spec.worst._replace(
            usd=max(spec.least.usd, min(usd, spec.worst.usd)),
            tokens=max(spec.least.tokens, min(tokens, spec.worst.tokens)),
        )

    def start_at(self, spec: ToolSpec, now: float) -> float:
        """Earliest start of the next attempt."""
        earliest = self.state.not_before.get(spec.name, 0.0)
        if not self.affordable(spec):
            earliest = max(earliest, self._affordable_from(spec.needs, now))
        if not self.admitted(spec, now):
            moment = now + self.origin
            back = self.board.back_at(spec, moment)
            if self.state.tries.get(spec.name):
                back = max(back, self.board.retry_at(spec, moment))
            earliest = max(earliest, back - self.origin, now + POLL_S)
        return earliest

    def payable_at(self, spec: ToolSpec, now: float) -> float:
        """When to look again whether the next call of the route can be paid for; now, if it can."""
        return now if self.payable(spec) else self._affordable_from(self._needed(spec), now)

    def _affordable_from(self, amounts: Amounts, now: float) -> float:
        """When to look again whether so much can be afforded: when a window has moved on far enough, if not before.

        Others hold what it needs; whoever gives something back calls who waits.
        """
        moved_on = self.ledger.fits_from(amounts) - self.origin + INSTANT_S  # never before it, by a rounding error
        return min(now + LONGEST_POLL_S, max(moved_on, now + 2 * INSTANT_S))

    def usual_s(self, spec: ToolSpec, now: float, goal: GoalId | None = None) -> float:
        """Seconds that four of five calls take, for a goal; the one there is by default."""
        return self.board.latency(spec, now + self.origin, self.expected(spec, goal))

    def rest_s(self, spec: ToolSpec, now: float) -> float:
        """Seconds that a call and what of the route comes after it usually take: the critical path from here on."""
        state, longest = self.state, self.usual_s(spec, now)
        there = dict.fromkeys(spec.produces, longest)  # when it will be, and what is made of it
        for later in (self.graph.tools[tool] for tool in state.route if tool not in state.done and tool != spec.name):
            if there.keys().isdisjoint(artifacts_of(later.requires)):
                continue
            ends = max(_met_at(need, there) for need in later.requires) + self.usual_s(later, now)
            there |= dict.fromkeys((artifact for artifact in later.produces if artifact not in there), ends)
            longest = max(longest, ends)
        return longest

    def overdue_after(self, spec: ToolSpec, now: float) -> float | None:
        """Seconds after which a call is overdue; None where nobody knows."""
        return self.board.overdue_after(spec, now + self.origin, self.expected(spec))

    def look_at(self, tool: ToolId, start: float) -> float:
        """When a run that waits for a tool looks by itself whether it can start: the later, the more come before it."""
        return start + min(LONGEST_POLL_S, POLL_S * self.board.line.before(self.who, tool))

    def obstacle(self, spec: ToolSpec, now: float) -> str | None:
        """Why the tool cannot be used in this run any more; None if it can."""
        state = self.state
        if spec.name in state.closed:
            return state.closed[spec.name]
        if state.tries.get(spec.name, 0) >= self.board.settings.max_attempts:
            return f"failed {state.tries[spec.name]} times"
        if spec.name in self.board.quarantined:
            return f"put aside: {self.board.quarantined[spec.name]}"
        return None if self._may_fit(spec.needs, now) else f"cannot be afforded{self._lacking(spec)}"

    # ---------------------------------------------------------------- routes

    def route_to(
        self,
        goal: GoalId,
        now: float,
        *,
        patient: bool = True,
        past: AttemptId | None = None,
        without: Container[ToolId] = (),
        firm: bool = False,
    ) -> Route | None:
        """Cheapest route over tools that can be called now; failing that, if `patient`, over those worth a wait.

        What is under way is already paid for, but for calls that take too long, and for the one that a way `past` it
        is asked for. Tools to do `without` have no part in it. Choices of tiers that hold are kept to; if that leads
        nowhere, only a `firm` route gives up there.
        """
        if self.expired(now):
            return None
        sunk = frozenset(flight.tool for flight in self.state.relied_on if flight.attempt != past)
        for wait in (False, True) if patient else (False,):
            left = self._left_in_time(now) if wait else self.ledger.left
            usable = [spec for spec in self._usable(now, sunk, patient=wait) if spec.name not in without]
            kept = self._kept_to(usable, past)
            for specs in (kept,) if firm or kept is usable else (kept, usable):
                problem = self._problem(goal, specs, sunk, left.usd, now)
                route = within_counts(problem, cheapest_route(problem), self._counts(sunk, left))
                if route is not None:
                    return route
        return None

    def _left_in_time(self, now: float) -> Limits:
        """What may be left for those who wait; what is left now, if the run has waited for long enough."""
        ends = self._patience_ends(now)
        return self.ledger.left_once_freed(by=ends + self.origin) if ends > now else self.ledger.left

    def _kept_to(self, usable: list[ToolSpec], past: AttemptId | None) -> list[ToolSpec]:
        """Without the tiers that a choice which holds has put behind others that can be used.

        By weight alone, what is left of a budget might go to a later step after all, and the choice would be none. What
        takes too long is not what others are put behind.
        """
        state = self.state
        if not state.tiers:
            return usable
        slow = {flight.tool for flight in state.in_flight.values() if flight.attempt in {past, *state.hedged}}
        names, behind = {spec.name for spec in usable}, set[ToolId]()
        for chosen in state.tiers.values():
            ranked = [tool for tool in chosen.ranking if tool in names]
            first = next((tool for tool in ranked if tool not in slow), None)
            behind.update(tool for tool in ranked if first is not None and tool not in {first, *slow})
        return [spec for spec in usable if spec.name not in behind] if behind else usable

    def _counts(self, sunk: Container[ToolId], left: Limits) -> Counts:
        """What is left of things that are counted; what is under way has been counted."""
        specs = self.graph.routable.values()
        return Counts(left, {spec.name: spec.needs for spec in specs if spec.name not in sunk})

    def menu(self, goal: GoalId, now: float) -> tuple[Option, ...]:
        """What is left when `goal` is out of reach: the lesser goals that are feasible now, and handing over.

        A lesser goal that would have to wait for a tool is not on it: what is down for the goal is down for the menu.
        """
        options = [option for lesser in self.graph.below(goal) if (option := self._option(lesser, now)) is not None]
        return (*options, Option(HAND_OVER, 0.0))

    def menu_with(self, goal: GoalId, now: float) -> tuple[Option, ...]:
        """What a person can choose from who is asked whether to go on: the goal, if it is feasible, and the menu."""
        option = self._option(self.graph.goals[goal], now)
        return self.menu(goal, now) if option is None else (option, *self.menu(goal, now))

    def why_not(self, now: float) -> str:
        """Name the obstacles between here and the goal, for people."""
        if self.expired(now):
            return f"the deadline of {self.deadline_s:g} s has passed"
        found: list[str] = []
        for spec in self.graph.routable.values():
            if all(artifact in self.state.artifacts for artifact in spec.produces):
                continue
            obstacle = self.obstacle(spec, now)
            if obstacle is None and not self.admitted(spec, now):
                obstacle = f"out for another {self.start_at(spec, now) - now:.1f} s"
            if obstacle is not None:
                found.append(f"{spec.name} ({obstacle})")
        return "; ".join(found) or self._why_no_route() or "the tools left do not fit into the deadline"

    def _lacking(self, spec: ToolSpec) -> str:
        """What a tool needs more of than there is."""
        left = self.ledger.left
        found = [
            f"{each.say(needed)} of {each.say(limit)}"
            for each in RESOURCES
            if (limit := getattr(left, each.field)) is not None and (needed := getattr(spec.needs, each.field)) > limit
        ]
        return f": needs {', '.join(found)} left" if found else ""

    def _why_no_route(self) -> str:
        """Which limits no route keeps, where each tool by itself would."""
        goal = self.state.goal
        if goal is None:
            return ""
        usable = dict.fromkeys((spec.name for spec in self.graph.routable.values()), 0.0)
        limited = Limited(self.graph, goal, frozenset(self.state.artifacts), self.ledger, usable, None, self.kept_for)
        return "; ".join(limited.obstacles())

    def _option(self, goal: GoalSpec, now: float) -> Option | None:
        if self.satisfied(goal.requires):
            return Option(goal.name, goal.utility)
        route = self.route_to(goal.name, now, patient=False)
        return None if route is None else Option(goal.name, goal.utility, route.tools, route.weight)

    def _usable(self, now: float, sunk: Container[ToolId], *, patient: bool) -> list[ToolSpec]:
        return [
            spec
            for spec in self.graph.routable.values()
            if spec.name in sunk or (self.obstacle(spec, now) is None and self._available(spec, now, patient=patient))
        ]

    def _available(self, spec: ToolSpec, now: float, *, patient: bool) -> bool:
        affordable = self.affordable(spec)
        if affordable and self.admitted(spec, now):
            return True
        if not affordable and not self.may_become_affordable(spec, now):
            return False
        start, since = self.start_at(spec, now), self.state.waiting_since
        waits = start - (now if since is None else since)  # with what it has waited already, in line for the last way
        in_time = self.deadline_s is None or start < self.deadline_s
        return patient and waits <= self.board.settings.patience_s and in_time

    def _problem(
        self, goal: GoalId, specs: Sequence[ToolSpec], sunk: Container[ToolId], limit: int | None, now: float
    ) -> Problem:
        """The routing problem from here; what is `sunk` is already paid for.

        A route has to fit into the money left at its worst: that it cannot be paid for is known before it is begun. And
        so is that enough is left to finish, whatever a step costs. Tools that can do with less count with the least.
        """
        deadline, seconds = self.deadline_s, None
        if deadline is not None:
            seconds = {s.name: self.usual_s(s, now, goal) for s in specs}
        return Problem(
            graph=self.graph.compiled,
            goal=goal,
            have=frozenset(self.state.artifacts),
            weights=self._weights(goal, specs, sunk, now),
            latency_s=seconds,
            within_s=None if deadline is None else deadline - now,
            usd=None if limit is None else {s.name: NanoUsd(0) if s.name in sunk else self.kept_for(s) for s in specs},
            within_usd=None if limit is None else NanoUsd(limit),
        )

    def _weights(
        self, goal: GoalId, specs: Sequence[ToolSpec], sunk: Container[ToolId], now: float
    ) -> dict[ToolId, NanoUsd]:
        weights = {s.name: NanoUsd(0) if s.name in sunk else self.weight(s, now, goal) for s in specs}
        if self.tiers is not None:
            for step in self._undecided:
                open_ = [spec.name for spec in self.graph.tiers[step] if spec.name in weights]
                if len(open_) > 1:  # with one there is nothing to foresee
                    weights |= {t.tool: t.weight for t in self.foreseen(step, goal, now) if t.tool in weights}
        return weights

    @property
    def _undecided(self) -> set[str]:
        """Model steps with several tiers for which no choice holds, and none is under way."""
        under_way = {flight.tool for flight in self.state.relied_on}
        return {
            step
            for step, specs in self.graph.tiers.items()
            if step not in self.state.tiers and under_way.isdisjoint(spec.name for spec in specs)
        }

    def foreseen(self, step: str, goal: GoalId, now: float) -> list[TierWeighed]:
        """What the tiers of a step are likely to weigh once it can begin: nothing is known of it yet but its name.

        Kept until health, what is known of tiers, or the second is another: routes ask for every step, again and again.
        """
        if (board := self.tiers) is None:
            return []
        key = (step, goal, self.board.version, board.version, int(now))
        if (known := self._foresight.get(step)) is not None and known[0] == key:
            return known[1]
        offers = self.offers(step, now, goal)
        right = board.right(Situation(step), offers)
        choice = board.choose(offers, right, worth=board.worth())
        found = weighed(choice, offers, right)
        self._foresight[step] = key, found
        return found

    def offers(self, step: str, now: float, goal: GoalId | None = None) -> list[Offer]:
        """The tiers of a step, and what each would weigh if its answers were always right."""
        return [
            Offer(spec.name, spec.tier, self._by_health(spec, now, goal), spec.cost.worst, spec.cost.expected)
            for spec in self.graph.tiers[step]
            if spec.tier is not None
        ]

    def kept_for(self, spec: ToolSpec) -> NanoUsd:
        """Nano-dollars that must be left for a tool of the route: of later ones, the share that is to be kept."""
        usd, share = spec.least.usd, self.state.limits.finish_share
        return NanoUsd(usd if share == 1 or self.satisfied(spec.requires) else ceil(usd * share))

    def signals_about(self, spec: ToolSpec) -> list[HealthSignal]:
        """What monitors of this run say about a tool or its provider, as signals among those of all runs."""
        found: list[HealthSignal] = []
        for event in self.state.signals.values():
            for subject in (spec.name, spec.provider):
                if subject is not None and (factor := event.factors.get(subject)) is not None:
                    at = event.at + self.origin
                    found.append(HealthSignal(subject, event.kind, event.monitor, event.reason, factor, at, FOR_GOOD_S))
        return found

    def view(self, made: Mapping[AttemptId, float]) -> View:
        """What monitors can see of the run; `made`: when each call under way was made."""
        ledger = self.ledger
        return View(
            artifacts=self.state.artifacts,
            in_flight=tuple(self.state.in_flight.values()),
            made=made,
            tools=self.graph.tools,
            usual_s=lambda spec: self.board.latency(spec, self.board.latest, self.expected(spec)),
            spent_usd=dollars(ledger.spent.usd + ledger.reserved.usd),
            limit_usd=None if ledger.limits.usd is None else dollars(ledger.limits.usd),
            deadline_s=self.deadline_s,
        )

    def weighed(self, before: Iterable[ToolId], after: Iterable[ToolId], now: float) -> tuple[Factors, ...]:
        """What the tools weigh by which two routes differ; without one before, those on it that have alternatives.

        Where there is nothing but the contracts to go by, nothing is said.
        """
        known, chosen = self.graph.alternatives, {tool for each in self.state.tiers.values() for tool in each.weights}
        rivals = set(before) ^ set(after)
        if not before:
            rivals = {other.name for tool in after for other in known[tool]} | {tool for tool in after if known[tool]}
        found = [self.factors(self.graph.tools[tool], now) for tool in sorted(rivals - chosen)]
        return tuple(found) if any(factors.notable for factors in found) else ()

    def factors(self, spec: ToolSpec, now: float) -> Factors:
        """The weight of a tool, and why."""
        also = self.signals_about(spec) if self.state.signals else ()
        return self.board.factors(spec, self.rates, now + self.origin, self.expected(spec), also=also)

    def weight(self, spec: ToolSpec, now: float, goal: GoalId | None = None) -> NanoUsd:
        """Expected cost until the tool succeeds, by its health; of a tier, at least what was chosen for its step."""
        known = self._by_health(spec, now, goal)
        chosen = None if spec.tier is None else self.state.tiers.get(spec.tier.step)
        return known if chosen is None else max(known, chosen.weights.get(spec.name, known))

    def _by_health(self, spec: ToolSpec, now: float, goal: GoalId | None) -> NanoUsd:
        also = self.signals_about(spec) if self.state.signals else ()
        return self.board.weight(spec, self.rates, now + self.origin, self.expected(spec, goal), also=also)

    def expected(self, spec: ToolSpec, goal: GoalId | None = None) -> Expected | None:
        """What earlier runs have shown of the tool's calls for a goal, the one there is by default; None: nothing."""
        pursued = goal or self.state.goal
        known = None if pursued is None else self.learned.get(pursued)
        return None if known is None else known.get(spec.name)


def _met_at(need: Need, there: Mapping[ArtifactId, float]) -> float:
    """When a need is met; what is not in `there` is at hand, or is made meanwhile."""
    if isinstance(need, KOfN):
        return sorted(there.get(artifact, 0.0) for artifact in need.of)[need.k - 1]
    return there.get(need, 0.0)
