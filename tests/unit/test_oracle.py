"""What the oracle makes of each fault, and what it finds in graphs small enough to check by hand."""

import ast
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from agentroute.graph.goal import Goal
from agentroute.graph.tool import AtLeast, ToolSpec
from agentroute.graph.toolgraph import ToolGraph
from agentroute.ids import ArtifactId, NanoUsd, ToolId, dollars, nanos
from agentroute.testing.fakes import fake_tool
from agentroute.testing.faults import FAULT_TYPES, Fault
from agentroute.testing.scenario import oracle
from agentroute.testing.scenario.oracle import Foresight, foresee, ways
from agentroute.testing.scenario.oracle.calls import SIGHTS, outcomes
from agentroute.testing.scenario.record import OracleView

PRICE, EXPECTED, WORST = 2.5, 2.0, 3.0
"""What `pay` really costs, what it declares, and its worst case, in USD."""


def known(
    *tools: ToolSpec,
    faults: Sequence[Fault] = (),
    goals: Sequence[Goal] = (Goal("g", ["paid"]),),
    seconds: float | Mapping[str, float] = 1.0,
    prices: Mapping[str, float] | None = None,
    **more: Any,
) -> Foresight:
    """A run that starts with an order, whose faults hit as `Fault.hits` says."""
    graph = ToolGraph(tools, [goal.spec for goal in goals])
    return Foresight(
        graph=graph,
        have=frozenset({ArtifactId("order")}),
        strikes=lambda tool, number, at: [fault for fault in faults if fault.hits(tool, number, at)],
        seconds=lambda tool: seconds.get(tool, 0.0) if isinstance(seconds, Mapping) else seconds,
        prices=lambda tool: nanos((prices or {}).get(tool, graph.tools[ToolId(tool)].cost.usd)),
        moments=sorted({edge for fault in faults for edge in (fault.from_s, fault.until_s) if edge}),
        **more,
    )


def pay(name: str = "pay", **options: Any) -> ToolSpec:
    settings: dict[str, Any] = {"usd": EXPECTED, "usd_max": WORST, "timeout_s": 10.0, "effect": "once", **options}
    return fake_tool(name, settings.pop("needs", ["order"]), settings.pop("makes", ["paid"]), **settings).spec


def verifier(name: str = "look") -> ToolSpec:
    return fake_tool(name, ["order"], ["paid"], timeout_s=5.0).spec


# -------------------------------------------------------------------- the table, row by row

TRANSIENT, PERMANENT, LIMITED = ("transient", 0.0), ("permanent", 0.0), ("rate_limited", 0.0)
BROKEN, UNKNOWN, FINE = ("contract", EXPECTED), ("ambiguous", WORST), (None, PRICE)
DONE, LATER, NEVER = 5.0 + 1.0, 5.0 + 10.0 + 4.0, None  # begun in second 5, takes 1, time limit 10, late by 4

