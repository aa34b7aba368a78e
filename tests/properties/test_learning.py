"""Laws of learning across runs: how figures move with calls, how knowledge of several times adds up."""

import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentroute.errors import FailureKind
from agentroute.graph.cost import Cost, Rates
from agentroute.graph.tool import ToolSpec
from agentroute.ids import ArtifactId, AttemptId, GoalId, NanoUsd, ToolId, nanos
from agentroute.routing.board import HealthBoard
from agentroute.routing.expected import Expected
from agentroute.routing.health import Health
from agentroute.routing.knowledge import FORGOTTEN, HALF_LIFE, NOTHING, Calls, Knowledge, bucket, middle
from agentroute.run.events import AttemptFailed, AttemptStarted, AttemptSucceeded, Event, RunFinished, RunStarted
from agentroute.run.learning import learn

TOOL, OTHER = ToolId("t"), ToolId("u")
A, B = GoalId("a"), GoalId("b")
DECLARED = Cost(usd=0.01, latency_s=1.0, risk=0.1)
TOOLS = {name: ToolSpec(name, cost=DECLARED, effect="read") for name in (TOOL, OTHER)}


@dataclass(frozen=True)
class Done:
    """A call of a run."""

    tool: ToolId
    works: bool
    took_s: float
    usd: float


calls = st.builds(
    Done,
    tool=st.sampled_from([TOOL, OTHER]),
    works=st.booleans(),
    took_s=st.sampled_from([0.001, 1.0, 30.0]) | st.floats(0.0, 100.0),
    usd=st.sampled_from([0.01, 0.0, 0.5]),
)
histories = st.lists(st.tuples(st.sampled_from([A, B]), st.lists(calls, max_size=6)), max_size=12)


def run(goal: GoalId, done: list[Done], wall: float, kind: FailureKind = "transient") -> list[Event]:
    """The facts of a run."""
    events: list[Event] = [RunStarted(0.0, "agent", goal, {}, wall)]
    now = 0.0
    for number, call in enumerate(done, 1):
        attempt = AttemptId(number)
        events.append(AttemptStarted(now, attempt, call.tool, 1, "", NanoUsd(0)))
        now += call.took_s
        if call.works:
            events.append(AttemptSucceeded(now, attempt, call.tool, {ArtifactId("x"): 1}, nanos(call.usd)))
        else:
            events.append(AttemptFailed(now, attempt, call.tool, kind, "Error", "no", NanoUsd(0)))
    return [*events, RunFinished(now, "succeeded", goal, "")]


def runs(history: list[tuple[GoalId, list[Done]]], begin: float = 0.0) -> list[list[Event]]:
    """One run after the other."""
    return [run(goal, done, begin + 1000.0 * number) for number, (goal, done) in enumerate(history)]


def of(knowledge: Knowledge, goal: GoalId = A, tool: ToolId = TOOL) -> Expected:
    """What is expected of a tool for a goal."""
    found = knowledge.expected(TOOLS.values(), [A, B])[goal]
    return found[tool] if tool in found else Expected(0.01, 1.0, 1.0, 0.1)


def share(expected: Expected) -> float:
    return expected.risk + expected.more_risk


def alike(one: Knowledge, other: Knowledge) -> None:
    """Equal, apart from rounding and from what is as good as forgotten."""
    assert one.calls == other.calls
    for ones, others in ((one.tools, other.tools), *((one.goals.get(g, {}), other.goals.get(g, {})) for g in (A, B))):
        for tool in (TOOL, OTHER):
            left, right = ones.get(tool, NOTHING), others.get(tool, NOTHING)
            for name in ("failed", "worked", "usd", "declared_usd"):
                assert getattr(left, name) == pytest.approx(getattr(right, name), abs=2 * FORGOTTEN)
            for number in {*left.took, *right.took}:
                assert left.took.get(number, 0) == pytest.approx(right.took.get(number, 0), abs=2 * FORGOTTEN)


# -------------------------------------------------------------------- adding up


@given(history=histories, seed=st.integers(0, 9))
def test_the_order_in_which_runs_are_read_makes_no_difference(
    history: list[tuple[GoalId, list[Done]]], seed: int
) -> None:
    there = runs(history)
    mixed = random.Random(seed).sample(there, len(there))
    assert learn(mixed, TOOLS) == learn(there, TOOLS)


@given(history=histories, cut=st.integers(0, 12))
def test_learning_in_two_sittings_is_learning_in_one(history: list[tuple[GoalId, list[Done]]], cut: int) -> None:
    there = runs(history)
    alike(learn(there[:cut], TOOLS).merged(learn(there[cut:], TOOLS)), learn(there, TOOLS))


