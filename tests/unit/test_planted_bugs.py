"""A checker is only worth something if it can fail: bugs planted in the runtime, each caught from outside.

Each mutant changes one thing in the runtime; each is run over the same gallery of scenarios, over which the runtime as
it is violates nothing. What a mutant is caught by is written beside it, so that a check that goes blind is noticed.
"""
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from agentroute.adapters.step_router import StepRouter
from agentroute.graph.cost import NOTHING, Amounts
from agentroute.guard.failures import Failure
from agentroute.guard.ledger import UNLIMITED, Ledger, Limits, Reservation
from agentroute.ids import NanoUsd
from agentroute.ports import Tool, Values
from agentroute.routing.board import HealthBoard
from agentroute.routing.health import Health
from agentroute.run import outlook
from agentroute.run.choices import Finish
from agentroute.run.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    LateResultFenced,
    Rerouted,
    Retried,
    TierChosen,
    Verified,
)
from agentroute.run.hedging import Hedges
from agentroute.run.outlook import Outlook
from agentroute.run.saga import Saga
from agentroute.run.state import RunState
from agentroute.run.tier_choices import TierChoices
from agentroute.runtime.executor import Executor, Flight
from agentroute.runtime.runner import Runner
from agentroute.runtime.services import DirectCalls
from agentroute.testing.faults import Fault
from tests.properties.money_cases import Deal, settle
from tests.properties.run_cases import Scenario, ToolDraw, play, tiers_of

SEARCH = ToolDraw("search", ("start",), ("found",), usd=0.01, usd_max=0.02, seconds=0.1)
SEARCH_TOO = ToolDraw("search-too", ("start",), ("found",), usd=0.03, seconds=0.1)
WEATHER = ToolDraw("weather", ("start",), ("sky",), usd=0.01, seconds=0.5)
BOOK = ToolDraw("book", ("found",), ("booking",), effect="once", usd=0.01, seconds=0.1, verify=True, compensate=True)
BOOK_BLINDLY = replace(BOOK, name="book-blindly", verify=False, compensate=False)
BOOK_TOO = replace(BOOK, name="book-too", usd=0.05, verify=False, compensate=False)
PACK = ToolDraw("pack", ("booking", "sky"), ("bag",), effect="idempotent", usd=0.01, seconds=0.1, compensate=True)
LEAVE = ToolDraw("leave", ("bag",), ("gone",), effect="once", usd=0.02, usd_max=0.04, seconds=0.1)
TRIP = (SEARCH, SEARCH_TOO, WEATHER, BOOK, BOOK_TOO, PACK, LEAVE)
TIERS = tuple(
    tiers_of(
        "tell",
        [
            ToolDraw(name, ("start",), ("story",), usd=usd, seconds=0.1)
            for name, usd in (("small", 0.001), ("large", 0.01))
        ],
        1.0,
    )
)
LADDER = (("gone", ("gone",), 1.0), ("packed", ("bag",), 0.6), ("looked", ("found",), 0.3))
CALM = Scenario(tools=TRIP, goals=LADDER, budget_usd=1.0, deadline_s=100.0)


def with_faults(*faults: Fault, **changes: Any) -> Scenario:
    """The trip, and what befalls it."""
    return replace(CALM, faults=faults, **changes)


