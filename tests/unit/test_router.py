"""The router on graphs small enough to see the answer."""

from collections.abc import Mapping
from typing import Any

import pytest

from agentroute.errors import DefinitionError
from agentroute.graph.compiled import compile_graph
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import KOfN, Need, ToolSpec
from agentroute.ids import ArtifactId, GoalId, NanoUsd, ToolId
from agentroute.routing.router import Problem, cheapest_route, missing


def tool(name: str, *requires: Need | str, to: str) -> ToolSpec:
    return ToolSpec(
        ToolId(name),
        requires=tuple(need if isinstance(need, KOfN) else ArtifactId(need) for need in requires),
        produces=tuple(map(ArtifactId, to.split())),
    )


def k_of(k: int, artifacts: str) -> KOfN:
    return KOfN(k, tuple(map(ArtifactId, artifacts.split())))


def problem(tools: Mapping[ToolSpec, int], *needs: Need | str, have: str = "", **limits: Any) -> Problem:
    """A problem whose tools weigh what the mapping says; -1 for a tool that is down."""
    wanted = tuple(need if isinstance(need, KOfN) else ArtifactId(need) for need in needs)
    return Problem(
        compile_graph(tools, [GoalSpec(GoalId("goal"), wanted)]),
        GoalId("goal"),
        frozenset(map(ArtifactId, have.split())),
        {spec.name: NanoUsd(weight) for spec, weight in tools.items() if weight >= 0},
        **limits,
    )


def names(asked: Problem) -> tuple[str, ...] | None:
    route = cheapest_route(asked)
    return None if route is None else route.tools


def test_a_chain_runs_in_the_order_its_types_give() -> None:
    chain = {tool("z-first", "a", to="b"): 2, tool("a-second", "b", to="c"): 3}
    route = cheapest_route(problem(chain, "c", have="a"))
    assert route is not None
    assert route.tools == ("z-first", "a-second")
    assert (route.weight, route.makespan_s, route.optimal) == (5, 0.0, True)


def test_what_is_ready_at_once_is_ordered_by_name() -> None:
    tools = {tool("b", to="x"): 1, tool("a", to="y"): 1, tool("c", "x", "y", to="z"): 1}
    assert names(problem(tools, "z")) == ("a", "b", "c")


def test_a_goal_at_hand_needs_no_tool() -> None:
    route = cheapest_route(problem({tool("t", to="a"): 1}, "a", have="a"))
    assert route is not None
    assert (route.tools, route.weight, route.optimal) == ((), 0, True)


def test_what_is_at_hand_is_not_made_again() -> None:
    tools = {tool("make", "raw", to="part"): 5, tool("join", "part", "raw", to="whole"): 1}
    assert names(problem(tools, "whole", have="raw part")) == ("join",)


def test_a_shared_tool_is_paid_once() -> None:
    tools = {
        tool("shared", to="base"): 10,
        tool("left", "base", to="l"): 1,
        tool("right", "base", to="r"): 1,
        tool("own-left", to="l"): 8,
        tool("own-right", to="r"): 8,
    }
    route = cheapest_route(problem(tools, "l", "r"))
    assert route is not None
    assert route.tools == ("shared", "left", "right")
    assert route.weight == 12


def test_one_tool_with_two_outputs_beats_two_tools() -> None:
    tools = {tool("both", to="a b"): 3, tool("only-a", to="a"): 2, tool("only-b", to="b"): 2}
    assert names(problem(tools, "a", "b")) == ("both",)
    assert names(problem(tools, "a")) == ("only-a",)


def test_k_of_n_takes_the_k_that_are_cheapest_together() -> None:
    tools = {
        tool("a", to="a"): 4,
        tool("b", to="b"): 5,
        tool("cd", to="c d"): 8,
        tool("vote", k_of(2, "a b c d"), to="verdict"): 0,
    }
    assert names(problem(tools, "verdict")) == ("cd", "vote")
    assert names(problem(tools, k_of(3, "a b c d"))) == ("a", "cd")


def test_a_tool_that_is_down_is_not_used_and_no_route_is_none() -> None:
    assert names(problem({tool("up", to="a"): 9, tool("down", to="a"): -1}, "a")) == ("up",)
    assert names(problem({tool("down", to="a"): -1}, "a")) is None


def test_tools_in_a_cycle_are_fine_and_a_route_never_is_one() -> None:
    tools = {
        tool("celsius", "fahrenheit", to="celsius"): 0,
        tool("fahrenheit", "celsius", to="fahrenheit"): 0,
        tool("measure", to="fahrenheit"): 5,
    }
    assert names(problem(tools, "celsius")) == ("measure", "celsius")
    assert names(problem(tools, "celsius", "fahrenheit")) == ("measure", "celsius")
    assert names(problem({spec: -1 if spec.name == "measure" else 0 for spec in tools}, "celsius")) is None


def test_ties_go_to_fewer_tools_then_to_the_first_by_name() -> None:
    tools = {
        tool("c", to="x"): 4,
        tool("b", to="x"): 4,
        tool("a1", to="w"): 2,
        tool("a2", "w", to="x"): 2,
    }
    assert names(problem(tools, "x")) == ("b",)