@given(history=histories)
def test_merging_with_nothing_changes_nothing(history: list[tuple[GoalId, list[Done]]]) -> None:
    known = learn(runs(history), TOOLS)
    assert known.merged(Knowledge()) == known == Knowledge().merged(known)


@given(first=histories, second=histories, third=histories)
def test_merging_may_begin_at_either_end(
    first: list[tuple[GoalId, list[Done]]],
    second: list[tuple[GoalId, list[Done]]],
    third: list[tuple[GoalId, list[Done]]],
) -> None:
    one, two, three = (learn(runs(history), TOOLS) for history in (first, second, third))
    alike(one.merged(two).merged(three), one.merged(two.merged(three)))


def test_what_is_old_counts_half_after_the_half_life_and_is_forgotten_in_the_end() -> None:
    old = Knowledge(10, {TOOL: Calls(failed=8.0)}, {A: {TOOL: Calls(failed=8.0)}})
    after = old.merged(Knowledge(int(HALF_LIFE), {OTHER: Calls(worked=HALF_LIFE)}))
    assert after.tools[TOOL].failed == after.goals[A][TOOL].failed == pytest.approx(4.0)
    assert share(of(after)) < share(of(old))
    much_later = old.merged(Knowledge(int(20 * HALF_LIFE), {OTHER: Calls(worked=1.0)}))
    assert much_later.tools.keys() == {OTHER}
    assert not much_later.goals


# -------------------------------------------------------------------- figures

counts = st.builds(Calls, failed=st.floats(0, 50), worked=st.floats(0, 50))


@given(general=counts, own=counts, more=st.floats(0, 50))
def test_more_failures_never_lower_the_expected_share(general: Calls, own: Calls, more: float) -> None:
    def known(failed: float, for_goal: float) -> Knowledge:
        extra, mine = Calls(failed=failed), Calls(failed=for_goal)
        return Knowledge(1, {TOOL: general.plus(own).plus(extra)}, {A: {TOOL: own.plus(mine)}})

    before = known(0.0, 0.0)
    for after in (known(more, more), known(more, 0.0)):  # of this goal, and of another
        assert share(of(after)) >= share(of(before)) - 1e-12
        assert of(after).risk >= of(before).risk - 1e-12


@given(history=histories)
def test_a_goal_lies_between_what_the_tool_does_and_what_its_own_calls_do(
    history: list[tuple[GoalId, list[Done]]],
) -> None:
    known = learn(runs(history), TOOLS)
    own = known.goals.get(A, {}).get(TOOL, NOTHING)
    expected = of(known)
    if own.failed + own.worked:
        alone = own.failed / (own.failed + own.worked)
        assert min(alone, expected.risk) - 1e-9 <= share(expected) <= max(alone, expected.risk) + 1e-9
    if own.worked:
        price, mean = expected.usd + expected.more_usd, own.usd / own.worked
        told = known.tools[TOOL].usd != known.tools[TOOL].declared_usd
        assert not told or min(mean, expected.usd) - 1e-9 <= price <= max(mean, expected.usd) + 1e-9
        fastest, slowest = middle(min(own.took)), middle(max(own.took))
        pace = expected.slower * expected.latency_s
        assert min(fastest, expected.latency_s) * 0.999 <= pace <= max(slowest, expected.latency_s) * 1.001


def test_few_calls_of_a_goal_change_little_and_many_decide() -> None:
    def goal_share(number: float) -> float:
        failing = Calls(failed=number)
        return share(of(Knowledge(1, {TOOL: Calls(worked=200.0).plus(failing)}, {A: {TOOL: failing}})))

    assert goal_share(1) < 0.15
    assert goal_share(3) < 0.3
    assert goal_share(100) > 0.9


def test_a_tool_nobody_knows_anything_of_is_as_declared() -> None:
    assert Knowledge().expected(TOOLS.values(), [A]) == {A: {}}
    assert of(Knowledge(1, {TOOL: NOTHING})) == Expected(0.01, 1.0, 1.0, 0.1)


def test_tools_and_goals_that_are_not_there_are_left_out() -> None:
    gone = Calls(failed=9.0)
    known = Knowledge(1, {ToolId("gone"): gone, TOOL: gone}, {GoalId("gone"): {TOOL: gone}, A: {ToolId("gone"): gone}})
    found = known.expected(TOOLS.values(), [A])
    assert found.keys() == {A}
    assert found[A].keys() == {TOOL}


