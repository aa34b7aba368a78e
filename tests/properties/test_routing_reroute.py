"""The router that remembers, against Dijkstra from scratch."""

import math
import random
from typing import TypeAlias

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.errors import DefinitionError
from agentroute.graph.compiled import compile_graph
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import KOfN, ToolSpec, artifacts_of
from agentroute.ids import ArtifactId, GoalId, NanoUsd, ToolId
from agentroute.routing.reroute import Router, is_chain
from agentroute.routing.router import Problem, Route, cheapest_route

GOAL = GoalId("goal")
Weights: TypeAlias = dict[ToolId, NanoUsd]


def chain_tools(rng: random.Random, count: int, width: int) -> list[ToolSpec]:
    """Tools that take one artifact (a few: none) and give one or two."""
    names = [ArtifactId(f"a{index:03}") for index in range(width)]
    return [
        ToolSpec(
            ToolId(f"t{index:04}"),
            requires=tuple(rng.sample(names, 0 if rng.random() < 0.03 else 1)),
            produces=tuple(rng.sample(names, 2 if rng.random() < 0.2 else 1)),
        )
        for index in range(count)
    ]


def shortest(
    tools: list[ToolSpec], weights: Weights, have: frozenset[ArtifactId], goals: list[ArtifactId]
) -> float | None:
    """Weight of the shortest path from any artifact at hand, or from nothing, to any of the goals."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(["nothing", *goals, *have])
    graph.add_weighted_edges_from([("nothing", artifact, 0) for artifact in have])
    for tool in tools:
        for start in artifacts_of(tool.requires) if tool.requires else ("nothing",):
            for end in tool.produces:
                known = graph.edges[start, end]["weight"] if graph.has_edge(start, end) else math.inf
                if weights.get(tool.name, math.inf) < known:
                    graph.add_edge(start, end, weight=weights[tool.name])
    lengths = nx.single_source_dijkstra_path_length(graph, "nothing")
    return min((lengths[goal] for goal in goals if goal in lengths), default=None)


def disturb(rng: random.Random, tools: list[ToolSpec], route: Route | None) -> dict[ToolId, NanoUsd | None]:
    """What happens to tools: those on the route die, others too, some heal, some weights change either way."""
    names = [tool.name for tool in tools]
    victims: list[ToolId] = list(route.tools) if route is not None and route.tools and rng.random() < 0.6 else names
    changes: dict[ToolId, NanoUsd | None] = {rng.choice(victims): None if rng.random() < 0.7 else NanoUsd(50)}
    if rng.random() < 0.5:
        changes[rng.choice(names)] = NanoUsd(rng.randrange(40))
    return changes


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(3, 80))
def test_it_weighs_what_dijkstra_says_through_deaths_healings_and_changes(rng: random.Random, count: int) -> None:
    tools = chain_tools(rng, count, max(3, count // 3))
    goals = [tools[0].produces[0]] if rng.random() < 0.7 else sorted({tool.produces[0] for tool in tools[:3]})
    graph = compile_graph(tools, [GoalSpec(GOAL, (KOfN(1, tuple(goals)),))])
    weights: Weights = {tool.name: NanoUsd(rng.choice([0, rng.randrange(40)])) for tool in tools}
    have = frozenset([ArtifactId("a000")])
    router = Router(graph, GOAL, weights)
    for step in range(20):
        route = router.route(have)
        assert (None if route is None else route.weight) == shortest(tools, weights, have, goals)
        scratch = cheapest_route(Problem(graph, GOAL, have, weights))
        assert (scratch is None) == (route is None)
        if route is not None and scratch is not None:
            assert len(route.tools) == len(scratch.tools)
            assert sum(weights[name] for name in route.tools) == route.weight
        # What it remembers must not show in what it answers.
        assert route == Router(graph, GOAL, weights).route(have)
        changes = disturb(rng, tools, route)
        router.reweigh(changes)
        for name, weight in changes.items():
            weights.pop(name, None)
            if weight is not None:
                weights[name] = weight
        if step % 10 == 9:
            router.refresh()
        if rng.random() < 0.2:
            have = frozenset(rng.sample(sorted(graph.artifacts), 2))


def test_graphs_with_joins_are_routed_from_scratch() -> None:
    tools = [
        ToolSpec(ToolId("a"), produces=(ArtifactId("x"),)),
        ToolSpec(ToolId("b"), produces=(ArtifactId("y"),)),
        ToolSpec(ToolId("c"), requires=(ArtifactId("x"), ArtifactId("y")), produces=(ArtifactId("z"),)),
        ToolSpec(ToolId("d"), produces=(ArtifactId("z"),)),
    ]
    graph = compile_graph(tools, [GoalSpec(GOAL, (ArtifactId("z"),)), GoalSpec(GoalId("x"), (ArtifactId("x"),))])
    assert not is_chain(graph, GOAL)
    assert is_chain(graph, GoalId("x"))
    router = Router(graph, GOAL, {tool.name: NanoUsd(9 if tool.name == "d" else 2) for tool in tools})
    first = router.route(frozenset())
    assert first is not None
    assert first.tools == ("a", "b", "c")
    router.reweigh({ToolId("b"): None})
    after = router.route(frozenset())
    assert after is not None
    assert after.tools == ("d",)
    router.reweigh({ToolId("d"): None})
    assert router.route(frozenset()) is None


def test_a_negative_weight_is_refused() -> None:
    tools = [ToolSpec(ToolId("a"), produces=(ArtifactId("x"),))]
    router = Router(compile_graph(tools, [GoalSpec(GOAL, (ArtifactId("x"),))]), GOAL, {ToolId("a"): NanoUsd(1)})
    with pytest.raises(DefinitionError, match="must not be negative"):
        router.reweigh({ToolId("a"): NanoUsd(-1)})
