"""Fault injection: the tool really runs where the fault says so, and the ledger says what really happened."""
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import contextlib
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from agentroute import testing
from agentroute.attempt import Attempt, serving
from agentroute.errors import DefinitionError
from agentroute.guard.failures import classify
from agentroute.ids import ArtifactId, AttemptId, RunId, ToolId
from agentroute.ports import Values
from agentroute.runtime.services import DirectCalls
from agentroute.testing.fakes import ScriptedTools, fake_tool
from agentroute.testing.faults import (
    FAULT_TYPES,
    NEVER_RUN,
    Fault,
    FaultType,
    FaultyCalls,
    Schedule,
    Seen,
    parse_fault,
)
from agentroute.testing.faults.fault import BESIDE_CALLS, IN_CALLS, WIRE_ONLY
from agentroute.testing.virtual_time import VirtualClock, run_virtual
from agentroute.testing.world import World
from tests.laboratory import in_virtual_time


class Seat(BaseModel):
    code: str
    row: int


class Rig:
    """Calls a tool by hand, without an agent around it."""

    def __init__(self, *faults: Fault, answer: Any = None, seed: int = 0) -> None:
        self.world = World()
        self.tool = fake_tool("book", ["start"], ["a"], world=self.world, effect="once")
        inner = DirectCalls() if answer is None else ScriptedTools({"book": [answer] * 9}, inner=DirectCalls())
        self.calls = FaultyCalls(inner, faults, clock=VirtualClock(), seed=seed)
        self.attempts = 0
        self.late: list[bool] = []

    async def call(self, run: str = "run", *, limit: float = 60.0, start: str = "x") -> Values:
        self.attempts += 1
        attempt = Attempt(RunId(run), ToolId("book"), AttemptId(self.attempts), f"key-{run}-{start}", deadline=0.0)
        attempt.on_late = self.late.append
        with serving(attempt), anyio.fail_after(limit):
            return await self.calls.call(self.tool, {ArtifactId("start"): start})