ROWS: list[tuple[dict[str, Any], tuple[str | None, float], float, float | None]] = [
    # the fault | kind and charge | seconds until the caller knows | when the effect is there
    ({"type": "error", "status": 503}, TRANSIENT, 0.0, NEVER),
    ({"type": "error", "status": 425}, TRANSIENT, 0.0, NEVER),
    ({"type": "error", "status": 429}, LIMITED, 0.0, NEVER),
    ({"type": "error", "status": 500}, UNKNOWN, 0.0, NEVER),
    ({"type": "error", "status": 408}, UNKNOWN, 0.0, NEVER),
    ({"type": "error", "status": 404}, PERMANENT, 0.0, NEVER),
    ({"type": "secret_echo", "status": 401}, PERMANENT, 0.0, NEVER),
    ({"type": "secret_echo", "status": 500}, UNKNOWN, 0.0, NEVER),
    ({"type": "rate_limit"}, LIMITED, 0.0, NEVER),
    ({"type": "down"}, TRANSIENT, 0.0, NEVER),
    ({"type": "flap"}, TRANSIENT, 0.0, NEVER),
    ({"type": "reset"}, UNKNOWN, 0.0, NEVER),
    ({"type": "timeout"}, UNKNOWN, 10.0, NEVER),
    ({"type": "hang"}, UNKNOWN, 10.0, NEVER),
    ({"type": "late_success", "latency_s": 4.0}, UNKNOWN, 10.0, LATER),
    ({"type": "latency", "latency_s": 4.0}, FINE, 5.0, NEVER),
    ({"type": "latency", "latency_s": 4.0, "jitter_s": 3.0}, FINE, 2.0, NEVER),
    ({"type": "latency", "latency_s": 9.0}, FINE, 10.0, NEVER),
    ({"type": "latency", "latency_s": 9.5}, UNKNOWN, 10.0, 15.0),
    ({"type": "ramp", "latency_s": 4.0}, FINE, 5.0, NEVER),
    ({"type": "tail", "latency_s": 4.0}, FINE, 5.0, NEVER),
    ({"type": "malformed"}, BROKEN, 1.0, DONE),
    ({"type": "renamed_field"}, BROKEN, 1.0, DONE),
    ({"type": "type_change"}, BROKEN, 1.0, DONE),
    ({"type": "empty"}, BROKEN, 1.0, DONE),
    ({"type": "error_in_200"}, BROKEN, 1.0, DONE),
    ({"type": "truncated"}, UNKNOWN, 1.0, DONE),
    ({"type": "ack_lost"}, UNKNOWN, 1.0, DONE),
    ({"type": "crash", "point": "arrives"}, UNKNOWN, 0.0, NEVER),
    ({"type": "crash", "point": "answered"}, UNKNOWN, 1.0, DONE),
    ({"type": "crash", "victim": "another"}, FINE, 1.0, NEVER),
    ({"type": "price_change", "factor": 4.0}, (None, 4 * PRICE), 1.0, NEVER),
    ({"type": "wrong"}, FINE, 1.0, NEVER),
    ({"type": "stale"}, FINE, 1.0, NEVER),
    ({"type": "silent_noop"}, FINE, 1.0, NEVER),
    ({"type": "injection"}, FINE, 1.0, NEVER),
    ({"type": "output_bomb"}, FINE, 1.0, NEVER),
    ({"type": "duplicate_delivery"}, FINE, 1.0, NEVER),
    ({"type": "slice"}, FINE, 1.0, NEVER),
    ({"type": "bandwidth"}, FINE, 1.0, NEVER),
    ({"type": "model_down"}, FINE, 1.0, NEVER),
    ({"type": "model_invalid"}, FINE, 1.0, NEVER),
    ({"type": "clock_jump"}, FINE, 1.0, NEVER),
    ({"type": "monitor_lies"}, FINE, 1.0, NEVER),
    ({"type": "monitor_late"}, FINE, 1.0, NEVER),
    ({"type": "monitor_dead"}, FINE, 1.0, NEVER),
]


def name_of(value: object) -> str:
    return ",".join(map(str, cast("dict[str, Any]", value).values())) if isinstance(value, dict) else ""


@pytest.mark.parametrize(("fault", "end", "takes", "happened_at"), ROWS, ids=name_of)
def test_the_table_says_what_a_fault_comes_to(
    fault: dict[str, Any], end: tuple[str | None, float], takes: float, happened_at: float | None
) -> None:
    tool = pay()
    run = known(tool, prices={"pay": PRICE})
    always = Foresight(
        graph=run.graph,
        have=run.have,
        strikes=lambda _tool, _number, _at: [Fault(**fault)],
        seconds=run.seconds,
        prices=run.prices,
    )
    [outcome] = outcomes(always, tool, 1, 5.0)
    assert (outcome.kind, dollars(outcome.charge)) == end
    assert (outcome.ended, outcome.happened_at) == (5.0 + takes, happened_at)


def test_every_type_of_fault_has_an_entry_and_a_row() -> None:
    assert set(SIGHTS) == set(FAULT_TYPES) == {row[0]["type"] for row in ROWS}


def test_a_type_that_is_not_in_the_table_is_not_guessed_at() -> None:
    strange = Fault(type="down")
    object.__setattr__(strange, "type", "gremlin")
    assert foresee(known(pay(), faults=[strange]), "g") == OracleView(possible=None)


def test_an_answer_that_only_verifies_or_undoes_is_not_spoiled_by_being_empty() -> None:
    run = known(pay(), faults=[Fault(type="empty")])
    assert [o.kind for o in outcomes(run, pay(), 1, 0.0, step=False)] == [None]


def test_whoever_shares_a_provider_may_find_it_dead_already() -> None:
    run = known(pay(provider="bank"), faults=[Fault(type="crash")])
    assert [o.kind for o in outcomes(run, pay(provider="bank"), 1, 0.0)] == ["ambiguous", "transient"]


