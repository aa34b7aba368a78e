"""Questions to tier policies, and the laws that every answer keeps, told without the code that answers."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import TypeAlias

from hypothesis import strategies as st

from agentroute.graph.compiled import compile_graph
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import ToolSpec
from agentroute.ids import ArtifactId, GoalId, NanoUsd, ToolId
from agentroute.routing.router import Problem, cheapest_route
from agentroute.routing.tiers.policy import (
    AlwaysCheap,
    AlwaysExpensive,
    Cascade,
    Learned,
    Policy,
    Threshold,
    decide,
)
from agentroute.routing.tiers.question import Choice, Question, Tier

NAMES = tuple(map(ToolId, ("haiku", "opus", "sonnet", "small", "zeta")))
LEAST_P = 0.001

chances = st.floats(0.0, 1.0, allow_nan=False)
money = st.integers(0, 10**8).map(NanoUsd)
policies: st.SearchStrategy[Policy] = st.one_of(
    st.builds(AlwaysCheap),
    st.builds(AlwaysExpensive),
    st.builds(Threshold, chances),
    st.builds(Cascade),
    st.builds(Learned, st.sampled_from([0.0, 0.1, 1.0])),
)


@st.composite
def questions(draw: st.DrawFn, *, detection: st.SearchStrategy[float] = chances, most: int = 5) -> Question:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=most, unique=True))
    tiers = [Tier(name, draw(money), draw(money), draw(chances)) for name in names]
    return Question(
        tiers=tiers,
        affordable=frozenset(draw(st.sets(st.sampled_from(names)))),
        worth=draw(money),
        detection=draw(detection),
        compound=draw(st.booleans()),
        tried=frozenset(draw(st.sets(st.sampled_from(names)))),
        draw=draw(st.none() | st.floats(0, 1, exclude_max=True)),
    )


# ------------------------------------------------------------- what a tier comes to, told again


def right_after_retries(p: float, detection: float) -> tuple[float, float]:
    """Chance to be right, and attempts, by adding up what happens attempt by attempt."""
    p = max(p, LEAST_P)
    again, right, attempts = 1.0, 0.0, 0.0
    while again > 1e-13:
        right += again * p
        attempts += again
        again *= detection * (1.0 - p)
    return right, attempts


def honest(question: Question, tier: Tier) -> float:
    """Weight of a tier by itself, in nano-dollars."""
    q, attempts = right_after_retries(tier.p, question.detection)
    lost = -math.log(min(1.0, q)) if question.compound else 1.0 - q
    return float(tier.cost * attempts + question.worth * lost)


def in_turn(question: Question, order: Sequence[Tier]) -> float:
    """What a step is expected to cost, in nano-dollars, whose tiers are asked in this order until one is accepted."""
    reached, cost, right = 1.0, 0.0, 0.0
    for tier in order:
        p = max(tier.p, LEAST_P)
        cost += reached * tier.cost
        right += reached * p
        reached *= question.detection * (1.0 - p)
    return cost + question.worth * (-math.log(min(1.0, right)) if question.compound else 1.0 - right)


def near(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=1e-9, abs_tol=2.0)


def cascade_cost(question: Question, tiers: tuple[Tier, ...]) -> float:
    """What a step costs if these tiers are asked in turn, by every way it can go."""
    cost, reached = 0.0, 1.0
    for place, tier in enumerate(tiers):
        cost += reached * tier.cost
        last = place == len(tiers) - 1
        wrong = reached * (1.0 - max(tier.p, LEAST_P))
        cost += question.worth * (wrong if last else wrong * (1.0 - question.detection))
        reached = wrong * question.detection
    return cost


# ------------------------------------------------------------- laws


def routed(weights: dict[ToolId, NanoUsd]) -> ToolId:
    """The tier that the router takes: tiers stand between a step before and a step after them."""
    before = ToolSpec(ToolId("before"), produces=(ArtifactId("asked"),))
    after = ToolSpec(ToolId("after"), requires=(ArtifactId("answer"),), produces=(ArtifactId("done"),))
    tiers = [ToolSpec(name, requires=(ArtifactId("asked"),), produces=(ArtifactId("answer"),)) for name in weights]
    graph = compile_graph([before, after, *tiers], [GoalSpec(GoalId("goal"), (ArtifactId("done"),))])
    each = {ToolId("before"): NanoUsd(7), ToolId("after"): NanoUsd(11), **weights}
    route = cheapest_route(Problem(graph, GoalId("goal"), frozenset(), each))
    assert route is not None
    assert route.optimal
    [taken] = set(route.tools) & weights.keys()
    return taken


def the_cheapest_route_is_the_choice(policy: Policy, question: Question) -> None:
    choice = decide(policy, question)
    for place, name in enumerate(choice.ranking):
        left = {tier: choice.weights[tier] for tier in choice.ranking[place:]}
        assert routed(left) == name


def only_what_is_affordable_is_chosen(policy: Policy, question: Question) -> None:
    choice = decide(policy, question)
    assert sorted(choice.ranking) == sorted(question.affordable & {tier.name for tier in question.tiers})
    assert choice.weights.keys() == choice.propensities.keys() == set(choice.ranking)
    assert (choice.chosen is None) == (not choice.ranking)


def no_weight_is_below_its_honest_value(policy: Policy, question: Question) -> None:
    choice = decide(policy, question)
    values = [choice.weights[name] for name in choice.ranking]
    assert all(low < high for low, high in pairwise(values))
    if isinstance(policy, Cascade):
        return  # its weights are of the whole cascade, see below
    for tier in question.tiers:
        if tier.name in choice.weights:
            own = honest(question, tier)
            assert choice.weights[tier.name] >= own or near(choice.weights[tier.name], own)


def chances_of_choices_add_up(policy: Policy, question: Question) -> None:
    choice = decide(policy, question)
    if choice.chosen is None:
        return
    assert math.isclose(sum(choice.propensities.values()), 1.0)
    assert choice.propensities[choice.chosen] > 0
    others = sum(chance for name, chance in choice.propensities.items() if name != best(policy, question))
    experiments = isinstance(policy, Learned) and question.draw is not None and question.detection > 0
    assert others <= (policy.explore if isinstance(policy, Learned) and experiments else 0.0) + 1e-12


def best(policy: Policy, question: Question) -> ToolId:
    calm = Question(
        question.tiers,
        question.affordable,
        question.worth,
        question.detection,
        compound=question.compound,
        tried=question.tried,
    )
    chosen = decide(policy, calm).chosen
    assert chosen is not None
    return chosen


def the_policy_does_what_its_name_says(policy: Policy, question: Question) -> None:
    tiers = [tier for tier in question.tiers if tier.name in question.affordable]
    if not tiers:
        return
    chosen = next(tier for tier in tiers if tier.name == best(policy, question))
    match policy:
        case AlwaysCheap():
            assert chosen.cost == min(tier.cost for tier in tiers)
        case AlwaysExpensive():
            assert chosen.cost == max(tier.cost for tier in tiers)
        case Threshold(least=least):
            enough = [tier.cost for tier in tiers if tier.p >= least]
            assert chosen.cost == min(enough) if enough else chosen.p == max(tier.p for tier in tiers)
        case Learned():
            assert near(honest(question, chosen), min(honest(question, tier) for tier in tiers))
        case Cascade():
            a_cascade_costs_the_least(question)


def a_cascade_costs_the_least(question: Question) -> None:
    """Of all cascades in order of price that end in the dearest tier, the one that is begun costs the least."""
    untried = sorted(
        (tier for tier in question.tiers if tier.name in question.affordable - question.tried),
        key=lambda tier: (tier.cost, tier.name),
    )
    if not untried:
        return
    *cheaper, dearest = untried
    every = [(*part, dearest) for size in range(len(cheaper) + 1) for part in combinations(cheaper, size)]
    least = min(cascade_cost(question, tiers) for tiers in every)
    choice: Choice = decide(Cascade(), question)
    assert choice.chosen is not None
    assert choice.chosen not in question.tried
    assert near(choice.weights[choice.chosen], least)


Law: TypeAlias = Callable[[Policy, Question], None]

LAWS: tuple[Law, ...] = (
    the_cheapest_route_is_the_choice,
    only_what_is_affordable_is_chosen,
    no_weight_is_below_its_honest_value,
    chances_of_choices_add_up,
    the_policy_does_what_its_name_says,
)