def test_a_price_that_is_declared_anew_holds_for_a_tool_that_never_says_what_it_costs() -> None:
    known = learn(runs([(A, [Done(TOOL, True, 1.0, 0.01)] * 50)]), TOOLS)
    dearer = replace(TOOLS[TOOL], cost=replace(DECLARED, usd=0.05))
    assert known.expected([dearer], [A])[A][TOOL].usd == 0.05
    told = learn(runs([(A, [Done(TOOL, True, 1.0, 0.02)] * 50)]), TOOLS)
    assert told.expected([dearer], [A])[A][TOOL].usd == pytest.approx(0.022, abs=0.001)


def test_slow_calls_count_for_deadlines_and_usual_ones_for_the_rest() -> None:
    done = [Done(TOOL, True, 0.5, 0.01)] * 70 + [Done(TOOL, True, 8.0, 0.01)] * 30
    expected = of(learn(runs([(A, done)]), TOOLS))
    assert (expected.latency_s, expected.slow_s) == (pytest.approx(0.5, rel=0.03), pytest.approx(8.0, rel=0.03))
    board = HealthBoard(Health())
    assert board.latency(TOOLS[TOOL], 0.0, expected) == expected.slow_s
    assert board.factors(TOOLS[TOOL], Rates(), 0.0, expected).latency_s == expected.latency_s


@given(seconds=st.floats(1e-5, 1e6))
def test_a_duration_is_known_to_within_two_and_a_half_per_cent(seconds: float) -> None:
    assert middle(bucket(seconds)) == pytest.approx(seconds, rel=0.026)
    assert bucket(float(f"{middle(bucket(seconds)):.4g}")) == bucket(seconds)  # as it is written into a file


# -------------------------------------------------------------------- health of a tool that several goals share

DIFFERENT = {
    A: Expected(0.01, 1.0, 1.0, 0.4, more_usd=0.02, slower=3.0, more_risk=0.4),
    B: Expected(0.01, 1.0, 1.0, 0.4, more_usd=-0.01, slower=0.5, more_risk=-0.35),
}


def live(board: HealthBoard, goal: GoalId, *, every: int, count: int) -> None:
    """Calls that go as expected: one in so many fails... or works, the other way round."""
    expected, spec = DIFFERENT[goal], TOOLS[TOOL]
    for number in range(count):
        ticket = board.begin(spec, 0.0, expected=expected)
        took_s = expected.slower * expected.latency_s
        if number % every == 0:
            board.fail(ticket, took_s)
        else:
            board.succeed(ticket, took_s, usd=expected.usd + expected.more_usd)


def test_calls_that_go_as_expected_for_one_goal_change_nothing_for_the_other() -> None:
    board, rates = HealthBoard(Health()), Rates(usd_per_second=0.01)
    before = board.factors(TOOLS[TOOL], rates, 0.0, DIFFERENT[A])
    live(board, B, every=20, count=200)
    after = board.factors(TOOLS[TOOL], rates, 1.0, DIFFERENT[A])
    assert after.p_fail == pytest.approx(before.p_fail, abs=0.02)
    assert after.usd == pytest.approx(before.usd)
    assert after.latency_s == pytest.approx(before.latency_s)
    assert after.weight == pytest.approx(before.weight, rel=0.1)


def test_calls_that_go_worse_than_expected_for_one_goal_count_for_the_other() -> None:
    board, rates = HealthBoard(Health()), Rates()
    before = {goal: board.factors(TOOLS[TOOL], rates, 0.0, DIFFERENT[goal]).p_fail for goal in (A, B)}
    live(board, B, every=3, count=200)
    for goal in (A, B):
        assert board.factors(TOOLS[TOOL], rates, 1.0, DIFFERENT[goal]).p_fail > before[goal] + 0.1


@given(history=st.lists(st.tuples(st.sampled_from([A, B]), st.booleans(), st.floats(0, 20)), max_size=40))
def test_whatever_is_expected_a_weight_is_a_weight(history: list[tuple[GoalId, bool, float]]) -> None:
    board, spec, now = HealthBoard(Health()), TOOLS[TOOL], 0.0
    for goal, works, took_s in history:
        ticket = board.begin(spec, now, expected=DIFFERENT[goal])
        now += took_s
        (board.succeed if works else board.fail)(ticket, now)
        for each in (*DIFFERENT.values(), None):
            factors = board.factors(spec, Rates(1.0, 1.0), now, each)
            assert factors.weight > 0
            assert 0 <= factors.p_fail <= 0.95
            assert factors.latency_s >= 0
            assert factors.usd >= 0
