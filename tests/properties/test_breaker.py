"""Laws of the circuit breaker and of the weights that health gives."""

import math
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentroute.graph.cost import Cost, Rates
from agentroute.graph.tool import ToolSpec
from agentroute.guard.breaker import LONGEST_COOL_DOWN_S, MOST_PROBES, Breaker
from agentroute.ids import ToolId
from agentroute.routing.board import HealthBoard
from agentroute.routing.health import Health

Move = tuple[str, int]


@dataclass
class History:
    """What happened to a breaker, told by the calls alone: it opens at the `trip_after`th failure in a row."""

    breaker: Breaker
    trip_after: int
    now: float = 0.0
    under_way: list[tuple[int, int, float]] = field(default_factory=list[tuple[int, int, float]])
    """Generation, changes seen, and begin of each call."""
    changes: int = 0
    in_a_row: int = 0

    def move(self, what: str, number: int) -> None:
        if what == "wait":
            self.now += number / 4
        elif what == "begin":
            if self.breaker.admits(self.now):
                self.under_way.append((self.breaker.begin(self.now), self.changes, self.now))
        elif self.under_way:
            self.end(what, *self.under_way.pop(number % len(self.under_way))[:2])

    def end(self, what: str, generation: int, changes: int) -> None:
        before = self.breaker.opened_at
        timely = changes == self.changes
        if what == "succeed":
            self.breaker.succeed(generation, self.now)
            self.in_a_row = 0 if timely else self.in_a_row
        elif what == "fail":
            self.in_a_row += timely
            self.breaker.fail(generation, self.now, too_many=self.in_a_row >= self.trip_after)
        else:
            self.breaker.forget(generation)
        if self.breaker.opened_at != before or (what == "fail" and timely and before is not None):
            self.changes += 1
            self.in_a_row = 0

    def probes(self) -> int:
        """Probes under way that still hold their place."""
        if self.breaker.opened_at is None:
            return 0
        left = self.breaker.cool_down()
        return sum(changes == self.changes and self.now < begun + left for _, changes, begun in self.under_way)


moves = st.lists(
    st.tuples(st.sampled_from(["wait", "begin", "succeed", "fail", "fail", "forget"]), st.integers(0, 40)), max_size=60
)


@given(moves=moves, trip_after=st.integers(1, 4))
def test_what_holds_of_every_breaker_at_every_moment(moves: list[Move], trip_after: int) -> None:
    history = History(Breaker(cool_down_s=2.0), trip_after)
    breaker = history.breaker
    for what, number in moves:
        before = (breaker.state(history.now), history.in_a_row)
        history.move(what, number)
        state = breaker.state(history.now)
        assert history.probes() <= 1, "one probe at a time"
        if state == "open":
            assert not breaker.admits(history.now)
            assert history.now < breaker.reopens_at() <= history.now + LONGEST_COOL_DOWN_S
        if before[0] == "closed" and state == "open":
            assert (what, before[1] + 1) >= ("fail", trip_after), "it opens after so many failures in a row"
        if state == "half-open" and what != "forget":
            assert breaker.admits(history.now) == (not history.probes())


@given(failures=st.integers(1, 5000), cool_down_s=st.floats(0.0, 400.0))
def test_the_cool_down_grows_up_to_its_bound_however_long_a_tool_stays_dead(failures: int, cool_down_s: float) -> None:
    breaker = Breaker(cool_down_s, ejections=failures, opened_at=0.0)
    assert cool_down_s <= breaker.reopens_at() <= max(cool_down_s, LONGEST_COOL_DOWN_S)
    shorter = Breaker(cool_down_s, ejections=max(1, failures - 1), opened_at=0.0)
    assert shorter.reopens_at() <= breaker.reopens_at()


@given(moves=moves)
def test_no_history_keeps_a_healed_tool_out_for_ever(moves: list[Move]) -> None:
    """Whatever has happened: three calls that work, each made as soon as it may be, and it is in."""
    history = History(Breaker(cool_down_s=2.0), trip_after=1)
    breaker = history.breaker
    for move in moves:
        history.move(*move)
    history.under_way.clear()  # these never come back
    healed_at, calls = history.now, 0
    while breaker.opened_at is not None:
        history.now = max(history.now, breaker.reopens_at())
        if not breaker.admits(history.now):
            history.now += breaker.cool_down()  # for the probe that never comes back
        assert breaker.admits(history.now)
        breaker.succeed(breaker.begin(history.now), history.now)
        calls += 1
    assert calls <= MOST_PROBES
    assert history.now - healed_at <= 2 * LONGEST_COOL_DOWN_S


@given(up_s=st.floats(0.0, 20.0))
def test_going_up_and_down_keeps_a_tool_out_longer_and_longer(up_s: float) -> None:
    """However soon it fails again after it has come back (within ten cool-downs), it is out for twice as long."""
    breaker, now, outs = Breaker(cool_down_s=2.0), 0.0, list[float]()
    for _ in range(12):
        breaker.fail(breaker.begin(now), now, too_many=True)
        outs.append(breaker.cool_down())
        while breaker.opened_at is not None:
            now = breaker.reopens_at()
            breaker.succeed(breaker.begin(now), now)
        now += min(up_s, 10 * 2.0 - 0.001)
    assert outs == [min(2.0 * 2**n, LONGEST_COOL_DOWN_S) for n in range(12)]


def test_good_conduct_is_rewarded() -> None:
    """It has to stay in for ten cool-downs, and for as long as it was out."""
    for was_out_s, long in ((5.0, 20.0), (100.0, 100.0)):
        breaker = Breaker(cool_down_s=2.0, ejections=4, closed_at=0.0, was_out_s=was_out_s)
        soon = replace(breaker)
        soon.fail(soon.begin(long - 1), long - 1, too_many=True)
        breaker.fail(breaker.begin(long + 1), long + 1, too_many=True)
        assert (soon.cool_down(), breaker.cool_down()) == (32.0, 2.0)