def test_what_is_given_up_midway_goes_on_only_where_it_can() -> None:
    for goes_on, happened_at in ((True, 10.0), (False, None)):
        run = known(pay(), faults=[Fault(type="latency", latency_s=60)], goes_on=goes_on)
        [outcome] = outcomes(run, pay(), 1, 0.0)
        assert (outcome.kind, outcome.ended, outcome.happened_at) == ("ambiguous", 10.0, happened_at)


def test_the_deadline_cuts_a_call_short() -> None:
    [outcome] = outcomes(known(pay(), faults=[Fault(type="timeout")], deadline_s=4.0), pay(), 1, 1.0)
    assert outcome.ended == 4.0


# -------------------------------------------------------------------- one tool


def cost_of(run: Foresight, goal: str = "g") -> float | None:
    """Least cost of the goal asked for; None if it cannot be reached."""
    view = foresee(run, goal)
    assert view.possible is not None
    return view.cost_usd if view.possible else None


def test_a_refusal_is_free_and_a_silence_is_paid_at_its_worst() -> None:
    tool = pay(effect="read")
    assert cost_of(known(tool, faults=[Fault(type="down", attempts=(1, 2))])) == EXPECTED
    assert cost_of(known(tool, faults=[Fault(type="timeout", attempts=(1, 2))])) == 2 * WORST + EXPECTED


def test_a_tool_is_called_so_many_times_and_no_more() -> None:
    faults = [Fault(type="down", attempts=(1, 3))]
    assert cost_of(known(pay(), faults=faults)) is None
    assert cost_of(known(pay(), faults=faults, max_attempts=4)) == EXPECTED


@pytest.mark.parametrize(
    "fault", [Fault(type="error", status=404, attempts=(1, 1)), Fault(type="empty", attempts=(1, 1))]
)
def test_a_refusal_for_good_or_a_broken_answer_closes_a_tool(fault: Fault) -> None:
    assert cost_of(known(pay(effect="read"), faults=[fault])) is None
    assert cost_of(known(pay(effect="read"), pay("other", usd=9.0, usd_max=9.0), faults=[fault_on(fault)])) == 9.0


def fault_on(fault: Fault) -> Fault:
    return Fault(type=fault.type, target="pay", status=fault.status, attempts=fault.attempts)


def test_the_oracle_waits_for_the_window_to_pass() -> None:
    outage = [Fault(type="error", status=404, until_s=60.0)]
    assert cost_of(known(pay(), faults=outage)) == EXPECTED
    assert cost_of(known(pay(), faults=outage, deadline_s=61.0)) == EXPECTED
    assert cost_of(known(pay(), faults=outage, deadline_s=60.5)) is None


def test_the_oracle_waits_as_long_as_it_is_asked_to() -> None:
    asked = [Fault(type="rate_limit", retry_after_s=5.0, attempts=(1, 1))]
    assert cost_of(known(pay(), faults=asked, deadline_s=6.0)) == EXPECTED
    assert cost_of(known(pay(), faults=asked, deadline_s=5.5)) is None


def test_what_died_stays_dead_until_its_time() -> None:
    for until_s, cost in ((None, None), (8.0, WORST + EXPECTED)):
        faults = [Fault(type="crash", attempts=(1, 1), until_s=until_s)]
        assert cost_of(known(pay(effect="read"), faults=faults)) == (EXPECTED if until_s else cost)
        assert cost_of(known(pay(effect="read"), faults=faults, deadline_s=7.0)) is None
        assert cost_of(known(pay(effect="read"), faults=faults, max_attempts=1)) == (EXPECTED if until_s else None)


def test_hanging_up_on_a_broken_answer_is_only_foreseen_where_it_is_allowed() -> None:
    faults = [Fault(type="malformed", attempts=(1, 1))]
    assert cost_of(known(pay(effect="read"), faults=faults)) is None
    assert cost_of(known(pay(effect="read"), faults=faults, hang_ups=1)) == WORST + EXPECTED
    assert cost_of(known(pay(effect="idempotent"), faults=faults, hang_ups=1)) is None


# -------------------------------------------------------------------- effects in doubt


@pytest.mark.parametrize("kind", ["reset", "ack_lost", "malformed"])
def test_an_effect_in_doubt_that_nobody_can_look_into_goes_to_a_person(kind: Any) -> None:
    assert cost_of(known(pay(), faults=[Fault(type=kind, target="pay", attempts=(1, 1))])) is None


