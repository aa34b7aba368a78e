"""Laws of what health keeps from call to call: it changes no answer, and what is unusual counts at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.graph.cost import Cost, Rates
from agentroute.graph.tool import ToolSpec
from agentroute.guard.rate_limits import Headroom
from agentroute.ids import ToolId
from agentroute.routing.board import BEAT_S, UPBEAT, HealthBoard
from agentroute.routing.entry import UNSEEN, Ticket
from agentroute.routing.expected import Expected, as_declared
from agentroute.routing.health import Health
from agentroute.routing.reliability import Fading, Reliability
from agentroute.routing.reports import Subject
from agentroute.routing.signals import HealthSignal
from agentroute.routing.standing import BATCH, FEW, Standing

RATES = (Rates(usd_per_second=0.01), Rates(usd_per_risk=0.5))
COST = Cost(usd=0.01, latency_s=1.0, risk=0.1)
TOOLS = (
    ToolSpec(ToolId("a"), cost=COST, effect="read", provider="p"),
    ToolSpec(ToolId("b"), cost=COST, effect="once", provider="p"),
    ToolSpec(ToolId("c"), cost=Cost(usd=0.02), effect="read"),
)
GOALS = (None, as_declared(COST), Expected(0.01, 1.0, 1.5, 0.1, more_usd=0.01, slower=2.0, more_risk=0.1))

Kind = Literal[
    "begin", "work", "fail", "hang", "limit", "refuse", "forget", "queue", "delay", "signal", "overhear", "future"
]


class ForgetfulBoard(HealthBoard):
    """One that works out everything anew, whenever it is asked or told something."""

    def forget_all(self) -> None:
        for entry in self._entries.values():
            entry.changes, entry.rates = UNSEEN, None
        for _, standing in self.standings():
            standing._next = None


@dataclass(frozen=True)
class Move:
    """Some time passes, then something happens, and then all tools are looked at, or not."""

    pause_s: float
    kind: Kind
    tool: int
    goal: int
    which: int
    usd: float | None
    said: Headroom | None
    factor: float
    asks: bool


often: list[Kind] = ["begin", "work"]
seldom: list[Kind] = ["fail", "hang", "limit", "refuse", "forget", "queue", "delay", "signal", "overhear", "future"]
moves = st.builds(
    Move,
    pause_s=st.sampled_from([0.0, 0.01, 0.1, 0.3, 1.0, 5.0, 30.0]) | st.floats(0.0, 3.0),
    kind=st.sampled_from(often * 10 + seldom),
    tool=st.sampled_from([0, 0, 0, 1, 2]),
    goal=st.sampled_from([0, 0, 0, 1, 2]),
    which=st.integers(0, 3),
    usd=st.none() | st.sampled_from([0.01, 0.015, 0.1]),
    said=st.sampled_from([None, None, None, None, None, Headroom(3.0, 10.0, 2.0), Headroom(50.0, 60.0, 2.0)]),
    factor=st.sampled_from([0.5, 1.0, 10.0]),
    asks=st.booleans(),
)
busy = st.lists(moves, min_size=20, max_size=120)
games = st.tuples(st.integers(0, 40), busy)


@dataclass
class Game:
    """A board, the calls under way, and all that it answered."""

    board: HealthBoard
    now: float = 0.0
    flying: list[Ticket] = field(default_factory=list[Ticket])
    waiting: list[Ticket] = field(default_factory=list[Ticket])
    answers: list[object] = field(default_factory=list[object])

    def warm(self, calls: int) -> None:
        """Calls that work, so that there is something to be calm about."""
        for number in range(calls):
            tool = TOOLS[number % 3]
            self._fresh()
            ticket = self.board.begin(tool, self.now)
            self.now += 0.9 + 0.02 * (number % 7)
            self._fresh(ticket)
            self.board.succeed(ticket, self.now)

    def play(self, move: Move, *, asks: bool) -> None:
        self.now += move.pause_s
        self._fresh()
        self._do(move)
        if asks:
            self.look(self.now)

    def look(self, now: float) -> None:
        for tool in TOOLS:
            for goal in GOALS[:2]:
                for rates in RATES:
                    self._fresh()
                    board = self.board
                    answer = board.weight(tool, rates, now, goal), board.admits(tool, now), board.latency(tool, now)
                    self.answers.append((*answer, board.overdue_after(tool, now), board.back_at(tool, now)))

    def _fresh(self, ticket: Ticket | None = None) -> None:
        if isinstance(self.board, ForgetfulBoard):
            self.board.forget_all()
            if ticket is not None:
                ticket.upsets = UNSEEN  # no short cut

    def _do(self, move: Move) -> None:
        board, now, tool = self.board, self.now, TOOLS[move.tool]
        match move.kind:
            case "begin":
                if board.admits(tool, now):
                    self.flying.append(board.begin(tool, now, again=move.which == 3, expected=GOALS[move.goal]))
            case "signal":
                board.signal(HealthSignal(tool.provider or tool.name, "outage", "m", factor=move.factor, at=now), now)
            case "overhear":
                signal = HealthSignal(tool.name, "outage", "others", factor=move.factor, at=now)
                board.overhear(Subject("tool", tool.name), signal if move.which else None)
            case "future":
                self.look(now + 1000.0)
            case "delay":
                self.flying += [board.delayed(self.waiting.pop(), now)] if self.waiting else []
            case _:
                if self.flying:
                    self._end(self.flying.pop(move.which % len(self.flying)), move)

    def _end(self, ticket: Ticket, move: Move) -> None:
        board, now = self.board, self.now
        self._fresh(ticket)
        match move.kind:
            case "work":
                board.succeed(ticket, now, usd=move.usd, said=move.said)
            case "queue":
                board.queued(ticket)
                self.waiting.append(ticket)
            case "forget":
                board.forget(ticket)
            case "refuse":
                board.refuse(ticket, now)
            case _:
                board.fail(ticket, now, rate_limited=move.kind == "limit", timed_out=move.kind == "hang")


def played(board: HealthBoard, game: tuple[int, list[Move]], *, asks: Callable[[Move], bool]) -> Game:
    board.know(TOOLS)
    calls, rest = game
    found = Game(board)
    found.warm(calls)
    for move in rest:
        found.play(move, asks=asks(move))
    found.look(found.now)
    return found


@settings(max_examples=60)
@given(game=games)
def test_what_is_kept_changes_no_answer(game: tuple[int, list[Move]]) -> None:
    """Against a board that works out everything anew, and takes the long way for every call."""
    alternatives = {TOOLS[0].name: (TOOLS[2],), TOOLS[2].name: (TOOLS[0],)}
    kept = played(HealthBoard(Health(cool_down_s=2.0), alternatives=alternatives), game, asks=lambda _: True)
    anew = played(ForgetfulBoard(Health(cool_down_s=2.0), alternatives=alternatives), game, asks=lambda _: True)
    assert kept.answers == anew.answers
    assert kept.board.version == anew.board.version


@settings(max_examples=60)
@given(game=games)
def test_whoever_asks_in_between_makes_no_difference(game: tuple[int, list[Move]]) -> None:
    asked = played(HealthBoard(Health()), game, asks=lambda move: move.asks)
    silent = played(HealthBoard(Health()), game, asks=lambda _: False)
    assert asked.answers[-len(silent.answers) :][-12:] == silent.answers[-12:]
    assert asked.board.version == silent.board.version


def test_the_laws_above_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word of a monitor that does not say that something has changed is not heard at once."""
    heard: Callable[[Standing, HealthSignal, float], None] = Standing.hear

    def unheard(self: Standing, signal: HealthSignal, now: float) -> None:
        before = self.changes
        heard(self, signal, now)
        self.changes = before

    def silent(_: Standing) -> None:
        pass

    monkeypatch.setattr(Standing, "changed", silent)
    monkeypatch.setattr(Standing, "hear", unheard)
    signal = Move(0.0, "signal", 2, 0, 0, None, None, 10.0, asks=True)
    ask = Move(0.0, "forget", 0, 0, 0, None, None, 1.0, asks=True)
    kept = played(HealthBoard(Health()), (40, [ask, signal]), asks=lambda _: True)
    anew = played(ForgetfulBoard(Health()), (40, [ask, signal]), asks=lambda _: True)
    assert kept.answers != anew.answers