def test_a_probe_that_hangs_holds_its_place_for_one_cool_down() -> None:
    breaker = Breaker(cool_down_s=2.0)
    breaker.fail(breaker.begin(0.0), 0.0, too_many=True)
    breaker.begin(2.0)
    assert (breaker.admits(3.9), breaker.admits(4.0)) == (False, True)


def test_an_outcome_from_before_the_breaker_opened_says_nothing() -> None:
    breaker = Breaker(cool_down_s=2.0)
    early, tripping = breaker.begin(0.0), breaker.begin(0.0)
    breaker.fail(tripping, 1.0, too_many=True)
    breaker.succeed(early, 1.0)
    assert breaker.state(1.0) == "open"
    probe = breaker.begin(3.0)
    breaker.fail(early, 3.0, too_many=True)
    breaker.forget(early)
    assert not breaker.admits(3.0)
    breaker.succeed(probe, 3.0)
    assert breaker.state(3.0) == "closed"


# -------------------------------------------------------------------- weights


def spec(**options: object) -> ToolSpec:
    return ToolSpec(ToolId("t"), cost=Cost(usd=0.01, risk=0.1), **options)  # pyright: ignore[reportArgumentType]


outcomes = st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=40)


def lived(calls: list[tuple[bool, float]], *, health: Health | None = None) -> tuple[HealthBoard, float]:
    """A board after so many calls, each some seconds after the other."""
    board, now = HealthBoard(health or Health(trip_after=1000)), 0.0
    for worked, pause in calls:
        now += pause
        ticket = board.begin(spec(), now)
        board.succeed(ticket, now) if worked else board.fail(ticket, now)
    return board, now


@given(calls=outcomes)
def test_a_weight_is_finite_and_never_below_the_price(calls: list[tuple[bool, float]]) -> None:
    board, now = lived(calls)
    weight = board.weight(spec(), Rates(), now)
    assert isinstance(weight, int)
    assert 10_000_000 <= weight < 10_000_000 * 21


@given(calls=outcomes, worked=st.booleans())
def test_a_failure_makes_a_tool_weigh_more_and_a_success_no_more(
    calls: list[tuple[bool, float]],
    worked: bool,  # noqa: FBT001  # drawn
) -> None:
    board, now = lived(calls)
    before = board.weight(spec(), Rates(), now)
    ticket = board.begin(spec(), now)
    board.succeed(ticket, now) if worked else board.fail(ticket, now)
    after = board.weight(spec(), Rates(), now)
    assert after <= before if worked else after >= before


@given(calls=outcomes)
def test_what_was_learned_fades(calls: list[tuple[bool, float]]) -> None:
    board, now = lived(calls)
    declared = HealthBoard(Health()).weight(spec(), Rates(), 0.0)
    gaps = [abs(board.weight(spec(), Rates(), now + age) - declared) for age in (300.0, 3000.0, 30_000.0)]
    assert gaps == sorted(gaps, reverse=True)  # from when the burst has faded, and habit is what is left
    assert gaps[-1] <= 1


@given(calls=outcomes, now=st.floats(0, 1000))
def test_asking_about_a_tool_changes_nothing(calls: list[tuple[bool, float]], now: float) -> None:
    asked, at = lived(calls)
    left_alone, _ = lived(calls)
    for _ in range(3):
        asked.weight(spec(), Rates(), at)
        asked.admits(spec(), at)
        asked.back_at(spec(), at)
    later = at + now
    assert asked.weight(spec(), Rates(), later) == pytest.approx(left_alone.weight(spec(), Rates(), later), abs=1)
    assert asked.version == left_alone.version


def test_tools_of_one_provider_are_judged_by_the_worse_record() -> None:
    board = HealthBoard(Health(trip_after=3))
    one = ToolSpec(ToolId("t"), cost=Cost(usd=0.01), provider="p")
    two = replace(one, name=ToolId("u"))
    before = board.weight(two, Rates(), 0.0)
    for _ in range(3):
        board.fail(board.begin(one, 0.0), 0.0)
    assert board.weight(two, Rates(), 0.0) > before
    assert not board.admits(two, 0.0)
    assert board.back_at(two, 0.0) == 5.0


def test_a_request_to_wait_is_no_mark_against_a_tool() -> None:
    board = HealthBoard(Health(trip_after=1))
    before = board.weight(spec(), Rates(), 0.0)
    board.fail(board.begin(spec(), 0.0), 0.0, retry_after_s=7.0, rate_limited=True)
    assert (board.admits(spec(), 6.9), board.admits(spec(), 7.0)) == (False, True)
    assert board.weight(spec(), Rates(), 0.0) == before
    assert math.isclose(board.back_at(spec(), 0.0), 7.0)


def test_a_longer_wait_is_not_shortened_by_a_later_answer() -> None:
    board = HealthBoard(Health())
    first, second = board.begin(spec(), 0.0), board.begin(spec(), 0.0)
    board.fail(first, 0.0, retry_after_s=60.0, rate_limited=True)
    board.fail(second, 1.0, retry_after_s=1.0, rate_limited=True)
    assert board.back_at(spec(), 1.0) == 60.0


def test_a_breaker_that_reopens_a_rounding_error_later_lets_one_probe_through_not_two() -> None:
    breaker = Breaker(cool_down_s=5.0)
    breaker.fail(breaker.begin(1.6), 1.6, too_many=True)
    earlier = 6.6 - 1e-15
    assert breaker.admits(earlier)
    breaker.begin(earlier)
    assert not breaker.admits(6.6)