@pytest.mark.parametrize(("kind", "cost"), [("reset", WORST + EXPECTED), ("ack_lost", WORST), ("malformed", EXPECTED)])
def test_a_verifier_finds_what_happened_and_lets_be_repeated_what_did_not(kind: Any, cost: float) -> None:
    faults = [Fault(type=kind, target="pay", attempts=(1, 1))]
    assert cost_of(known(pay(verify="look"), verifier(), faults=faults)) == cost


def test_a_verifier_that_is_out_is_waited_for_and_one_that_is_broken_helps_nobody() -> None:
    lost = Fault(type="ack_lost", target="pay", attempts=(1, 1))
    tools = (pay(verify="look"), verifier())
    assert cost_of(known(*tools, faults=[lost, Fault(type="down", target="look", until_s=60.0)])) == WORST
    assert cost_of(known(*tools, faults=[lost, Fault(type="down", target="look", attempts=(1, 5))])) == WORST
    assert cost_of(known(*tools, faults=[lost, Fault(type="down", target="look", attempts=(1, 6))])) is None
    assert cost_of(known(*tools, faults=[lost, Fault(type="malformed", target="look")])) is None


def test_a_late_effect_is_found_or_not_waited_for() -> None:
    tools, late = (
        (pay(verify="look"), verifier()),
        Fault(type="late_success", target="pay", latency_s=5, attempts=(1, 1)),
    )
    seconds = {"pay": 1.0}
    assert cost_of(known(*tools, faults=[late], seconds=seconds)) == WORST
    assert cost_of(known(*tools, faults=[late], seconds=seconds, deadline_s=12.0, grace_s=0.0)) == WORST + EXPECTED


def test_effects_are_looked_into_after_the_deadline_and_nothing_else_is_begun() -> None:
    tools, lost = (pay(verify="look"), verifier()), Fault(type="ack_lost", target="pay", attempts=(1, 1))
    ship = fake_tool("ship", ["paid"], ["shipped"]).spec
    goals = (Goal("shipped", ["shipped"]), Goal("g", ["paid"], utility=0.5))
    run = known(*tools, ship, faults=[lost], goals=goals, seconds={"pay": 3.0, "look": 2.0}, deadline_s=3.0)
    assert foresee(run, "shipped") == OracleView(possible=False, best="g", cost_usd=WORST)
    assert cost_of(known(*tools, faults=[lost], seconds={"pay": 3.0, "look": 2.0}, deadline_s=3.0, grace_s=1.0)) is None


def test_a_compensator_clears_the_way_for_another_try_if_it_needs_nothing_that_is_in_doubt() -> None:
    faults = [Fault(type="ack_lost", target="pay", attempts=(1, 1))]
    for needs, cost in (["order"], WORST + EXPECTED), (["paid"], None):
        undo = fake_tool("undo", needs, effect="idempotent").spec
        assert cost_of(known(pay(compensate="undo"), undo, faults=faults)) == cost
    broken = [Fault(type="malformed", target="pay", attempts=(1, 1))]
    undo = fake_tool("undo", ["order"], effect="idempotent").spec
    assert cost_of(known(pay(compensate="undo"), undo, faults=broken)) is None


def test_a_verifier_that_several_tools_share_always_works() -> None:
    tools = (pay(verify="look"), pay("other", verify="look"), verifier())
    faults = [Fault(type="ack_lost", target="pay"), Fault(type="error", status=404), Fault(type="down", target="look")]
    assert cost_of(known(*tools, faults=faults)) == WORST


# -------------------------------------------------------------------- several tools


def test_tools_that_do_not_wait_for_each_other_overlap_in_time() -> None:
    tools = [
        fake_tool("left", ["order"], ["l"], usd=1.0).spec,
        fake_tool("right", ["order"], ["r"], usd=1.0).spec,
        fake_tool("join", ["l", "r"], ["paid"], usd=1.0).spec,
    ]
    assert cost_of(known(*tools, seconds=1.0, deadline_s=2.0)) == 3.0
    assert cost_of(known(*tools, seconds=1.0, deadline_s=1.9)) is None


def test_money_buys_time_only_where_there_is_none() -> None:
    tools = [fake_tool("slow", ["order"], ["paid"], usd=1.0).spec, fake_tool("fast", ["order"], ["paid"], usd=5.0).spec]
    for deadline_s, cost in ((None, 1.0), (10.0, 1.0), (9.0, 5.0), (0.5, None)):
        assert cost_of(known(*tools, seconds={"slow": 10.0, "fast": 1.0}, deadline_s=deadline_s)) == cost


