"""Laws of health: what calls and monitors may do to a tool's standing, whatever their order."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentroute.errors import DefinitionError
from agentroute.graph.cost import Cost, Rates
from agentroute.graph.tool import ToolSpec
from agentroute.guard.breaker import LONGEST_COOL_DOWN_S, MOST_PROBES
from agentroute.guard.rate_limits import Headroom
from agentroute.guard.retry_budget import REFILL_S, RetryBudget
from agentroute.ids import ToolId
from agentroute.routing.board import HealthBoard
from agentroute.routing.entry import Ticket
from agentroute.routing.headroom import RateLimit
from agentroute.routing.health import Health
from agentroute.routing.latency import Latency
from agentroute.routing.refusals import Refusals
from agentroute.routing.reports import Subject
from agentroute.routing.signals import PRIORITIES, HealthSignal, foremost
from agentroute.routing.standing import MOST_MONITORS

RATES = Rates(usd_per_second=0.01)

Ending = Literal["work", "fail", "hang", "limit", "slow down", "refuse", "forget"]


def spec(name: str = "t", **options: object) -> ToolSpec:
    declared = Cost(usd=0.01, latency_s=1.0, risk=0.1)
    return ToolSpec(ToolId(name), cost=declared, **{"effect": "read", **options})  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Act:
    """Some time passes, and then a call ends that took some time."""

    pause_s: float
    ending: Ending
    took_s: float


acts = st.builds(
    Act,
    pause_s=st.sampled_from([0.0, 0.1, 1.0, 5.0, 30.0, 400.0]) | st.floats(0.0, 400.0),
    ending=st.sampled_from(["work", "work", "fail", "fail", "hang", "limit", "slow down", "refuse", "forget"]),
    took_s=st.sampled_from([0.01, 1.0, 10.0]) | st.floats(0.001, 30.0),
)
histories = st.lists(acts, max_size=40)
tools = st.sampled_from([spec(), spec(effect="once"), spec(provider="p")])


@dataclass
class Life:
    """A tool, and what calls have said of it. Calls are made whenever it lets them."""

    tool: ToolSpec
    board: HealthBoard = field(default_factory=lambda: HealthBoard(Health(cool_down_s=2.0)))
    now: float = 0.0
    calls: int = 0

    def live(self, history: list[Act]) -> "Life":
        for act in history:
            self.act(act)
        return self

    def act(self, act: Act) -> None:
        self.now += act.pause_s
        if self.board.admits(self.tool, self.now):
            ticket = self.board.begin(self.tool, self.now)
            self.now += act.took_s
            self.end(ticket, act.ending)
            self.calls += 1

    def end(self, ticket: Ticket, ending: Ending) -> None:
        if ending == "work":
            self.board.succeed(ticket, self.now)
        elif ending == "forget":
            self.board.forget(ticket)
        elif ending == "refuse":
            self.board.refuse(ticket, self.now)
        else:
            limited, hung = ending in ("limit", "slow down"), ending == "hang"
            wait = 3.0 if ending == "limit" else None
            self.board.fail(ticket, self.now, retry_after_s=wait, rate_limited=limited, timed_out=hung)

    def standing(self) -> tuple[float, bool, float]:
        """How bad it stands: seconds until it may be called, whether that is one call on probation, its weight."""
        out_s = self.board.back_at(self.tool, self.now) - self.now
        return out_s, self.board.is_on_probation(self.tool), self.board.weight(self.tool, RATES, self.now)


@given(history=histories, tool=tools, ending=st.sampled_from(["fail", "hang", "refuse"]), took_s=st.floats(0.001, 30.0))
def test_bad_behaviour_never_improves_a_standing(
    history: list[Act], tool: ToolSpec, ending: Ending, took_s: float
) -> None:
    """A call that fails leaves the tool as it was at best: measured against a call that says nothing."""
    bad, silent = Life(tool).live(history), Life(tool).live(history)
    bad.act(Act(0.0, ending, took_s))
    silent.act(Act(0.0, "forget", took_s))
    assert bad.standing() >= silent.standing()


OF_A_BEAT = 1e-4
"""What fades within a beat is reckoned once in it: of two histories that ask at different moments, one may have faded
by so much more. A hundredth fades in a whole beat, of a part of the weight."""

USUALLY_QUICKER = ToolSpec(ToolId("t"), cost=Cost(usd=0.01, latency_s=1.0, risk=0.1), effect="read")
ONE_FAILS_ONE_IS_SLOW = [*[Act(0.0, "work", 0.01)] * 5, Act(0.0, "fail", 0.01), Act(101.0, "work", 10.0)]
QUICK_THEN_ONE_HANGS = [*[Act(0.0, "work", 0.01)] * 6, Act(0.0, "hang", 0.01), Act(0.0, "forget", 10.0)]
BACK_AT_LAST = [*[Act(0.0, "work", 0.01)] * 6, *[Act(0.0, "fail", 0.01)] * 5, Act(86.0, "forget", 10.0)]


@example(history=BACK_AT_LAST, tool=USUALLY_QUICKER)
@example(history=QUICK_THEN_ONE_HANGS, tool=USUALLY_QUICKER)
@example(history=ONE_FAILS_ONE_IS_SLOW, tool=USUALLY_QUICKER)
@given(history=histories, tool=tools)
def test_good_behaviour_never_worsens_a_standing(history: list[Act], tool: ToolSpec) -> None:
    """A call that works, as fast as declared and as any before, leaves the tool as it was at worst.

    What it weighs is compared only where it can be called as freely: one that is back weighs a little more than one
    that somebody has to try, and yet stands better.
    """
    fastest = min(tool.cost.latency_s, *(act.took_s for act in history), 1.0)
    good, silent = Life(tool).live(history), Life(tool).live(history)
    good.act(Act(0.0, "work", fastest))
    silent.act(Act(0.0, "forget", fastest))
    *out, weight = good.standing()
    *silent_out, silent_weight = silent.standing()
    assert out <= silent_out
    assert out < silent_out or weight <= silent_weight * (1 + OF_A_BEAT)


@given(history=histories, tool=tools, fast_s=st.floats(0.001, 30.0), slower_s=st.floats(0.0, 30.0))
def test_a_slower_call_never_makes_a_tool_lighter(
    history: list[Act], tool: ToolSpec, fast_s: float, slower_s: float
) -> None:
    lives: list[Life] = []
    for took_s in (fast_s, fast_s + slower_s):
        life = Life(tool).live(history)
        life.now += 100.0  # however slow it is, it began after everything before was over
        begun = life.now
        if not life.board.admits(tool, begun):
            return
        ticket = life.board.begin(tool, begun)
        life.now = begun + fast_s + slower_s  # seen at the same moment
        life.board.succeed(replace(ticket, begun=life.now - took_s), life.now)
        lives.append(life)
    fast, slow = lives
    assert slow.standing() >= fast.standing()


@given(history=histories, effect=st.sampled_from(["read", "idempotent", "once"]))
def test_two_tools_with_the_same_history_stand_the_same(history: list[Act], effect: str) -> None:
    one = Life(spec("a", effect=effect)).live(history)
    other = Life(spec("z", effect=effect)).live(history)
    assert one.standing() == other.standing()


@given(history=histories)
def test_two_tools_of_one_board_with_the_same_history_stand_the_same(history: list[Act]) -> None:
    """Whatever happens to them in turn: no tool is at an advantage for having come first."""
    board = HealthBoard(Health(cool_down_s=2.0))
    first, second = Life(spec("a"), board), Life(spec("z"), board)
    for act in history:
        first.act(act)
        second.act(act)
        assert first.standing() == second.standing()


@given(history=histories, tool=tools)
def test_no_history_keeps_a_healed_tool_out_for_ever(history: list[Act], tool: ToolSpec) -> None:
    """A few calls that work, each as soon as it may be made, and it is in; a while later, it weighs as declared."""
    life = Life(tool).live(history)
    healed_at, needed = life.now, 0
    while life.board.is_open(tool, life.now) or needed == 0:
        life.now = life.board.back_at(tool, life.now)
        ticket = life.board.begin(tool, life.now)
        life.board.succeed(ticket, life.now)
        needed += 1
    while needed < MOST_PROBES:
        life.now = life.board.back_at(tool, life.now)
        life.board.succeed(life.board.begin(tool, life.now), life.now)
        needed += 1
    assert life.board.admits(tool, life.now)
    assert life.now - healed_at <= LONGEST_COOL_DOWN_S + 3.0
    life.now += 20_000.0
    declared = Life(tool).board.weight(tool, RATES, 0.0)
    assert life.board.weight(tool, RATES, life.now) == pytest.approx(declared, rel=1e-6)


def test_a_tool_that_is_back_weighs_a_quarter_more_at_first_and_that_wears_off() -> None:
    board, tool = HealthBoard(Health()), ToolSpec(ToolId("t"), cost=Cost(usd=0.01), effect="read")
    while board.admits(tool, 0.0):
        board.fail(board.begin(tool, 0.0), 0.0)
    back = board.back_at(tool, 0.0)
    board.succeed(board.begin(tool, back), back)
    weights = [board.weight(tool, RATES, back + share * back) for share in (0.0, 0.5, 1.0, 2.0)]
    assert weights == pytest.approx([12_500_000, 11_250_000, 10_000_000, 10_000_000], rel=1e-3)


@settings(max_examples=30)
@given(works=st.integers(0, 3), fails=st.integers(1, 4), before=st.integers(0, 100))
def test_a_misbehaving_tool_cannot_stay_in_by_alternating(works: int, fails: int, before: int) -> None:
    """At least half of the calls fail, in whatever rhythm, and after a hundred good ones or none: it is out soon."""
    life = Life(ToolSpec(ToolId("t"), cost=Cost(usd=0.01), effect="read"))
    life.live([Act(0.0, "work", 0.01)] * before)
    rhythm: list[Ending] = [*["work"] * min(works, fails), *["fail"] * fails]  # type: ignore[list-item]
    calls = life.calls
    while life.board.admits(life.tool, life.now):
        life.act(Act(0.0, rhythm[(life.calls - calls) % len(rhythm)], 0.01))
        assert life.calls - calls <= 12, "it is still in"


def test_a_flapping_tool_is_called_less_and_less() -> None:
    """Works whenever it is probed and fails right after: the share of time that it is in goes down."""
    life = Life(ToolSpec(ToolId("t"), cost=Cost(usd=0.01), effect="read"))
    failed: list[float] = []
    while life.now < 3600.0:
        life.now = life.board.back_at(life.tool, life.now)
        for ending in ("work", "fail", "fail", "fail"):
            if not life.board.admits(life.tool, life.now):
                break
            life.act(Act(0.0, ending, 0.01))
            failed += [life.now] if ending == "fail" else []
    first, last = (sum(begin <= at < begin + 600 for at in failed) for begin in (0, 3000))
    assert first > 5 * last


@given(history=histories, tool=tools, jump_s=st.floats(-1e9, 1e9))
def test_what_the_wall_clock_does_changes_nothing(history: list[Act], tool: ToolSpec, jump_s: float) -> None:
    """Health knows monotonic time only, and only differences of it: another origin is another name for the same."""
    moved = float(round(jump_s))
    here = Life(tool).live(history)
    there = Life(tool, now=moved).live(history)
    assert here.calls == there.calls
    out_here, _, weight_here = here.standing()
    out_there, _, weight_there = there.standing()
    assert out_there == pytest.approx(out_here, abs=1e-5)
    assert weight_there == pytest.approx(weight_here, rel=1e-3)


@given(history=histories, tool=tools, back_s=st.floats(0.0, 1e6))
def test_a_clock_that_steps_back_breaks_nothing(history: list[Act], tool: ToolSpec, back_s: float) -> None:
    """It must not happen to a monotonic clock; if it does, weights stay finite and the tool comes back."""
    life = Life(tool).live(history)
    life.now -= back_s
    weight = life.board.weight(tool, RATES, life.now)
    assert 0 < weight < 10**12
    life.live([Act(1.0, "work", 0.1)] * 3)
    assert life.board.back_at(tool, life.now) - life.now <= back_s + LONGEST_COOL_DOWN_S + 3.0


@given(history=histories, tool=tools)
def test_asking_changes_nothing(history: list[Act], tool: ToolSpec) -> None:
    asked, left_alone = Life(tool), Life(tool)
    for act in history:
        asked.standing()
        asked.board.latency(tool, asked.now)
        asked.board.factors(tool, RATES, asked.now + 1000.0)
        asked.act(act)
        left_alone.act(act)
    assert asked.standing() == left_alone.standing()
    assert asked.board.version == left_alone.board.version


# -------------------------------------------------------------------- latency, against numpy-like brute force


@given(
    values=st.lists(st.floats(0.001, 100.0), min_size=1, max_size=60),
    expected=st.floats(0.001, 100.0),
)
def test_quantiles_are_those_of_what_was_seen_and_expected(values: list[float], expected: float) -> None:
    latency = Latency()
    for value in values:
        latency.observe(value, 0.0)
    usual, most = latency.quantiles(expected, 0.0)
    known = [*values[-32:], expected]
    assert usual in known
    assert most in known
    assert min(known) <= usual <= most <= max(known)


timed = st.tuples(st.floats(0.001, 100.0), st.sampled_from([0.0, 0.5, 60.0, 4000.0, 1e6]))


@given(
    calls=st.lists(timed, max_size=40) | st.lists(timed, min_size=33, max_size=80),
    expected=st.floats(0.001, 100.0),
    slow=st.floats(0.001, 100.0) | st.none(),
    pause_s=st.sampled_from([0.0, 100.0, 1e5]),
    asks=st.booleans(),
)
def test_quantiles_equal_those_worked_out_by_definition(
    calls: list[tuple[float, float]], expected: float, slow: float | None, pause_s: float, *, asks: bool
) -> None:
    """Each call weighs 0.93 for every one after it and half for every 300 s, the declared latency one and a half.

    Whether somebody asks in between makes no difference. Of what is declared, three tenths count as slow.
    """
    latency, now, seen = Latency(300.0), 1000.0, list[tuple[float, float]]()
    for value, wait_s in calls:
        now += wait_s
        latency.observe(value, now)
        seen.append((now, value))
        if asks:
            latency.quantiles(expected, now, slow=slow)
    asked, late = float(math.floor(now + pause_s)), expected if slow is None else slow
    last = max(asked, now)
    known = [(value, 0.93**age * 2 ** ((at - last) / 300)) for age, (at, value) in enumerate(reversed(seen[-32:]))]
    known = sorted([*known, (expected, 1.5 * 0.7), (late, 1.5 * 0.3)])
    total = sum(weight for _, weight in known)
    answer = latency.quantiles(expected, now + pause_s, slow=slow)
    assert seen or answer == (expected, late)
    for share, found in zip((0.5, 0.8), answer, strict=True):
        below = sum(weight for value, weight in known if value < found) / total
        up_to = sum(weight for value, weight in known if value <= found) / total
        assert not seen or below - 1e-9 <= share <= up_to + 1e-9


@given(declared=st.floats(0.01, 10.0), factor=st.floats(1.5, 100.0))
def test_two_slow_calls_are_believed_and_one_is_not(declared: float, factor: float) -> None:
    latency = Latency()
    latency.observe(declared * factor, 0.0)
    assert latency.quantiles(declared, 0.0)[0] == declared
    latency.observe(declared * factor, 0.0)
    assert latency.quantiles(declared, 0.0)[0] == declared * factor


def test_one_call_in_a_hundred_that_hangs_does_not_move_the_median() -> None:
    latency = Latency()
    for call in range(300):
        latency.observe(30.0 if call % 100 == 50 else 0.1, float(call))
        assert latency.quantiles(0.1, float(call))[0] == 0.1


# -------------------------------------------------------------------- rate limits


def test_what_is_left_of_a_limit_weighs_more_the_less_it_is_and_then_shuts() -> None:
    board, tool = HealthBoard(Health()), spec()
    board.succeed(board.begin(tool, 0.0), 0.0, said=Headroom(left=30, limit=100, resets_in_s=60.0))
    weights: list[int] = []
    for _ in range(30):
        assert board.admits(tool, 1.0)
        weights.append(board.weight(tool, RATES, 1.0))
        board.forget(board.begin(tool, 1.0))
    assert weights == sorted(weights)
    assert weights[0] < weights[-1] / 4
    assert not board.admits(tool, 59.9)
    assert board.back_at(tool, 1.0) == 60.0
    assert board.admits(tool, 60.0)
    assert board.weight(tool, RATES, 60.0) == pytest.approx(weights[0], rel=0.02)


pauses = st.sampled_from([0.0, 0.5, 5.0]) | st.floats(0.0, 100.0)
words = st.builds(
    Headroom,
    left=st.floats(0.0, 20.0),
    limit=st.floats(0.0, 20.0),
    resets_in_s=st.floats(0.0, 100.0),
    refill_per_s=st.sampled_from([0.0, 1.0]),
)


@given(st.lists(st.tuples(pauses, words | st.floats(-10.0, 100.0) | st.none()), max_size=20), pauses)
def test_a_limit_that_does_not_count_any_more_neither_weighs_nor_shuts(
    life: list[tuple[float, Headroom | float | None]], pause_s: float
) -> None:
    limit, now = RateLimit(), 0.0
    for passed_s, said in life:
        now += passed_s
        if isinstance(said, Headroom):
            limit.heard(said, now)
        elif said is None:
            limit.begin(now)
        else:
            limit.wait(now + said)
    now += pause_s
    if now >= limit.counts_until:
        assert limit.factor(now) == 1.0
        assert limit.opens_at(now) <= now
        assert not limit.begin(now)


def test_who_refuses_again_and_again_without_saying_for_how_long_is_asked_less_and_less_until_a_call_works() -> None:
    board, tool, now, waits = HealthBoard(Health()), spec(), 0.0, list[float]()
    for _ in range(14):
        tickets = [board.begin(tool, now) for _ in range(3)]
        for ticket in tickets:
            board.fail(ticket, now + 0.1, rate_limited=True)
        waits.append(board.back_at(tool, now + 0.1) - now - 0.1)
        now += 0.1 + waits[-1]
    assert waits == pytest.approx([0.05 * 2**n for n in range(11)] + [60.0] * 3), "of calls at the same time one counts"
    board.fail(board.begin(tool, now), now + 0.1, rate_limited=True, retry_after_s=7.0)
    assert board.back_at(tool, now + 0.1) == now + 7.1, "who says for how long is believed"
    now += 8.0
    board.succeed(board.begin(tool, now), now + 0.1)
    board.fail(board.begin(tool, now), now + 0.1, rate_limited=True)
    assert board.back_at(tool, now + 0.1) == pytest.approx(now + 0.15)


@given(st.lists(st.tuples(pauses, st.booleans()), max_size=40))
def test_a_retry_budget_is_the_token_bucket_it_says_it_is(calls: list[tuple[float, bool]]) -> None:
    budget, tokens, now = RetryBudget(reserve=3, share=0.2), 3.0, 0.0
    for passed_s, again in calls:
        now += passed_s
        tokens = min(3.0, tokens + passed_s * 3 / REFILL_S)
        assert budget.allows(now) == (tokens >= 1) or abs(tokens - 1) < 1e-6
        tokens = max(0.0, min(3.0, tokens + 0.2 - again))
        budget.spend(now, again=again)


# -------------------------------------------------------------------- calls that are refused for good


def refused_until_out(board: HealthBoard, tool: ToolSpec, now: float) -> int:
    calls = 0
    while board.admits(tool, now) and calls < 1_000:
        board.refuse(board.begin(tool, now), now)
        calls += 1
    return calls


@pytest.mark.parametrize(("works", "refuses", "expected"), [(0, 0, 13), (50, 0, 10), (50, 1, 10), (50, 4, 32)])
def test_what_refuses_all_is_out_and_what_refuses_most_by_habit_is_given_more(
    works: int, refuses: int, expected: int
) -> None:
    """Eight may be chance, of a tool of which nothing is known; from the eighth on, each counts as a failure."""
    board, tool = HealthBoard(Health()), spec()
    for _ in range(works):
        for _ in range(refuses):
            before = board.weight(tool, RATES, 0.0)
            board.refuse(board.begin(tool, 0.0), 0.0)
            assert board.weight(tool, RATES, 0.0) <= before
        board.succeed(board.begin(tool, 0.0), 1.0)
    assert refused_until_out(board, tool, 1.0) == expected
    back = board.back_at(tool, 1.0)
    board.refuse(board.begin(tool, back), back)
    assert board.back_at(tool, back) == back + 10.0, "a probe that is refused as well has failed"
    back += 10.0
    while board.is_open(tool, back) or board.is_on_probation(tool):
        board.succeed(board.begin(tool, back), back)
    board.refuse(board.begin(tool, back), back)
    assert board.admits(tool, back), "that is one again"


def test_a_provider_is_out_when_all_of_its_tools_refuse_all_and_not_for_one_of_them() -> None:
    board, bad, good = HealthBoard(Health()), spec("bad", provider="p"), spec("good", provider="p")
    for call in range(200):
        for tool, ends in ((bad, board.refuse), (good, board.succeed)):
            if board.admits(tool, float(call)):
                ends(board.begin(tool, float(call)), float(call))
    assert board.is_on_probation(bad)
    assert not board.is_on_probation(good)
    for call in range(200, 230):
        board.refuse(board.begin(good, float(call)), float(call))
    assert board.is_open(good, 229.0)


@given(rows=st.lists(st.integers(0, 30), max_size=60), last=st.integers(0, 300))
def test_a_row_of_refusals_is_held_against_how_often_one_followed_another(rows: list[int], last: int) -> None:
    refusals = Refusals()
    for row in rows:
        for _ in range(row):
            refusals.refuse()
        if row:
            refusals.end()
    every, again = 0.0, 0.0
    for row in filter(None, rows):
        every, again = every + row, again + row - 1
        every, again = min(every, 200.0), again * min(1.0, 200.0 / every)
    told = [refusals.refuse() for _ in range(last)]
    chance = max(0.3, (3.0 + again) / (10.0 + every))
    assert told == sorted(told)
    assert not any(told[:7])
    for number, too_many in enumerate(told, start=1):
        assert too_many == (chance**number <= 1e-4) or chance**number == pytest.approx(1e-4)


# -------------------------------------------------------------------- monitors

signals = st.builds(
    HealthSignal,
    subject=st.just("t"),
    kind=st.sampled_from(sorted(PRIORITIES)),
    monitor=st.sampled_from(["m1", "m2", "m3"]),
    factor=st.just(1.0) | st.floats(0.01, 100.0),
    at=st.floats(0.0, 100.0),
    fresh_s=st.floats(0.1, 100.0),
)


@given(said=st.lists(signals, max_size=8, unique_by=lambda s: s.monitor), now=st.floats(0.0, 200.0), data=st.data())
def test_which_signal_counts_does_not_depend_on_their_order(
    said: list[HealthSignal], now: float, data: st.DataObject
) -> None:
    winner = foremost(said, now)
    assert foremost(data.draw(st.permutations(said)), now) == winner
    fresh = [signal for signal in said if now - signal.at < signal.fresh_s]
    assert (winner is None) == (not fresh)
    moving = [signal for signal in fresh if signal.factor != 1]
    assert winner is None or PRIORITIES[winner.kind] == max(PRIORITIES[signal.kind] for signal in moving or fresh)


@given(said=st.lists(signals, max_size=8, unique_by=lambda s: s.monitor), now=st.floats(0.0, 100.0))
def test_who_finds_a_tool_well_outranks_nobody_and_takes_back_what_they_said_themselves(
    said: list[HealthSignal], now: float
) -> None:
    board, without, tool = HealthBoard(Health()), HealthBoard(Health()), ToolSpec(ToolId("t"), cost=Cost(usd=0.01))
    for each in (board, without):
        each.know([tool])
        for signal in said:
            each.signal(replace(signal, at=now), now)
    weight = without.weight(tool, RATES, now)
    board.signal(HealthSignal("t", "outage", "probe", factor=1.0, at=now), now)
    assert board.weight(tool, RATES, now) == weight
    board.signal(HealthSignal("t", "outage", "probe", factor=10.0, at=now), now)
    board.signal(HealthSignal("t", "outage", "probe", factor=1.0, at=now), now)
    assert board.weight(tool, RATES, now) == weight


@given(signal=signals)
def test_the_word_of_a_monitor_that_died_fades_to_nothing(signal: HealthSignal) -> None:
    board, tool = HealthBoard(Health()), spec()
    board.know([tool])
    before = board.weight(tool, RATES, signal.at)
    board.signal(signal, signal.at)
    gaps = [
        abs(board.weight(tool, RATES, signal.at + age * signal.fresh_s) - before) for age in (0.0, 0.3, 0.6, 0.9, 1.0)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] == 0


@given(said=st.lists(signals, max_size=10))
def test_no_monitor_can_take_a_tool_out_or_bring_one_back(said: list[HealthSignal]) -> None:
    board, tool = HealthBoard(Health(trip_after=1)), ToolSpec(ToolId("t"), cost=Cost(usd=0.01))
    board.know([tool])
    for signal in said:
        board.signal(signal, 100.0)
    assert board.admits(tool, 100.0)
    board.fail(board.begin(tool, 100.0), 100.0)
    for signal in said:
        board.signal(replace(signal, at=101.0), 101.0)
    assert not board.admits(tool, 101.0)


def test_a_call_that_works_outranks_a_probe_that_does_not() -> None:
    board, tool = HealthBoard(Health()), spec()
    board.know([tool])
    before = board.weight(tool, RATES, 0.0)
    board.signal(HealthSignal("t", "outage", "probe", "no answer", factor=10.0, at=1.0), 1.0)
    assert board.weight(tool, RATES, 1.0) == pytest.approx(10 * before, rel=0.01)
    assert board.factors(tool, RATES, 1.0).monitor == "probe: no answer"
    board.succeed(board.begin(tool, 2.0), 2.0)
    assert board.weight(tool, RATES, 2.0) <= before
    board.signal(HealthSignal("t", "outage", "probe", "no answer", factor=10.0, at=3.0), 3.0)
    assert board.weight(tool, RATES, 3.0) <= before, "it sees what it saw before, and calls do not meet it"
    board.signal(HealthSignal("t", "outage", "probe", "answered", factor=1.0, at=4.0), 4.0)
    board.signal(HealthSignal("t", "outage", "probe", "no answer", factor=10.0, at=5.0), 5.0)
    assert board.weight(tool, RATES, 5.0) > 5 * before, "that is another outage"


def test_a_call_from_before_a_probe_saw_an_outage_says_nothing_about_it() -> None:
    board, tool = HealthBoard(Health()), spec()
    board.know([tool])
    before, under_way = board.weight(tool, RATES, 0.0), board.begin(tool, 0.5)
    board.signal(HealthSignal("t", "outage", "probe", "no answer", factor=10.0, at=1.0), 1.0)
    board.succeed(under_way, 1.5)
    assert board.weight(tool, RATES, 1.5) > 5 * before


@given(every_s=st.floats(0.5, 20.0), effect=st.sampled_from(["read", "idempotent", "once"]))
def test_a_probe_that_is_wrong_keeps_a_tool_out_for_no_longer_than_a_breaker(every_s: float, effect: str) -> None:
    """Unless its calls must not be made twice: nobody experiments with those."""
    board, tool, now = HealthBoard(Health()), spec(effect=effect), 0.0
    board.know([tool])
    before, tried_at = board.weight(tool, RATES, 0.0), list[float]()
    while now < 3 * LONGEST_COOL_DOWN_S:
        board.signal(HealthSignal("t", "outage", "probe", factor=10.0, at=now, fresh_s=60.0), now)
        if board.weight(tool, RATES, now) <= 3 * before:  # else others are cheaper
            tried_at.append(now)
            board.succeed(board.begin(tool, now), now)
        now += every_s
    if effect == "once":
        assert not tried_at
    else:
        assert LONGEST_COOL_DOWN_S - 1e-3 <= tried_at[0] <= LONGEST_COOL_DOWN_S + every_s
        assert len(tried_at) >= (2 * LONGEST_COOL_DOWN_S - every_s) / every_s - 1, "from then on it is not believed"


def test_a_signal_that_was_overtaken_on_its_way_does_not_count() -> None:
    board, tool = HealthBoard(Health()), spec()
    board.know([tool])
    board.signal(HealthSignal("t", "outage", "probe", factor=1.0, at=5.0), 5.0)
    before = board.weight(tool, RATES, 6.0)
    board.signal(HealthSignal("t", "outage", "probe", factor=10.0, at=4.0), 6.0)
    assert board.weight(tool, RATES, 6.0) == before


def test_monitors_that_name_themselves_anew_each_time_do_not_pile_up() -> None:
    """What has faded is forgotten first, then what is oldest; what counts still counts."""
    board, tool = HealthBoard(Health()), spec()
    board.know([tool])
    before = board.weight(tool, RATES, 0.0)
    standing = board.standing_of(Subject("tool", tool.name))
    assert standing is not None
    for number in range(1_000):
        now = float(number)
        board.signal(HealthSignal("t", "outage", f"incident {number}", factor=10.0, at=now), now)
        assert len(standing.signals) <= MOST_MONITORS
        assert standing.down_since.keys() == standing.signals.keys()
        assert board.weight(tool, RATES, now) == pytest.approx(10 * before, rel=0.01)
    board.signal(HealthSignal("t", "outage", "last", factor=5.0, at=2_000.0), 2_000.0)
    assert list(standing.signals) == ["last"], "all others have faded"


@pytest.mark.parametrize("at", [1.7e9, math.inf], ids=["by the wall clock", "left out"])
def test_a_word_from_the_future_was_said_when_it_came(at: float) -> None:
    """Else it would never fade, and nothing that the monitor says at the right time would count any more."""
    board, tool = HealthBoard(Health()), spec()
    board.know([tool])
    before = board.weight(tool, RATES, 5.0)
    board.signal(HealthSignal("t", "outage", "page", factor=10.0, at=at), 5.0)
    assert board.weight(tool, RATES, 5.0) > 5 * before
    assert board.weight(tool, RATES, 66.0) == before, "it has faded"
    board.signal(HealthSignal("t", "outage", "page", factor=10.0, at=at), 70.0)
    board.signal(HealthSignal("t", "outage", "page", factor=1.0, at=71.0), 71.0)
    assert board.weight(tool, RATES, 71.0) == before


def test_a_word_of_no_moment_is_refused() -> None:
    with pytest.raises(DefinitionError, match="at must be a number"):
        HealthSignal("t", "outage", "page", at=math.nan)


# -------------------------------------------------------------------- the last way


def test_the_last_of_several_ways_is_called_every_second_however_long_its_cool_down() -> None:
    one, two = spec("a"), spec("b")
    board = HealthBoard(Health(cool_down_s=60.0), alternatives={one.name: (two,), two.name: (one,)})
    for tool, at in ((one, 0.0), (two, 1.0)):
        while board.admits(tool, at):
            board.fail(board.begin(tool, at), at)
        assert not board.admits(tool, at)
    assert [board.admits(one, at) for at in (1.5, 2.0)] == [True, True], "the one that would be back first"
    assert not board.admits(two, 2.0)
    probe = board.begin(one, 2.0)
    assert not board.admits(one, 2.0), "one at a time"
    board.succeed(probe, 2.1)
    assert board.admits(one, 2.1)


def breakdown(board: HealthBoard, tool: ToolSpec, now: float) -> None:
    while board.admits(tool, now):
        board.fail(board.begin(tool, now), now)


def test_the_only_way_there_is_is_called_every_second_however_long_its_cool_down() -> None:
    tool = spec()
    board = HealthBoard(Health(cool_down_s=60.0), alternatives={tool.name: ()})
    breakdown(board, tool, 0.0)
    assert [board.admits(tool, at) for at in (0.0, 0.9, 1.0)] == [False, False, True]
    assert board.back_at(tool, 0.0) == 1.0
    assert board.weight(tool, RATES, 1.0) > 15 * board.weight(tool, RATES, 1e6), "there may be other ways to the goal"
    calls = 0
    for tenths in range(10, 610):
        if board.admits(tool, tenths / 10):
            board.fail(board.begin(tool, tenths / 10), tenths / 10)
            calls += 1
    assert calls == 60, "once a second, all runs together"


@pytest.mark.parametrize("effect", ["read", "once"])
def test_the_way_that_breakers_alone_shut_is_the_last_one_if_all_others_may_not_be_called(effect: str) -> None:
    """Asked to wait for an hour, or put aside: what is left is what nobody has forbidden; but no experiments."""
    one, two, three = spec("a", effect=effect), spec("b"), spec("c")
    board = HealthBoard(
        Health(cool_down_s=60.0),
        alternatives={one.name: (two, three), two.name: (one, three), three.name: (one, two)},
    )
    breakdown(board, one, 0.0)
    board.quarantine(three.name, "it charged too much")
    assert not board.admits(one, 1.0), "there is another way"
    board.fail(board.begin(two, 0.0), 0.0, rate_limited=True, retry_after_s=1.5)
    assert not board.admits(one, 1.0), "there will be another way in half a second"
    board.fail(board.begin(two, 1.5), 1.5, rate_limited=True, retry_after_s=3600.0)
    assert board.admits(one, 2.0) == (effect == "read")
    assert board.back_at(one, 2.0) == (2.0 if effect == "read" else 60.0)
    assert not board.admits(two, 2.0)


def test_what_must_not_be_done_twice_is_not_called_early_because_there_is_nothing_else() -> None:
    tool = spec(effect="once")
    board = HealthBoard(Health(cool_down_s=60.0), alternatives={tool.name: ()})
    breakdown(board, tool, 0.0)
    assert not board.admits(tool, 59.0)
    assert board.back_at(tool, 0.0) == 60.0


def test_what_is_no_way_to_anything_is_not_the_last_one() -> None:
    board, tool = HealthBoard(Health(cool_down_s=60.0), alternatives={}), spec()
    breakdown(board, tool, 0.0)
    assert not board.admits(tool, 59.0)
    assert board.back_at(tool, 0.0) == 60.0


ways = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([0.0, 0.3, 1.0, 5.0, 30.0, 400.0]),
        st.sampled_from(["work", "fail", "fail", "fail", "limit", "forget", "aside"]),
    ),
    max_size=60,
)


@given(game=ways, count=st.integers(1, 3))
def test_of_all_ways_to_something_one_can_be_called_within_a_second(
    game: list[tuple[int, float, str]], count: int
) -> None:
    """Unless all are asked to wait or put aside. And none is called again within a second of a call that failed."""
    specs = [spec(name) for name in "abc"[:count]]
    board = HealthBoard(
        Health(cool_down_s=2.0), alternatives={s.name: tuple(o for o in specs if o is not s) for s in specs}
    )
    board.know(specs)
    now, last = 0.0, dict[ToolId, float]()
    for which, pause_s, ending in game:
        now, tool = now + pause_s, specs[which % count]
        if ending == "aside":
            board.quarantine(tool.name, "too dear")
        elif board.admits(tool, now):
            if board.is_open(tool, now):
                assert now - last.get(tool.name, -math.inf) >= 1.0 - 1e-6
            last[tool.name] = now if ending == "fail" else -math.inf
            Life(tool, board, now).end(board.begin(tool, now), ending)  # pyright: ignore[reportArgumentType]
        standings = [(each, board.standing_of(Subject("tool", each.name))) for each in specs]
        free = [
            each
            for each, standing in standings
            if each.name not in board.quarantined and standing is not None and now >= standing.limit.opens_at(now)
        ]
        assert not free or min(board.back_at(each, now) for each in free) <= now + 1.0
        later = now + 1.0
        assert not free or any(board.admits(each, later) for each in free)


# -------------------------------------------------------------------- half-open


def half_open(effect: str = "read") -> tuple[HealthBoard, ToolSpec, float]:
    board, tool = HealthBoard(Health()), spec(effect=effect)
    breakdown(board, tool, 0.0)
    return board, tool, board.back_at(tool, 0.0)


def test_a_probe_that_ends_without_a_word_leaves_its_place_to_the_next() -> None:
    board, tool, now = half_open()
    probe = board.begin(tool, now)
    assert not board.admits(tool, now + 0.1)
    board.forget(probe)
    assert board.admits(tool, now + 0.1)


def test_a_half_open_tool_weighs_as_if_the_outage_were_over_unless_it_must_be_called_once() -> None:
    for effect in ("read", "idempotent", "once"):
        board, tool, now = half_open(effect=effect)
        habit = HealthBoard(Health()).weight(tool, RATES, now)
        weight = board.weight(tool, RATES, now)
        assert (weight > 1.2 * habit) if effect == "once" else (weight <= 1.01 * habit)


def test_the_breaker_of_its_provider_keeps_a_tool_out() -> None:
    board, one, other = HealthBoard(Health()), spec("a", provider="p"), spec("b", provider="p")
    breakdown(board, one, 0.0)
    assert board.is_open(other, 0.0)
    assert not board.admits(other, 0.0)


def test_a_retry_takes_from_the_budget_of_its_provider_and_a_first_call_does_not() -> None:
    board = HealthBoard(Health(retry_reserve=2, retry_share=0.0))
    one, other = spec("a", provider="p"), spec("b", provider="p")
    for _ in range(5):
        board.forget(board.begin(one, 0.0))
        assert board.admits_retry(other, 0.0)
    for left in (True, False):
        board.forget(board.begin(one, 0.0, again=True))
        assert board.admits_retry(other, 0.0) == left


# -------------------------------------------------------------------- calls under way


def test_a_call_that_has_been_under_way_for_long_counts_before_it_ends() -> None:
    """What run A waits for in vain, run B avoids, long before A's time is up."""
    board, tool = HealthBoard(Health()), spec()
    before = board.weight(tool, RATES, 0.0)
    ticket = board.begin(tool, 0.0)
    assert board.weight(tool, RATES, 4.9) == before
    assert board.weight(tool, RATES, 5.1) > 1.3 * before
    board.succeed(ticket, 5.2)
    assert board.weight(tool, RATES, 5.2) <= before