GALLERY: dict[str, Scenario] = {
    "calm": CALM,
    "a tool is down": with_faults(Fault(type="down", target="search")),
    "a tool fails once": with_faults(Fault(type="error", target="search", status=500, attempts=(1, 1))),
    "several runs, one tool down": with_faults(
        Fault(type="down", target="search"), starts=(0.0, 0.1, 0.2, 0.3, 6.0), health=Health(patience_s=0.0)
    ),
    "asked to wait": with_faults(
        Fault(type="rate_limit", target="search*", retry_after_s=3.0, attempts=(1, 1)), starts=(0.0, 1.0, 2.0)
    ),
    "the booking's answer is lost": with_faults(Fault(type="ack_lost", target="book", attempts=(1, 1))),
    "the booking never arrives": with_faults(Fault(type="timeout", target="book", attempts=(1, 1))),
    "the booking arrives late": with_faults(
        Fault(type="late_success", target="search", attempts=(1, 1), latency_s=0.05),
        tools=(SEARCH, SEARCH_TOO, WEATHER, replace(BOOK, seconds=1.0), BOOK_TOO, PACK, LEAVE),
    ),
    "nobody can look into the booking": with_faults(
        Fault(type="ack_lost", target="book-blindly"), tools=(SEARCH, BOOK_BLINDLY, WEATHER, PACK, LEAVE)
    ),
    "nothing leaves": with_faults(Fault(type="down", target="leave")),
    "nothing leaves and nothing packs": with_faults(
        Fault(type="malformed", target="pack"), goals=(LADDER[0], LADDER[2])
    ),
    "a sibling fails for good": with_faults(Fault(type="error", target="book", status=404), deadline_s=None),
    "too slow": with_faults(Fault(type="latency", target="weather", latency_s=3.0), deadline_s=None),
    "too late": with_faults(Fault(type="latency", target="pack", latency_s=1.8), deadline_s=1.5),
    "two calls answer at once": with_faults(
        Fault(type="latency", target="search", latency_s=0.5, attempts=(1, 1), from_s=4.0),
        deadline_s=2.2,
        starts=(0.0, 5.0),
    ),
    "the booking takes long": with_faults(
        Fault(type="latency", target="book", latency_s=1.0, from_s=4.0), deadline_s=2.2, starts=(0.0, 5.0)
    ),
    "too dear": replace(CALM, budget_usd=0.05, tools=(SEARCH, WEATHER, BOOK, PACK, LEAVE)),
    "cut off while it books": replace(CALM, cancel_at=0.15),
    "cut off while it looks": replace(CALM, cancel_at=0.05),
    "of few calls": with_faults(
        Fault(type="error", target="search", status=500, attempts=(1, 1)), goals=LADDER[::2], tool_calls=3
    ),
    "of few words": replace(
        CALM,
        tools=(replace(SEARCH, tokens=100), WEATHER, BOOK, replace(PACK, tokens=100), LEAVE),
        tokens=150,
        llm_calls=2,
    ),
    "a tool that charges too much": with_faults(Fault(type="price_change", target="search", factor=9.0)),
    "a cheap model is wrong": Scenario(
        tools=TIERS,
        goals=(("told", ("story",), 1.0),),
        faults=(Fault(type="wrong", target="small"), Fault(type="error", target="large", status=500, attempts=(1, 1))),
        starts=(0.0, 1.0, 2.0, 3.0),
        router=StepRouter(policy="cascade", usd_per_success=0.1),
    ),
    "two sagas": with_faults(Fault(type="error", target="leave", status=404), goals=(LADDER[0], LADDER[2]), tools=TRIP),
}


def violations(name: str) -> set[int]:
    """Numbers of the invariants that a scenario violates."""
    scenario = GALLERY[name]
    return {violation.invariant for violation in play(scenario).violations(scenario)}


@pytest.mark.parametrize("name", GALLERY)
def test_the_runtime_as_it_is_violates_nothing(name: str) -> None:
    played = play(GALLERY[name])
    assert played.violations(GALLERY[name]) == [], played.story()


def test_the_gallery_shows_every_way_to_end_and_to_go_on() -> None:
    played = [play(scenario) for scenario in GALLERY.values()]
    events = {type(r.event).__name__ for p in played for records in p.journals.values() for r in records}
    assert events >= {
        "Retried",
        "Rerouted",
        "Verified",
        "Compensated",
        "Unresolved",
        "Chosen",
        "LateResultFenced",
        "Hedged",
        "TierChosen",
    }
    outcomes = {getattr(records[-1].event, "outcome", "") for p in played for records in p.journals.values()}
    assert outcomes == {"succeeded", "demoted", "escalated", "cancelled"}


# -------------------------------------------------------------------- the mutants

Plant: TypeAlias = Callable[[pytest.MonkeyPatch], None]
Append: TypeAlias = Callable[[Runner, Event], Awaitable[None]]