def test_time_is_bought_where_a_later_step_needs_it() -> None:
    tools = [
        fake_tool("slow", ["order"], ["half"], usd=1.0).spec,
        fake_tool("fast", ["order"], ["half"], usd=5.0).spec,
        fake_tool("finish", ["half"], ["paid"], usd=1.0).spec,
    ]
    for deadline_s, cost in ((None, 2.0), (11.0, 2.0), (10.5, 6.0), (1.5, None)):
        assert cost_of(known(*tools, seconds={"slow": 10.0, "fast": 1.0, "finish": 1.0}, deadline_s=deadline_s)) == cost


def test_what_is_made_together_does_not_count_as_if_it_were_made_apart() -> None:
    tools = [
        fake_tool("prepare", ["order"], ["p"], usd=1.0).spec,
        fake_tool("both", ["p"], ["l", "r"], usd=3.0).spec,
        fake_tool("left", ["order"], ["l"], usd=2.2).spec,
        fake_tool("right", ["order"], ["r"], usd=2.2).spec,
    ]
    assert cost_of(known(*tools, goals=[Goal("g", ["l", "r"])])) == 4.0


def test_a_tool_that_makes_two_things_is_paid_for_once() -> None:
    tools = [
        fake_tool("both", ["order"], ["l", "r"], usd=3.0).spec,
        fake_tool("left", ["order"], ["l"], usd=2.0).spec,
        fake_tool("right", ["order"], ["r"], usd=2.0).spec,
    ]
    assert cost_of(known(*tools, goals=[Goal("g", ["l", "r"])])) == 3.0
    assert cost_of(known(*tools, goals=[Goal("g", [AtLeast(1, ["l", "r"])])])) == 2.0
    assert cost_of(known(*tools[1:], goals=[Goal("g", [AtLeast(2, ["l", "r"])])])) == 4.0


def test_the_budget_counts_what_is_paid_and_holds_nothing_back() -> None:
    assert cost_of(known(pay(), budget=nanos(EXPECTED))) == EXPECTED
    assert cost_of(known(pay(), budget=NanoUsd(nanos(EXPECTED) - 1))) is None


def test_a_price_beyond_the_worst_case_is_paid_and_counts_as_the_worst_case() -> None:
    dearer = [Fault(type="price_change", factor=10.0)]
    assert cost_of(known(pay(), faults=dearer, budget=nanos(WORST))) == 10 * EXPECTED


def test_a_tool_that_a_guard_closes_is_not_used() -> None:
    assert cost_of(known(pay(), closed=frozenset({"pay"}))) is None


def test_the_best_rung_is_the_highest_that_can_be_reached() -> None:
    goals = [Goal("g", ["paid"]), Goal("half", ["l"], utility=0.5), Goal("least", ["order"], utility=0.1)]
    tools = (pay(), fake_tool("left", ["order"], ["l"], usd=1.0).spec)
    assert foresee(known(*tools, goals=goals), "g") == OracleView(possible=True, best="g", cost_usd=EXPECTED)
    down = Fault(type="down", target="pay")
    assert foresee(known(*tools, goals=goals, faults=[down]), "g") == OracleView(
        possible=False, best="half", cost_usd=1.0
    )
    assert foresee(known(*tools, goals=goals, faults=[Fault(type="down")]), "g") == OracleView(
        possible=False, best="least", cost_usd=0.0
    )
    assert foresee(known(*tools, faults=[down]), "g") == OracleView(possible=False)


def test_what_is_too_large_is_not_guessed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = [fake_tool(f"t{n}", ["order"], [f"a{n}"], usd=1.0).spec for n in range(12)]
    run = known(*tools, goals=[Goal("g", [f"a{n}" for n in range(12)])])
    assert cost_of(run) == 12.0
    monkeypatch.setattr(ways, "MOST_WORK", 10)
    assert foresee(run, "g") == OracleView(possible=None)


def test_the_oracle_asks_nobody_whom_it_judges() -> None:
    modules = sorted(Path(oracle.__path__[0]).glob("*.py"))
    assert len(modules) > 1
    for module in modules:
        tree = ast.parse(module.read_text(encoding="utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        judged = ("agentroute.routing", "agentroute.run", "agentroute.runtime", "agentroute.guard")
        assert not [name for name in imported if name and name.startswith(judged)], imported
    assert math.isinf(known(pay()).end(step=True))