KINDS: dict[FaultType, str] = {
    "error": "transient",
    "reset": "ambiguous",
    "down": "transient",
    "rate_limit": "rate_limited",
    "malformed": "contract",
    "truncated": "ambiguous",
    "ack_lost": "ambiguous",
    "timeout": "ambiguous",
    "hang": "ambiguous",
    "late_success": "ambiguous",
    "secret_echo": "transient",
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_fails_as_its_kind_and_runs_where_it_says(kind: FaultType) -> None:
    async def main() -> None:
        rig = Rig(Fault(type=kind, latency_s=0.0))
        with pytest.raises(Exception) as caught:  # noqa: PT011  # of which type is what the classification says
            await rig.call(limit=1.0)
        assert classify(caught.value).kind == KINDS[kind]
        assert len(rig.world.rows) == (0 if kind in NEVER_RUN or kind == "late_success" else 1)
        assert [entry.fault.type for entry in rig.calls.triggered] == [kind]

    run_virtual(main)


FALSE: set[FaultType] = {
    "renamed_field",
    "type_change",
    "empty",
    "error_in_200",
    "wrong",
    "injection",
    "output_bomb",
}

TRUE: set[FaultType] = {"latency", "ramp", "tail", "price_change", "silent_noop", "duplicate_delivery"}


@pytest.mark.parametrize("kind", sorted(FALSE | TRUE))
def test_what_answers_runs_and_answers_truly_or_not(kind: FaultType) -> None:
    async def main() -> None:
        rig = Rig(Fault(type=kind))
        answer = await rig.call()
        assert len(rig.world.rows) == (2 if kind == "duplicate_delivery" else 1)
        assert (answer == rig.world.rows[0].outputs) == (kind in TRUE)
        assert len(rig.world.standing()) == (0 if kind == "silent_noop" else len(rig.world.rows))
        assert [rig.calls.schedule.faults[entry.rule].type for entry in rig.calls.triggered] == [kind]

    run_virtual(main)


def test_every_fault_of_calls_is_tested() -> None:
    elsewhere: set[FaultType] = {"stale", "flap", "crash"}
    assert KINDS.keys() | FALSE | TRUE | elsewhere == IN_CALLS
    assert set(FAULT_TYPES) == IN_CALLS | BESIDE_CALLS | WIRE_ONLY


@pytest.mark.parametrize("kind", sorted(WIRE_ONLY))
def test_what_only_a_wire_can_have_is_refused_for_calls(kind: FaultType) -> None:
    with pytest.raises(DefinitionError, match="only to bytes on a wire"):
        FaultyCalls(DirectCalls(), [Fault(type=kind)], clock=VirtualClock())


@in_virtual_time
async def test_a_flapping_tool_is_down_and_up_by_turns() -> None:
    rig = Rig(Fault(type="flap", down_s=2.0, up_s=1.0))
    rig.calls.start()
    outcomes: list[str] = []
    for _ in range(6):
        with contextlib.suppress(ConnectionRefusedError):
            await rig.call()
        outcomes.append(rig.calls.seen[-1].outcome)
        await anyio.sleep(1.0)
    assert [outcome == "answered" for outcome in outcomes] == [False, False, True] * 2
    assert [(entry.fault.type, entry.rule) for entry in rig.calls.triggered] == [("down", 0)] * 4


@in_virtual_time
async def test_a_ramp_takes_longer_with_each_call() -> None:
    rig = Rig(Fault(type="ramp", latency_s=1.0, factor=2.0))
    for _ in range(4):
        await rig.call()
    assert [(seen.ended or 0.0) - seen.at for seen in rig.calls.seen] == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize(("point", "rows"), [("arrives", 0), ("answered", 1)])
def test_a_provider_that_crashed_stays_down(point: Any, rows: int) -> None:
    async def main() -> None:
        rig = Rig(Fault(type="crash", point=point, attempts=(2, 2), until_s=10.0))
        await rig.call()
        for error in (ConnectionResetError, ConnectionRefusedError):
            with pytest.raises(error):
                await rig.call()
        assert len(rig.world.rows) == 1 + rows
        await anyio.sleep(10.0)
        await rig.call()

    run_virtual(main)


@in_virtual_time
async def test_a_crash_of_somebody_else_leaves_the_call_alone() -> None:
    rig = Rig(Fault(type="crash", victim="mail", point="answered"))
    assert await rig.call() == rig.world.rows[0].outputs
    assert rig.calls.triggered == [], "nobody has called mail yet"


@in_virtual_time
async def test_faults_of_one_cause_happen_together_or_not_at_all() -> None:
    for seed in range(12):
        rules = [Fault(type="down", toxicity=0.5, cause="storm", attempts=(n, n)) for n in (1, 2, 3)]
        rig = Rig(*rules, seed=seed)
        for _ in rules:
            with contextlib.suppress(ConnectionRefusedError):
                await rig.call()
        assert len({seen.outcome for seen in rig.calls.seen}) == 1


@in_virtual_time
async def test_a_rule_counts_for_itself_even_if_another_is_its_twin() -> None:
    rig = Rig(Fault(type="latency"), Fault(type="latency"), Fault(type="down", attempts=(9, 9)))
    await rig.call()
    assert rig.calls.counts == [1, 1, 0]


@pytest.mark.parametrize(
    ("fault", "hits"),
    [
        (Fault(type="down", provider="acme"), [True, False, False]),
        (Fault(type="down", provider="a*", target="b*"), [True, False, False]),
        (Fault(type="down", provider="*"), [True, True, False]),
        (Fault(type="model_down"), [False, False, False]),
    ],
    ids=str,
)
def test_faults_can_be_aimed_at_a_provider(fault: Fault, hits: list[bool]) -> None:
    assert [fault.aims_at("book", provider) for provider in ("acme", "bcme", None)] == hits


def test_the_moments_of_a_schedule_are_the_edges_of_its_windows_and_phases() -> None:
    schedule = Schedule([Fault(type="down", from_s=1.0, until_s=4.0), Fault(type="flap", down_s=2.0, up_s=1.0)])
    assert schedule.moments(until=6.0) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert schedule.moments(until=2.5) == [0.0, 1.0, 2.0]


@in_virtual_time
async def test_a_stale_answer_is_that_of_the_call_before() -> None:
    rig = Rig(Fault(type="stale"))
    first, second = await rig.call(), await rig.call()
    assert first == second == rig.world.rows[0].outputs
    assert len(rig.world.rows) == 2
    assert [entry.attempt for entry in rig.calls.triggered] == [2]


@in_virtual_time
async def test_latency_takes_time_and_jitter_stays_within_its_bounds() -> None:
    rig = Rig(Fault(type="latency", latency_s=2.0, jitter_s=0.5))
    took: list[float] = []
    for index in range(9):
        began = anyio.current_time()
        await rig.call(run=f"run-{index}")
        took.append(anyio.current_time() - began)
    assert min(took) >= 1.5
    assert max(took) <= 2.5
    assert len(set(took)) > 5


@in_virtual_time
async def test_a_late_success_happens_when_its_time_has_come_and_tells_the_fence() -> None:
    rig = Rig(Fault(type="late_success", attempts=(1, 1), latency_s=2.0))
    with pytest.raises(TimeoutError):
        await rig.call(limit=1.0)
    await rig.call(start="early")
    assert [row.inputs for row in rig.world.rows][:1] != []
    assert (len(rig.world.rows), rig.late) == (1, [])
    await anyio.sleep(5.0)
    await rig.call(start="later")
    assert (len(rig.world.rows), rig.late) == (3, [True])
    assert rig.world.rows[1].attempt == 1, "under the key of the attempt that was given up"


@in_virtual_time
async def test_the_first_fault_that_hits_counts_and_latency_comes_on_top() -> None:
    rig = Rig(Fault(type="down"), Fault(type="latency", latency_s=3.0), Fault(type="malformed"))
    with pytest.raises(ConnectionRefusedError):
        await rig.call()
    assert anyio.current_time() == 3.0
    assert [entry.fault.type for entry in rig.calls.triggered] == ["latency", "down"]


@pytest.mark.parametrize(
    ("attempts", "hit"), [(None, [1, 2, 3, 4]), ((2, 2), [2]), ((2, 3), [2, 3]), ((3, None), [3, 4])], ids=str
)
def test_faults_hit_the_calls_of_a_run_that_they_are_meant_for(attempts: Any, hit: list[int]) -> None:
    async def main() -> None:
        rig = Rig(Fault(type="down", attempts=attempts))
        failed: list[int] = []
        for number in range(1, 5):
            try:
                await rig.call()
            except ConnectionRefusedError:
                failed.append(number)
        assert failed == hit
        assert [seen.number for seen in rig.calls.seen] == [1, 2, 3, 4]
        other: Seen | None = None
        try:
            await rig.call(run="other")
        except ConnectionRefusedError:
            other = rig.calls.seen[-1]
        assert (other is not None) == (1 in hit), "each run counts for itself"

    run_virtual(main)


@in_virtual_time
async def test_faults_have_a_time_window_from_the_start_of_the_injector() -> None:
    await anyio.sleep(100.0)
    rig = Rig(Fault(type="down", from_s=2.0, until_s=4.0))
    rig.calls.start()
    outcomes: list[str] = []
    for _ in range(6):
        try:
            await rig.call()
            outcomes.append("worked")
        except ConnectionRefusedError:
            outcomes.append("down")
        await anyio.sleep(1.0)
    assert outcomes == ["worked", "worked", "down", "down", "worked", "worked"]


def test_dice_depend_on_the_seed_and_the_call_alone() -> None:
    async def main(seed: int, order: list[str]) -> dict[str, list[str]]:
        rig = Rig(Fault(type="down", toxicity=0.5), seed=seed)
        for run in order:
            with contextlib.suppress(ConnectionRefusedError):
                await rig.call(run=run)
        return {run: [seen.outcome for seen in rig.calls.seen if seen.run == run] for run in sorted(set(order))}

    runs = [f"run-{index % 5}" for index in range(40)]
    first = run_virtual(main, 1, runs)
    assert first == run_virtual(main, 1, sorted(runs))
    assert first != run_virtual(main, 2, runs)
    hits = [outcome for outcomes in first.values() for outcome in outcomes]
    assert 10 <= hits.count("answered") <= 30


@in_virtual_time
async def test_what_was_seen_says_how_each_call_ended() -> None:
    rig = Rig(Fault(type="down", attempts=(2, 2)), Fault(type="timeout", attempts=(3, 3)))
    await rig.call()
    with pytest.raises(ConnectionRefusedError):
        await rig.call()
    with pytest.raises(TimeoutError):
        await rig.call(limit=2.0)
    assert [seen.outcome for seen in rig.calls.seen] == ["answered", "ConnectionRefusedError", "cancelled"]
    assert [(seen.at, seen.ended) for seen in rig.calls.seen] == [(0.0, 0.0), (0.0, 0.0), (0.0, 2.0)]
    orders = [order for seen in rig.calls.seen for order in (seen.order, seen.end_order)]
    assert orders == sorted(orders, key=lambda order: order or 0)


@in_virtual_time
async def test_a_fault_that_never_triggered_does_not_count() -> None:
    rig = Rig(Fault(type="down", target="other"), Fault(type="latency"), Fault(type="down", attempts=(9, 9)))
    await rig.call()
    assert rig.calls.trigger_rate() == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("value", "check"),
    [
        (Seat(code="A", row=1), lambda v: isinstance(v, Seat) and v != Seat(code="A", row=1)),
        ({"n": 1}, lambda v: v == {"n": 2}),
        ([True], lambda v: v == [False]),
        (1.5, lambda v: v == 2.5),
    ],
    ids=["model", "dict", "list", "number"],
)
def test_a_wrong_answer_keeps_its_type(value: Any, check: Any) -> None:
    async def main() -> None:
        answer = await Rig(Fault(type="wrong"), answer=value).call()
        assert check(answer["a"]), answer  # pyright: ignore[reportArgumentType]

    run_virtual(main)


