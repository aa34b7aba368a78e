"""The router against solvers that share nothing with it, and against laws that need none."""

import random
from collections.abc import Callable

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.graph.tool import ToolSpec
from agentroute.ids import ArtifactId, NanoUsd, ToolId
from agentroute.routing.router import cheapest_route
from tests.properties.routing_cases import Case, milp, random_cyclic, random_dag, small_cases
from tests.properties.routing_laws import about_the_route, complaints


@settings(max_examples=250, deadline=None)
@given(small_cases())
def test_every_law_holds_on_small_graphs(case: Case) -> None:
    assert complaints(case) == []


@settings(max_examples=250, deadline=None)
@given(small_cases(limits=True))
def test_every_law_holds_under_limits(case: Case) -> None:
    assert complaints(case) == []


@pytest.mark.parametrize("block", range(4))
def test_weighs_what_an_exact_solver_says_on_two_hundred_dags_of_16_to_60_tools(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        rng = random.Random(seed)
        case = random_dag(rng, rng.randint(16, 60))
        route = cheapest_route(case.problem())
        assert route is not None, seed
        assert route.optimal, seed
        assert route.weight == milp(case), seed
        assert list(about_the_route(case, route)) == [], seed


def test_weighs_what_an_exact_solver_says_on_cyclic_graphs_of_up_to_20_tools() -> None:
    feasible = 0
    for seed in range(150):
        rng = random.Random(seed)
        case = random_cyclic(rng, rng.randint(10, 20))
        route = cheapest_route(case.problem())
        expected = milp(case, timed=True)
        assert (None if route is None else route.weight) == expected, seed
        if route is not None:
            feasible += 1
            assert route.optimal, seed
            assert list(about_the_route(case, route)) == [], seed
    assert feasible > 75


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(2, 60))
def test_is_a_shortest_path_where_every_tool_takes_one_and_gives_one(rng: random.Random, count: int) -> None:
    names = [ArtifactId(f"a{index:02}") for index in range(max(2, count // 3))]
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(names)
    tools: list[ToolSpec] = []
    weights: dict[ToolId, NanoUsd] = {}
    for index in range(count):
        start, end, weight = rng.choice(names), rng.choice(names), NanoUsd(rng.randrange(100))
        tools.append(ToolSpec(ToolId(f"t{index:02}"), requires=(start,), produces=(end,)))
        weights[tools[-1].name] = weight
        if not graph.has_edge(start, end) or weight < graph.edges[start, end]["weight"]:
            graph.add_edge(start, end, weight=weight)
    route = cheapest_route(Case(tuple(tools), (names[-1],), frozenset(names[:1]), weights).problem())
    if route is None:
        assert not nx.has_path(graph, names[0], names[-1])
    else:
        assert route.optimal
        assert route.weight == nx.dijkstra_path_length(graph, names[0], names[-1])


@pytest.mark.parametrize("generate", [random_dag, random_cyclic])
@pytest.mark.parametrize("expansions", [0, 1, 10, 100])
def test_a_search_cut_short_is_honest(generate: Callable[[random.Random, int], Case], expansions: int) -> None:
    for seed in range(40):
        case = generate(random.Random(seed), 60)
        best = cheapest_route(case.problem())
        route = cheapest_route(case.problem(), expansions=expansions)
        assert (route is None) == (best is None), seed
        if route is not None and best is not None:
            assert best.optimal, seed
            assert list(about_the_route(case, route)) == [], seed
            assert route.weight == best.weight if route.optimal else route.weight >= best.weight, seed
