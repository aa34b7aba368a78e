"""What every answer of the router must satisfy, as a list of complaints: empty if all is well."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from agentroute.graph.tool import KOfN, Need, ToolSpec
from agentroute.ids import ArtifactId, NanoUsd, ToolId
from agentroute.routing import router
from agentroute.routing.router import Route
from tests.properties.routing_cases import Case, brute_force, finish, holds


def complaints(case: Case) -> list[str]:
    """Ask the router, and hold the answer against every law. Looks the router up, so that mutants can be planted."""
    route = router.cheapest_route(case.problem())
    found = list(against_brute_force(case, route))
    if route is not None:
        found += [*about_the_route(case, route), *about_cheaper_weights(case, route), *about_names(case, route)]
    return found + list(about_removal(case, route))


def against_brute_force(case: Case, route: Route | None) -> Iterator[str]:
    expected = brute_force(case)
    if (route is None) != (expected is None):
        yield f"feasibility: {route} against {expected}"
    if route is None or expected is None:
        return
    if not route.optimal:
        yield "not proven, on a graph this small"
    if route.weight != sum(case.weights[name] for name in expected):
        yield f"weight: {route} against {expected}"
    elif tuple(sorted(route.tools)) != expected:
        yield f"tie-break: {route.tools} against {expected}"


def about_the_route(case: Case, route: Route) -> Iterator[str]:
    """Laws that need no oracle, for cases of any size."""
    tools = {tool.name: tool for tool in case.tools}
    chosen = [tools[name] for name in route.tools]
    if not set(route.tools) <= case.weights.keys():
        yield "uses a removed tool"
    if len(set(route.tools)) != len(route.tools):
        yield "uses a tool twice"
    if not is_executable(case, chosen):
        yield "not executable in this order"
    if route.weight != sum(case.weights[name] for name in route.tools):
        yield "the weight is not the sum of the weights"
    if route.makespan_s != pytest.approx(finish(case, chosen)):
        yield f"makespan: {route.makespan_s} against {finish(case, chosen)}"
    yield from about_need(case, chosen)


def about_need(case: Case, chosen: list[ToolSpec]) -> Iterator[str]:
    """All of it does what is wanted, and nothing less does."""
    if not holds(case, chosen):
        yield "breaks a limit, or does not reach the goal"
    for tool in chosen:
        if holds(case, [other for other in chosen if other is not tool]):
            yield f"{tool.name} is superfluous"


def is_executable(case: Case, tools: list[ToolSpec]) -> bool:
    there = set(case.have)
    for tool in tools:
        if not all(is_met(need, there) for need in tool.requires):
            return False
        there |= set(tool.produces)
    return all(is_met(need, there) for need in case.needs)


def is_met(need: Need, there: set[ArtifactId]) -> bool:
    return len(there & set(need.of)) >= need.k if isinstance(need, KOfN) else need in there


def about_cheaper_weights(case: Case, route: Route) -> Iterator[str]:
    for name, weight in case.weights.items():
        cheaper = replace(case, weights={**case.weights, name: NanoUsd(weight // 2)})
        after = router.cheapest_route(cheaper.problem())
        if after is None or after.weight > route.weight:
            yield f"dearer or gone after {name} became cheaper"


def about_removal(case: Case, route: Route | None) -> Iterator[str]:
    for name in case.weights:
        after = router.cheapest_route(case.without(name).problem())
        if after is not None and (route is None or after.weight < route.weight):
            yield f"cheaper or possible only after {name} was removed"
        if route is not None and name not in route.tools and (after is None or after.tools != route.tools):
            yield f"another route after the removal of {name}, which was not on it"


def about_names(case: Case, route: Route) -> Iterator[str]:
    """Neither the order of declaration nor the names matter, as long as the names sort alike."""
    shuffled = replace(case, tools=case.tools[::-1], weights=dict(reversed(list(case.weights.items()))))
    if router.cheapest_route(shuffled.problem()) != route:
        yield "depends on the order of declaration"
    other = router.cheapest_route(renamed(case).problem())
    if other is None or tuple(name.removeprefix("tool ") for name in other.tools) != route.tools:
        yield "depends on the names, beyond their order"


def renamed(case: Case) -> Case:
    def tool(name: ToolId) -> ToolId:
        return ToolId(f"tool {name}")

    def need(one: Need) -> Need:
        return KOfN(one.k, tuple(map(artifact, one.of))) if isinstance(one, KOfN) else artifact(one)

    def artifact(name: ArtifactId) -> ArtifactId:
        return ArtifactId(f"artifact {name}")

    return replace(
        case,
        tools=tuple(
            replace(
                spec,
                name=tool(spec.name),
                requires=tuple(map(need, spec.requires)),
                produces=tuple(map(artifact, spec.produces)),
            )
            for spec in case.tools
        ),
        needs=tuple(map(need, case.needs)),
        have=frozenset(map(artifact, case.have)),
        weights={tool(name): figure for name, figure in case.weights.items()},
        latency_s={tool(name): figure for name, figure in case.latency_s.items()},
        usd={tool(name): figure for name, figure in case.usd.items()},
    )