def crowd(served: int, refused: int) -> tuple[HealthBoard, ToolSpec, list[Ticket]]:
    """So many calls at the same moment, of which some have been refused; those that are served are under way."""
    board, tool = HealthBoard(Health()), spec()
    tickets = [board.begin(tool, 0.0) for _ in range(served + refused)]
    for ticket in tickets[served:]:
        board.fail(ticket, 0.02)
    return board, tool, tickets[:served]


@given(served=st.integers(1, 20), refused=st.integers(6, 50))
def test_a_tool_that_refuses_some_calls_and_serves_others_is_crowded_and_not_out(served: int, refused: int) -> None:
    board, tool, under_way = crowd(served, refused)
    assert board.is_open(tool, 0.1)
    board.succeed(under_way[0], 0.2)
    assert not board.is_open(tool, 0.2)
    for ticket in under_way[1:]:
        board.succeed(ticket, 0.3)
    calls = 0
    while board.admits(tool, 0.3) and calls < 1_000:
        board.begin(tool, 0.3)
        calls += 1
    assert served <= calls <= served + 1


def test_a_call_from_before_the_first_that_failed_says_nothing_of_an_outage() -> None:
    board, tool = HealthBoard(Health()), spec()
    early = board.begin(tool, 0.0)
    for _ in range(6):
        board.fail(board.begin(tool, 0.1), 0.12)
    board.succeed(early, 0.2)
    assert board.is_open(tool, 0.2)