def test_renamed_fields_are_the_answers_own_where_it_has_any() -> None:
    async def main() -> None:
        answer = await Rig(Fault(type="renamed_field"), answer=Seat(code="A", row=1)).call()
        assert answer == {"a": {"row_v2": 1, "code_v2": "A"}}

    run_virtual(main)


# -------------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("error:search", Fault(type="error", target="search")),
        ("error:search_*", Fault(type="error", target="search_*")),
        ("error=500:search", Fault(type="error", target="search", status=500)),
        ("latency=2.5:search", Fault(type="latency", target="search", latency_s=2.5)),
        ("rate_limit=30:book", Fault(type="rate_limit", target="book", retry_after_s=30.0)),
        ("timeout:book@2", Fault(type="timeout", target="book", attempts=(2, 2))),
        ("down:book@2-3", Fault(type="down", target="book", attempts=(2, 3))),
        ("down:book@2-", Fault(type="down", target="book", attempts=(2, None))),
        ("flap=2:book", Fault(type="flap", target="book", down_s=2.0)),
        ("price_change=1.5:book", Fault(type="price_change", target="book", factor=1.5)),
        ("output_bomb=50:book", Fault(type="output_bomb", target="book", bytes=50)),
        ("down:a:b@c", Fault(type="down", target="a:b@c")),
        (" reset:* ", Fault(type="reset", target="*")),
    ],
)
def test_faults_can_be_written_on_the_command_line(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text",
    [
        "",
        "error",
        "error:",
        ":book",
        "explode:book",
        "down=3:book",
        "error=:b",
        "error=nan:b",
        "error=1.2.3:b",
        "down:b@0",
    ],
)
def test_what_is_no_fault_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(DefinitionError, match="fault"):
        parse_fault(text)


@pytest.mark.parametrize(
    "options",
    [{"type": "x"}, {"toxicity": 1.1}, {"latency_s": -1.0}, {"retry_after_s": float("nan")}, {"from_s": float("inf")}],
    ids=str,
)
def test_rules_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    options.setdefault("type", "down")
    with pytest.raises(DefinitionError, match="fault"):
        Fault(**options)


def test_every_public_name_of_the_kit_can_be_loaded() -> None:
    assert sorted(testing.__all__) == sorted(testing._WHERE)
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    with pytest.raises(AttributeError, match="no attribute"):
        testing.nothing  # noqa: B018