def dropping(*kinds: type[Event]) -> Plant:
    """Let the state know of events of these kinds, and the journal not."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        take_in: Append = Runner._take_in

        async def forgetful(self: Runner, event: Event) -> None:
            if isinstance(event, kinds):
                self.state.apply(event)
                self._navigator.note(event)
            else:
                await take_in(self, event)

        patch.setattr(Runner, "_take_in", forgetful)

    return plant


def changing(change: Callable[[Event], Event]) -> Plant:
    """Record, and believe, something else."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        take_in: Append = Runner._take_in

        async def lying(self: Runner, event: Event) -> None:
            await take_in(self, change(event))

        patch.setattr(Runner, "_take_in", lying)

    return plant


def replacing(owner: type, name: str, function: Callable[..., Any]) -> Plant:
    """Put another function in the place of one."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        assert callable(getattr(owner, name)), "the runtime has moved on; plant the bug where the code is now"
        patch.setattr(owner, name, function)

    return plant


def twice(patch: pytest.MonkeyPatch) -> None:
    call = DirectCalls.call

    async def doubled(self: DirectCalls, tool: Tool, inputs: Values) -> Values:
        await call(self, tool, inputs)
        return await call(self, tool, inputs)

    patch.setattr(DirectCalls, "call", doubled)


def blind_second_tries(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Failure, "in_doubt", lambda *_: False)
    patch.setattr(Failure, "for_effect", lambda self, _: replace(self, kind="transient"))


def free_of_charge(patch: pytest.MonkeyPatch) -> None:
    settle = Flight.settle

    def forgiving(self: Flight, *args: Any, **options: Any) -> Amounts:
        return settle(self, *args, **options)._replace(usd=0)

    patch.setattr(Flight, "settle", forgiving)


def never_settled(patch: pytest.MonkeyPatch) -> None:
    def forgetful(self: Flight, *_: Any, **__: Any) -> Amounts:
        return self.reservation.amounts._replace(usd=self.call.tool.cost.expected)

    patch.setattr(Flight, "settle", forgetful)


def made_up_successes(patch: pytest.MonkeyPatch) -> None:
    def optimistic(self: Executor, flight: Flight, attempt: Any, error: Exception) -> list[Event]:
        outputs = dict.fromkeys(flight.call.tool.produces, "surely fine")
        spent = NanoUsd(flight.settle(attempt, "expected").usd)
        return [AttemptSucceeded(self._now(), flight.started.attempt, flight.call.tool.name, outputs, spent)]

    patch.setattr(Executor, "_failing", optimistic)


def late_results_are_used(patch: pytest.MonkeyPatch) -> None:
    def naive(self: Runner, event: Event) -> None:
        assert isinstance(event, LateResultFenced)
        self.state.artifacts.update(dict.fromkeys(self._services.graph.tools[event.tool].produces, "late"))

    patch.setattr(Runner, "_note_late", naive)


def forgotten_siblings(patch: pytest.MonkeyPatch) -> None:
    take_off = Runner._take_off

    def forgetful(self: Runner, flights: Any) -> None:
        for flight in self._boarding[1:]:
            self.state.in_flight.pop(flight.started.attempt)
        del self._boarding[1:]
        take_off(self, flights)

    patch.setattr(Runner, "_take_off", forgetful)


def demotion_sold_as_success(patch: pytest.MonkeyPatch) -> None:
    finish = Saga.finish

    def shameless(self: Saga) -> Finish:
        end = finish(self)
        return replace(end, outcome="succeeded") if end.outcome == "demoted" else end

    patch.setattr(Saga, "finish", shameless)


def doubts_denied(event: Event) -> Event:
    return replace(event, happened=False) if isinstance(event, Verified) else event


def cut_off_means_abandoned(event: Event) -> Event:
    if isinstance(event, AttemptFailed) and event.error == "Cancelled":
        return AttemptAbandoned(event.at, event.attempt, event.tool, event.spent, "cancelled")
    return event


def key_of_its_own(event: Event) -> Event:
    if isinstance(event, AttemptStarted) and event.key:
        return replace(event, key=f"{event.attempt:032d}")
    return event


def too_little_reserved(event: Event) -> Event:
    return replace(event, reserved=NanoUsd(0)) if isinstance(event, AttemptStarted) else event


async def swallow(self: Runner) -> None:
    del self


def first_effects_first(patch: pytest.MonkeyPatch) -> None:
    in_vain = Saga.in_vain
    patch.setattr(Saga, "in_vain", lambda self: list(reversed(in_vain(self))))


def closed_tools_as_ways(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outlook, "obstacle", lambda *_: None)


def infinite_edges(patch: pytest.MonkeyPatch) -> None:
    """Keep what is open in the graph at a weight that looks infinite, as if nobody would walk such an edge."""
    admits, weight = HealthBoard.admits, HealthBoard.weight
    patch.setattr(HealthBoard, "admits", lambda *_: True)
    patch.setattr(
        HealthBoard,
        "weight",
        lambda self, tool, rates, now, *known, **options: (
            weight(self, tool, rates, now, *known, **options) if admits(self, tool, now) else NanoUsd(10**15)
        ),
    )


def retry_after_unheard(patch: pytest.MonkeyPatch) -> None:
    fail = HealthBoard.fail

    def deaf(self: HealthBoard, *args: Any, **options: Any) -> None:
        fail(self, *args, **{**options, "retry_after_s": 0.0})

    patch.setattr(HealthBoard, "fail", deaf)


def bottomless(self: Ledger, limits: Limits = UNLIMITED, **_: Any) -> None:
    del limits
    self.limits, self.above, self.freed = UNLIMITED, (), None
    self.spent = self.reserved = self.kept = NOTHING


def uncounted(patch: pytest.MonkeyPatch) -> None:
    has_room = Ledger._has_room

    def careless(self: Ledger, worst: Amounts, held: Amounts) -> bool:
        return self.limits is UNLIMITED or has_room(self, Amounts(worst.usd, *(-(10**9),) * 3), held)

    patch.setattr(Ledger, "_has_room", careless)
    patch.setattr(outlook, "within_counts", lambda _, route, __: route)


def choices_outlive_failures(patch: pytest.MonkeyPatch) -> None:
    failed = RunState._failed

    def stubborn(self: RunState, event: AttemptFailed) -> None:
        held = dict(self.tiers)
        failed(self, event)
        self.tiers.update(held)

    patch.setattr(RunState, "_failed", stubborn)


def dice_made_up(event: Event) -> Event:
    return replace(event, propensities=dict.fromkeys(event.ranking, 1.0)) if isinstance(event, TierChosen) else event


def ranking_upside_down(event: Event) -> Event:
    return replace(event, ranking=event.ranking[::-1]) if isinstance(event, TierChosen) else event


def second_answer_counts(patch: pytest.MonkeyPatch) -> None:
    made = RunState._made
    patch.setattr(RunState, "_made", lambda self, event, **_: made(self, event))
    succeeded = RunState._succeeded

    def gullible(self: RunState, event: AttemptSucceeded) -> None:
        for name in event.outputs:
            self.artifacts.pop(name, None)
        succeeded(self, event)

    patch.setattr(RunState, "_succeeded", gullible)


MUTANTS: dict[str, tuple[Plant, set[int]]] = {
    "a failure is dropped from the journal": (dropping(AttemptFailed), {1, 6}),
    "a success is dropped from the journal": (dropping(AttemptSucceeded), {6}),
    "an intent is dropped from the journal": (dropping(AttemptStarted), {6}),
    "a reroute is not recorded": (dropping(Rerouted), {1}),
    "a retry is not recorded": (dropping(Retried), {1}),
    "a tool is called twice": (twice, {4}),
    "an effect is tried again blindly": (blind_second_tries, {4}),
    "an effect that was found is denied": (changing(doubts_denied), {4}),
    "a reservation is never settled": (never_settled, {3}),
    "calls are free": (free_of_charge, {3}),
    "nothing is reserved": (changing(too_little_reserved), {3}),
    "the budget never refuses": (replacing(Ledger, "__init__", bottomless), {3}),
    "counts are not limited": (uncounted, {3}),
    "nobody raises the alarm": (replacing(Executor, "_alarms", lambda *_: []), {3}),
    "less is held than a call can do with": (replacing(Outlook, "hold_for", lambda *_: NOTHING), {3}),
    "an open breaker is a way": (replacing(HealthBoard, "admits", lambda *_: True), {8}),
    "an infinite edge is walked": (infinite_edges, {8}),
    "a closed tool is a way": (closed_tools_as_ways, {8}),
    "Retry-After is not heard": (retry_after_unheard, {8}),
    "a sibling is forgotten": (forgotten_siblings, {6}),
    "a late result is used": (late_results_are_used, {1}),
    "a cancellation is swallowed": (replacing(Runner, "cancel", swallow), {5}),
    "a call that was cut off counts as abandoned": (changing(cut_off_means_abandoned), {6}),
    "a demotion is sold as a success": (demotion_sold_as_success, {2}),
    "a failure is sold as a success": (made_up_successes, {1, 2}),
    "the deadline is ignored": (replacing(Executor, "_end_of", lambda *_: None), {5}),
    "timeouts are ignored": (replacing(Executor, "_time_limit", lambda *_: 1000.0), {5}),
    "effects in vain are left behind silently": (replacing(Saga, "in_vain", lambda *_: []), {2}),
    "sagas run forwards": (first_effects_first, {4}),
    "what takes long is done once more": (replacing(Hedges, "_is_hedgeable", lambda *_: True), {4}),
    "of two answers the second one counts": (second_answer_counts, {6}),
    "a tier is taken that nobody chose": (replacing(TierChoices, "due", lambda *_: None), {8}),
    "a choice of a tier is not recorded": (dropping(TierChosen), {8}),
    "a choice of a tier outlives a failure": (choices_outlive_failures, {8}),
    "a choice of a tier makes up its chances": (changing(dice_made_up), {8}),
    "the dear tiers weigh less": (changing(ranking_upside_down), {8}),
    "every attempt has a key of its own": (changing(key_of_its_own), {6}),
}


@pytest.mark.parametrize("bug", MUTANTS)
def test_the_planted_bug_is_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, expected = MUTANTS[bug]
    plant(monkeypatch)
    caught: set[int] = set()
    for name in GALLERY:
        try:
            caught |= violations(name)
        except BaseException as crash:  # a mutant may fall over its own feet: that alone does not count as caught
            if isinstance(crash, KeyboardInterrupt):
                raise
    assert caught >= expected


# -------------------------------------------------------------------- bugs about money that only many runs show

SHARED = Deal(
    runs=12,
    budget=(30, 300, 3, 6),
    quotas=(((150, 900, 16, 30), None),),
    inner_quotas=(((40, None, None, None), None),),
    modes=(("fair",), ("fair",), ("fair", "garbage", "lost"), ("fair",), ("fair", "fair", "greedy")),
    concurrency=1,
)
"""Runs that share quotas, with an agent within, a model that can do with less, and somebody who charges too much."""


def forgets_its_parent(self: Reservation) -> Ledger:
    return Ledger(Limits(usd=self.amounts.usd))


def granted_in_full(patch: pytest.MonkeyPatch) -> None:
    begin = Executor.begin

    async def generous(self: Executor, call: Any, *, after: int) -> Flight | None:
        flight = await begin(self, call, after=after)
        if flight is not None:
            flight.reservation.amounts = call.tool.worst
        return flight

    patch.setattr(Executor, "begin", generous)


def never_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Executor, "let_go", lambda self, flight: self._services.board.forget(flight.ticket))


def alarms_unheard(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(HealthBoard, "quarantine", lambda *_: None)


MONEY_MUTANTS: dict[str, tuple[Plant, str]] = {
    "counts are not limited": (uncounted, "model_calls of 16"),
    "a carved ledger forgets its parent": (replacing(Reservation, "carve", forgets_its_parent), "the quota says"),
    "alarms are not heard": (alarms_unheard, "although it had been put aside"),
    "a reservation that was made smaller is granted in full": (granted_in_full, "is still held"),
    "what was not called after all is not given back": (never_given_back, "is still held"),
}


def test_many_runs_that_share_quotas_violate_nothing() -> None:
    settled = settle(SHARED)
    assert settled.wrong() == []
    assert settled.till.shrunk > 0
    assert settled.till.put_aside


@pytest.mark.parametrize("bug", MONEY_MUTANTS)
def test_the_planted_bug_about_money_is_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, said = MONEY_MUTANTS[bug]
    plant(monkeypatch)
    wrong = settle(SHARED).wrong()
    assert [what for what in wrong if re.search(said, what)], wrong