# -------------------------------------------------------------------- calls that overlap


@dataclass(frozen=True)
class Move:
    """Some time passes, then a call begins, or one of those under way ends."""

    pause_s: float
    tool: int
    ends: Ending | None
    which: int


moves = st.builds(
    Move,
    pause_s=st.sampled_from([0.0, 0.1, 1.0, 5.0, 30.0]),
    tool=st.integers(0, 1),
    ends=st.sampled_from([None, None, None, "work", "fail", "hang", "refuse", "forget"]),
    which=st.integers(0, 9),
)


def play(tools: list[ToolSpec], game: list[Move], last: Ending) -> tuple[float, bool, float] | None:
    """How a tool stands after all that, once the oldest call under way has ended like this."""
    lives, flying = [Life(tool, HealthBoard(Health(cool_down_s=2.0))) for tool in tools], list[tuple[Life, Ticket]]()
    for life in lives:
        life.board = lives[0].board
    now = 0.0
    for move in game:
        now += move.pause_s
        for life in lives:
            life.now = now
        life = lives[move.tool % len(lives)]
        if move.ends is None and life.board.admits(life.tool, now):
            flying.append((life, life.board.begin(life.tool, now)))
        elif move.ends is not None and flying:
            life, ticket = flying.pop(move.which % len(flying))
            life.end(ticket, move.ends)
    if not flying:
        return None
    life, ticket = flying[0]
    life.end(ticket, last)
    return life.standing()