# -------------------------------------------------------------------- what counts at once, and what need not


def lively() -> tuple[HealthBoard, ToolSpec, float]:
    """A board on which a tool is well known, and a moment early in a beat."""
    board, tool = HealthBoard(Health()), TOOLS[0]
    for number in range(60):
        board.succeed(board.begin(tool, float(number)), number + 1.0)
    return board, tool, 1.0 - UPBEAT * BEAT_S + 20 * BEAT_S + 0.01


def work(board: HealthBoard, tool: ToolSpec, now: float, took_s: float, number: int) -> float:
    """Make so many calls one after the other, all of which take as long; when the last of them has ended."""
    for _ in range(number):
        ticket = board.begin(tool, now)
        now += took_s
        board.succeed(ticket, now)
    return now


@given(quick_s=st.floats(0.01, 0.1), number=st.integers(FEW + 8, BATCH - 1))
def test_what_goes_as_planned_counts_within_a_beat(quick_s: float, number: int) -> None:
    board, tool, begun = lively()
    before = board.latency(tool, begun)
    now = work(board, tool, begun, quick_s, number)
    assert before == board.latency(tool, now) == 1.0
    assert board.factors(tool, RATES[0], begun + BEAT_S).latency_s == pytest.approx(quick_s)


def test_no_more_than_a_few_calls_wait_to_be_counted() -> None:
    board, tool, now = lively()
    (_, standing) = next(each for each in board.standings() if each[0].name == tool.name)
    waiting: list[int] = []
    for _ in range(3 * BATCH):
        now = work(board, tool, now, 0.01, 1)
        waiting.append(len(standing.planned.took))
    assert max(waiting) == BATCH
    assert board.factors(tool, RATES[0], now).latency_s == pytest.approx(0.01)


