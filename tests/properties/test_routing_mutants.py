"""Bugs planted in the router: laws that let one of them pass would be worth nothing."""
# pyright: reportPrivateUsage=false
# A bug is planted where a mistake could be made, which is mostly inside.

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings

from agentroute.ids import NanoUsd, ToolId
from agentroute.routing import branch, reduction, router, search, solve
from agentroute.routing.bounds import Cut
from agentroute.routing.instance import Instance
from agentroute.routing.problem import Problem
from tests.properties.routing_cases import Case, limited, milp, small_cases
from tests.properties.routing_laws import about_the_route, against_brute_force

Plant = Callable[[pytest.MonkeyPatch], None]


def infinite_weights_stay_in_the_graph(patch: pytest.MonkeyPatch) -> None:
    def reduce(problem: Problem) -> Instance | None:
        weights = dict.fromkeys(problem.graph.tools, NanoUsd(10**18)) | dict(problem.weights)
        return reduction.reduce(replace(problem, weights=weights))

    patch.setattr(router, "reduce", reduce)


def what_is_provided_ahead_of_need_is_forgotten_by_the_estimate(patch: pytest.MonkeyPatch) -> None:
    dearest = search._Search._dearest

    def forgetful(self: Any, needed: int, _: int) -> int:
        return dearest(self, needed, 0)

    patch.setattr(search._Search, "_dearest", forgetful)


def cuts_may_overlap(patch: pytest.MonkeyPatch) -> None:
    honest = solve.landmark_cuts

    def overlapping(instance: Instance, weights: Sequence[int]) -> list[Cut] | None:
        cuts = honest(instance, weights)
        return cuts and [Cut(cut.actions, min(weights[action] for action in cut.actions)) for cut in cuts]

    patch.setattr(solve, "landmark_cuts", overlapping)
    patch.setattr(solve, "FIRST_EXPANSIONS", 0)  # these graphs hardly ever need the cuts otherwise


def deadline_cuts_name_one_tool_too_few(patch: pytest.MonkeyPatch) -> None:
    honest = branch._deadline_cut

    def short(instance: Instance, free: set[int], left: Sequence[int]) -> Cut:
        cut = honest(instance, free, left)
        actions = cut.actions[1:] or cut.actions
        return Cut(actions, min(left[action] for action in actions))

    patch.setattr(branch, "_deadline_cut", short)


def a_tool_is_beaten_by_one_that_takes_more(patch: pytest.MonkeyPatch) -> None:
    def beats(self: Any, rival: int, action: int, merits: dict[int, tuple[int, ...]]) -> bool:
        return merits[rival] < merits[action] and self.outputs[action] <= self.outputs[rival]

    patch.setattr(reduction._Reduction, "_beats", beats)


def ties_are_not_broken(patch: pytest.MonkeyPatch) -> None:
    def without_ties(figures: Sequence[int], _: Sequence[ToolId | None]) -> tuple[list[int], int]:
        return list(figures), 0

    patch.setattr(reduction, "with_ties", without_ties)


def money_is_not_counted(patch: pytest.MonkeyPatch) -> None:
    def always(*_: object) -> bool:
        return True

    for module in (branch, solve):
        patch.setattr(module, "affordable", always)


def tools_run_in_order_of_name(patch: pytest.MonkeyPatch) -> None:
    def by_name(instance: Instance, actions: set[int]) -> tuple[ToolId, ...]:
        return tuple(tool for action in sorted(actions) if (tool := instance.tools[action]) is not None)

    patch.setattr(router, "_executable", by_name)


def shared_tools_are_paid_per_use(patch: pytest.MonkeyPatch) -> None:
    def by_sum(instance: Instance, _: int) -> search.Found:
        labels = solve.sum_labels(instance, instance.weights)
        return search.Found(solve.prune(instance, labels.route(instance)), sum(instance.weights))

    patch.setattr(router, "cheapest_set", by_sum)


SHOWN_BY_SMALL_GRAPHS: list[Plant] = [
    infinite_weights_stay_in_the_graph,
    a_tool_is_beaten_by_one_that_takes_more,
    ties_are_not_broken,
    money_is_not_counted,
    tools_run_in_order_of_name,
    shared_tools_are_paid_per_use,
]

SHOWN_BY_LARGER_GRAPHS: list[Plant] = [
    what_is_provided_ahead_of_need_is_forgotten_by_the_estimate,
    cuts_may_overlap,
    deadline_cuts_name_one_tool_too_few,
]


@pytest.mark.parametrize("plant", SHOWN_BY_SMALL_GRAPHS, ids=lambda plant: plant.__name__)
def test_brute_force_catches(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    search_only = settings(
        max_examples=3000,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    find(small_cases(limits=True), is_wrong, settings=search_only)  # raises NoSuchExample if nothing is found


def is_wrong(case: Case) -> bool:
    try:
        route = router.cheapest_route(case.problem())
        return any(against_brute_force(case, route)) or (route is not None and any(about_the_route(case, route)))
    except (IndexError, KeyError, ValueError):  # a bug may also show as a crash
        return True


@pytest.mark.parametrize("plant", SHOWN_BY_LARGER_GRAPHS, ids=lambda plant: plant.__name__)
def test_the_exact_solver_catches(plant: Plant) -> None:
    caught = 0
    for seed in range(60):
        case = limited(seed, "time" if seed % 2 else "none")
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            route = router.cheapest_route(case.problem())
        caught += route is None or route.weight != milp(case, timed=case.within_s is not None)
    assert caught > 0