@settings(max_examples=300)
@given(
    game=st.lists(moves, min_size=2, max_size=40),
    tools=st.sampled_from([[spec()], [spec(effect="once")], [spec("a", provider="p"), spec("b", provider="p")]]),
    ending=st.sampled_from(["fail", "hang", "refuse"]),
)
def test_bad_behaviour_never_improves_a_standing_whatever_else_is_under_way(
    game: list[Move], tools: list[ToolSpec], ending: Ending
) -> None:
    """A call that hangs until it is given up must not make anybody more patient with those that still hang."""
    bad, silent = play(tools, game, ending), play(tools, game, "forget")
    assert (bad is None) == (silent is None)
    assert bad is None or silent is None or bad >= silent


def test_calls_that_hang_are_overdue_although_one_of_them_was_given_up() -> None:
    board, tool = HealthBoard(Health()), spec()
    board.succeed(board.begin(tool, 0.0), 1.0)
    given_up, others = board.begin(tool, 2.0), [board.begin(tool, 4.0) for _ in range(3)]
    p_fail = board.factors(tool, RATES, 12.0).p_fail
    assert p_fail > 0.6
    board.fail(given_up, 12.0, timed_out=True)
    assert board.factors(tool, RATES, 12.0).p_fail >= p_fail - 1e-9
    assert board.overdue_after(tool, 12.0) == 5.0
    board.succeed(others[0], 13.0)
    overdue_s = board.overdue_after(tool, 13.0)
    assert overdue_s is not None
    assert overdue_s > 25.0, "it does answer, if late"