def test_weightless_tools_that_are_not_needed_stay_out() -> None:
    tools = {tool("a", to="x"): 0, tool("b", to="y"): 0, tool("c", "x", to="z"): 0}
    assert names(problem(tools, "z")) == ("a", "c")


FAST_AND_CHEAP = {tool("fast", to="a"): 9, tool("cheap", to="a"): 1, tool("use", "a", to="b"): 1}
LATENCY = {"fast": 0.1, "cheap": 2.0, "use": 0.2}


@pytest.mark.parametrize(("within", "expected"), [(2.2, "cheap"), (2.1, "fast"), (0.3, "fast"), (0.29, None)])
def test_a_deadline_makes_the_route_faster_and_dearer(within: float, expected: str | None) -> None:
    found = names(problem(FAST_AND_CHEAP, "b", latency_s=LATENCY, within_s=within))
    assert found == (expected and (expected, "use"))


def test_the_makespan_counts_what_runs_at_once_once() -> None:
    tools = {tool("a", to="x"): 1, tool("b", to="y"): 1, tool("c", "x", "y", to="z"): 1}
    route = cheapest_route(problem(tools, "z", latency_s={"a": 0.1, "b": 0.2, "c": 0.1}, within_s=0.3))
    assert route is not None
    assert route.makespan_s == 0.3


def test_the_makespan_counts_the_earliest_of_what_a_join_can_do_with() -> None:
    tools = {tool("t0", to="b"): 0, tool("t1", to="a"): 0, tool("t3", "a", k_of(1, "a b"), to="e"): 0}
    route = cheapest_route(problem(tools, "b", "e", latency_s={"t0": 0.2, "t1": 0.1, "t3": 0.1}))
    assert route is not None
    assert route.makespan_s == 0.2


@pytest.mark.parametrize(("money", "expected"), [(9, "light"), (8, "frugal"), (3, "frugal"), (2, None)])
def test_a_limit_on_money_makes_the_route_heavier_and_cheaper(money: int, expected: str | None) -> None:
    tools = {tool("light", to="a"): 1, tool("frugal", to="a"): 5}
    found = names(problem(tools, "a", usd={"light": 9, "frugal": 3}, within_usd=NanoUsd(money)))
    assert found == (expected and (expected,))


def test_limits_that_no_route_keeps_together_leave_none() -> None:
    tools = {tool("fast", to="a"): 1, tool("frugal", to="a"): 1}
    both: dict[str, Any] = {"latency_s": {"fast": 1.0, "frugal": 9.0}, "usd": {"fast": 9, "frugal": 1}}
    assert names(problem(tools, "a", **both, within_s=1.0, within_usd=NanoUsd(9))) == ("fast",)
    assert names(problem(tools, "a", **both, within_s=1.0, within_usd=NanoUsd(8))) is None


@pytest.mark.parametrize("limit", [{"within_s": 1.0}, {"within_usd": NanoUsd(1)}])
def test_a_limit_on_what_is_not_known_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="must be given"):
        problem({tool("t", to="a"): 1}, "a", **limit)


def test_a_negative_weight_is_refused_by_name() -> None:
    asked = problem({tool("t", to="a"): 1}, "a")
    with pytest.raises(DefinitionError, match=r"'t'.*-5"):
        cheapest_route(Problem(asked.graph, asked.goal, asked.have, {ToolId("t"): NanoUsd(-5)}))


def test_past_the_cap_the_best_found_is_returned_and_not_called_optimal() -> None:
    # Every pair of sets shares a tool, so labels mislead and bounds stay apart: cover 12 artifacts by triples.
    parts = [f"p{index:02}" for index in range(12)]
    tools = {
        tool(f"t{a:02}-{b}", to=f"{parts[a]} {parts[(a + b) % 12]} {parts[(a + 3 * b + 1) % 12]}"): 100 + a * 7 + b
        for a in range(12)
        for b in (1, 2, 4, 5)
    }
    asked = problem(tools, *parts)
    best, first = cheapest_route(asked), cheapest_route(asked, expansions=1)
    assert best is not None
    assert first is not None
    assert best.optimal
    assert not first.optimal
    assert first.weight >= best.weight


def test_missing_names_the_goals_artifacts_then_what_is_lacking_below() -> None:
    tools = {tool("write", "facts", "style", to="report"): 1, tool("search", "query", to="facts"): 1}
    assert missing(problem(tools, "report", have="style")) == ("report", "query")
    assert missing(problem(tools, "report", "query", have="style")) == ("query", "report")
    assert missing(problem(tools, "report", have="style query")) == ()


def test_missing_looks_through_joins_and_past_tools_that_are_down() -> None:
    tools = {tool("a", "x", to="a"): 1, tool("b", to="b"): -1, tool("c", to="c"): 1}
    assert missing(problem(tools, k_of(2, "a b c"))) == ("a", "b", "x")


def test_missing_names_a_cycle_that_nothing_starts() -> None:
    tools = {tool("there", "a", to="b"): 1, tool("back", "b", to="a"): 1}
    assert missing(problem(tools, "b")) == ("b",)