@given(slow_s=st.floats(2.1, 30.0))
def test_calls_that_take_long_count_at_once(slow_s: float) -> None:
    board, tool, now = lively()
    tickets = [board.begin(tool, now) for _ in range(20)]
    for ticket in tickets:
        board.succeed(ticket, now + slow_s)
    assert board.factors(tool, RATES[0], now + slow_s).latency_s == pytest.approx(slow_s)


@given(number=st.integers(0, BATCH))
def test_a_failure_counts_at_once_whatever_waits_to_be_counted(number: int) -> None:
    board, tool, now = lively()
    now = work(board, tool, now, 0.01, number)
    before = board.factors(tool, RATES[0], now).p_fail
    board.fail(board.begin(tool, now), now)
    assert board.factors(tool, RATES[0], now).p_fail > before + 0.05


def test_a_price_counts_at_once_where_it_is_far_from_what_is_expected() -> None:
    board, tool, now = lively()
    before = board.weight(tool, RATES[0], now)
    board.succeed(board.begin(tool, now), now + 0.1, usd=0.019)
    assert board.weight(tool, RATES[0], now + 0.1) == before
    board.succeed(board.begin(tool, now), now + 0.1, usd=0.1)
    assert board.weight(tool, RATES[0], now + 0.1) > 1.2 * before


@given(
    before=st.lists(st.booleans(), max_size=300),
    calls=st.integers(1, 400),
    shift=st.sampled_from([0.0, 0.05, -0.05]),
)
def test_calls_counted_together_count_as_if_one_by_one(before: list[bool], calls: int, shift: float) -> None:
    fading = Fading(300.0, 30.0)
    together, apart = Reliability(), Reliability()
    for each in (together, apart):
        for works in before:
            (each.succeed if works else each.fail)(0.1, 0.0, fading)
        each.end_burst()
    together.count(calls, 1.0, fading, shift=calls * shift)
    for _ in range(calls):
        apart.succeed(0.1, 1.0, fading, shift=shift)
    assert together.habit(0.1, 1.0, fading) == pytest.approx(apart.habit(0.1, 1.0, fading), abs=0.05)
    assert together.calls == pytest.approx(apart.calls)
