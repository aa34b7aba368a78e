"""Laws of the step router: chances, weights, policies and pacing."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentroute.errors import DefinitionError
from agentroute.ids import NanoUsd, ToolId, nanos
from agentroute.routing.tiers import policy as policy_module
from agentroute.routing.tiers import question as question_module
from agentroute.routing.tiers.accepted import attempts, loss, right
from agentroute.routing.tiers.chances import RAREST, Chances, TierWeights, calibrated
from agentroute.routing.tiers.pace import Pace, Spending, spendable
from agentroute.routing.tiers.policy import Cascade, Learned, Policy, decide
from agentroute.routing.tiers.question import HEAVIEST, Question, Tier
from agentroute.routing.tiers.situation import DIMENSIONS, Situation, sketch
from tests.properties.tier_cases import (
    LAWS,
    Law,
    chances,
    honest,
    in_turn,
    money,
    near,
    policies,
    questions,
    right_after_retries,
)

# ------------------------------------------------------------------------- what is accepted


@given(chances, chances)
def test_what_is_accepted_is_what_adds_up_attempt_by_attempt(p: float, detection: float) -> None:
    q, tries = right_after_retries(p, detection)
    assert right(p, detection) == pytest.approx(min(1.0, q), rel=1e-9)
    assert attempts(p, detection) == pytest.approx(tries, rel=1e-6)


@given(chances, chances, chances, chances)
def test_better_tiers_and_better_verifiers_are_right_more_often(
    p: float, more: float, d: float, sharper: float
) -> None:
    low, high = sorted((p, more))
    assert right(low, d) <= right(high, d) + 1e-12
    assert attempts(low, d) >= attempts(high, d) - 1e-12
    dull, sharp = sorted((d, sharper))
    assert right(p, dull) <= right(p, sharp) + 1e-12
    assert attempts(p, dull) <= attempts(p, sharp) + 1e-12
    assert loss(right(low, d), compound=True) >= loss(right(low, d), compound=False) >= 0


# ------------------------------------------------------------------------- policies


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@given(policy=policies, question=questions())
def test_every_policy_keeps_the_laws(law: Law, policy: Policy, question: Question) -> None:
    law(policy, question)


@given(questions(most=2))
def test_an_upgrade_is_worth_it_when_the_gain_per_dollar_beats_the_price_of_success(question: Question) -> None:
    compound = question.compound
    assume(len(question.tiers) == 2)
    assume(question.worth > 0)
    question = replace(question, affordable=frozenset(t.name for t in question.tiers), draw=None)
    cheap, dear = sorted(question.tiers, key=lambda tier: tier.cost * attempts(tier.p, question.detection))
    gain = loss(right(cheap.p, question.detection), compound=compound) - loss(
        right(dear.p, question.detection), compound=compound
    )
    price = dear.cost * attempts(dear.p, question.detection) - cheap.cost * attempts(cheap.p, question.detection)
    assume(price > 0)
    assume(abs(question.worth * gain - price) > 2)  # closer than a nano-dollar, the name decides
    upgraded = decide(Learned(), question).chosen == dear.name
    assert upgraded == (gain / price > 1 / question.worth)


@given(questions(), money)
def test_who_pays_more_for_success_never_gets_less_of_it(question: Question, other: NanoUsd) -> None:
    assume(question.affordable)
    question = replace(question, draw=None)
    low, high = (replace(question, worth=worth) for worth in sorted((question.worth, other)))
    by_name = {tier.name: tier for tier in question.tiers}
    few, many = (by_name[decide(Learned(), each).chosen or ToolId("")] for each in (low, high))
    slack = 2.0 / max(1, abs(high.worth - low.worth))
    lost = [loss(right(tier.p, question.detection), compound=question.compound) for tier in (few, many)]
    assert lost[1] <= lost[0] + slack


@given(questions())
def test_tiers_that_are_asked_in_turn_are_asked_in_the_best_order(question: Question) -> None:
    """A run asks each tier once. Where steps stand alone, no other order costs less, whatever is noticed."""
    everything = frozenset(tier.name for tier in question.tiers)
    question = replace(question, affordable=everything, draw=None, compound=False)
    by_name = {tier.name: tier for tier in question.tiers}
    mine = in_turn(question, [by_name[name] for name in decide(Learned(), question).ranking])
    best = min(in_turn(question, order) for order in permutations(question.tiers))
    assert mine <= best + len(everything)  # weights are rounded to a nano-dollar


@given(st.integers(1, 10**8), st.integers(1, 10**8), st.floats(0.01, 0.99))
def test_a_perfect_verifier_begins_cheaply_where_the_cheap_tier_pays_for_itself(a: int, b: int, p: float) -> None:
    cheap, dear = sorted((a, b))
    assume(abs(cheap + (1 - p) * dear - dear) > 2)
    tiers = [
        Tier(ToolId("cheap"), NanoUsd(cheap), NanoUsd(cheap), p),
        Tier(ToolId("dear"), NanoUsd(dear), NanoUsd(dear), 1.0),
    ]
    asked = Question(tiers, frozenset({ToolId("cheap"), ToolId("dear")}), worth=NanoUsd(10**12), detection=1.0)
    assert (decide(Cascade(), asked).chosen == "cheap") == (p > cheap / dear)


@given(questions(detection=st.just(0.0)))
def test_without_a_verifier_a_cascade_is_a_choice_between_steps_that_stand_alone(question: Question) -> None:
    question = replace(question, compound=False, draw=None, tried=frozenset())
    assume(question.affordable)
    by_name = {tier.name: tier for tier in question.tiers}
    chosen = by_name[decide(Cascade(), question).chosen or ToolId("")]
    best = by_name[decide(Learned(), question).chosen or ToolId("")]
    assert near(honest(question, chosen), honest(question, best))


@given(questions(), st.sampled_from([0.3, 1.0]))
def test_dice_fall_as_often_as_was_logged(question: Question, explore: float) -> None:
    question = replace(question, detection=0.5)
    assume(len(question.affordable) > 1)
    grid = [(n + 0.5) / 2000 for n in range(2000)]
    chosen = [decide(Learned(explore), replace(question, draw=draw)).chosen for draw in grid]
    told = decide(Learned(explore), replace(question, draw=0.0)).propensities
    for name, chance in told.items():
        assert chosen.count(name) / len(grid) == pytest.approx(chance, abs=0.002)


@given(questions())
def test_where_wrong_answers_go_unnoticed_nothing_is_tried_out(question: Question) -> None:
    question = replace(question, detection=0.0, draw=0.999)
    assert decide(Learned(1.0), question) == decide(Learned(0.0), question)


@given(policies, questions())
def test_weights_are_bounded_whatever_is_declared(policy: Policy, question: Question) -> None:
    huge = [replace(tier, cost=NanoUsd(10**18), p=0.0) for tier in question.tiers]
    choice = decide(policy, replace(question, tiers=huge, worth=NanoUsd(10**18), detection=1.0))
    assert all(0 <= weight <= HEAVIEST + len(huge) for weight in choice.weights.values())


# ------------------------------------------------------------------------- planted bugs


def _cases(count: int = 300) -> list[tuple[Policy, Question]]:
    draw = random.Random(3)
    found: list[tuple[Policy, Question]] = []
    for _ in range(count):
        names = draw.sample(["a", "b", "c", "d"], draw.randint(2, 4))
        tiers = [Tier(ToolId(name), NanoUsd(draw.randint(1, 10**6)), NanoUsd(10**6), draw.random()) for name in names]
        policy = draw.choice(
            [Learned(), Learned(0.5), Cascade(), *(kind() for kind in policy_module.POLICIES.values())]
        )
        question = Question(
            tiers,
            frozenset(ToolId(name) for name in draw.sample(names, draw.randint(1, len(names)))),
            NanoUsd(draw.randint(0, 10**7)),
            draw.choice([0.0, 0.5, 0.9, 1.0]),
            compound=draw.random() < 0.5,
            tried=frozenset(ToolId(name) for name in names if draw.random() < 0.2),
            draw=draw.choice([None, draw.random()]),
        )
        found.append((policy, question))
    return found


def _broken(cases: list[tuple[Policy, Question]]) -> set[str]:
    broken = set[str]()
    for law in LAWS:
        try:
            for policy, question in cases:
                law(policy, question)
        except (AssertionError, ValueError, StopIteration):
            broken.add(law.__name__)
    return broken


def _unlifted(ranking: Sequence[ToolId], weights: Mapping[ToolId, NanoUsd]) -> dict[ToolId, NanoUsd]:
    return {name: weights[name] for name in ranking}


def _last_first(_p: Policy, _q: Question, ranked: Sequence[ToolId], _w: object) -> dict[ToolId, float]:
    return dict.fromkeys(ranked, 0.0) | {ranked[-1]: 1.0}


def _unfolded(question: Question) -> dict[ToolId, NanoUsd]:
    return {tier.name: question.weight(tier) for tier in question.open if tier.name not in question.tried}


def _everything(question: Question) -> list[Tier]:
    return sorted(question.tiers, key=lambda tier: (tier.cost, tier.name))


def _blind(p: float, _: float) -> float:
    return max(RAREST, p)


def _once(_p: float, _d: float) -> float:
    return 1.0


def _linear(q: float, *, compound: bool) -> float:
    del compound
    return 1.0 - q


BUGS: Mapping[str, tuple[Any, str, object]] = {
    "the chance that a wrong answer is noticed is ignored": (question_module, "right", _blind),
    "retries are free": (question_module, "attempts", _once),
    "logarithms are forgotten": (question_module, "loss", _linear),
    "weights are not lifted": (policy_module, "_lifted", _unlifted),
    "dice choose, and the log says they did not": (policy_module, "_propensities", _last_first),
    "a cascade does not fold": (policy_module, "_folded", _unfolded),
    "what cannot be paid for is taken": (Question, "open", property(_everything)),
}


def test_the_policies_as_they_are_keep_every_law() -> None:
    assert _broken(_cases()) == set()


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_breaks_a_law(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, instead = BUGS[bug]
    monkeypatch.setattr(owner, name, instead)
    assert _broken(_cases())


# ------------------------------------------------------------------------- pacing


@st.composite
def paces(draw: st.DrawFn) -> Pace:
    worth, factors = draw(st.floats(1e-6, 1e3)), st.floats(1, 1e3)
    return Pace(worth, worth / draw(factors), worth * draw(factors), draw(st.floats(0, 1)))


@given(paces(), st.lists(st.tuples(st.integers(0, 10**18), st.integers(0, 10**18)), max_size=50))
def test_a_pace_stays_within_its_bounds_whatever_runs_report(pace: Pace, runs: list[tuple[int, int]]) -> None:
    for spent, meant in runs:
        before = pace.usd_per_success
        pace = pace.after(NanoUsd(spent), NanoUsd(meant))
        assert pace.least <= pace.usd_per_success <= pace.most
        assert abs(math.log(pace.usd_per_success / before)) <= 10 * pace.rate + 1e-9


@given(paces(), money, money, money)
def test_who_spends_more_pays_no_more_for_success_afterwards(pace: Pace, a: int, b: int, meant: NanoUsd) -> None:
    little, much = sorted((a, b))
    calm, dear = pace.after(NanoUsd(little), meant), pace.after(NanoUsd(much), meant)
    assert dear.usd_per_success <= calm.usd_per_success
    assert pace.after(meant, meant).usd_per_success == pace.usd_per_success


@pytest.mark.parametrize("start", [1e-6, 0.01, 100.0])
@pytest.mark.parametrize("meant", [0.002, 0.005, 0.009])
def test_spending_settles_at_what_was_meant(start: float, meant: float) -> None:
    """Steps of which every other one gains from the dear tier by a chance of its own: against a fixed worth."""
    draw = random.Random(5)
    pace = Pace(start, least=1e-9, most=1e6, rate=0.2)
    spent: list[int] = []
    for _ in range(3_000):
        gain = draw.random() * 0.5
        tiers = [
            Tier(ToolId("cheap"), nanos(0.001), nanos(0.001), 0.5),
            Tier(ToolId("dear"), nanos(0.01), nanos(0.01), 0.5 + gain),
        ]
        asked = Question(tiers, frozenset(tier.name for tier in tiers), pace.worth, compound=False)
        cost = nanos(0.01 if decide(Learned(), asked).chosen == "dear" else 0.001)
        spent.append(cost)
        pace = pace.after(cost, nanos(meant))
    late = sum(spent[1_000:]) / len(spent[1_000:])
    assert late == pytest.approx(nanos(meant), rel=0.05)


@given(
    st.lists(st.tuples(st.floats(1e-6, 1e3), st.floats(0, 10)), min_size=1, max_size=20, unique_by=lambda p: p[0]),
    st.floats(0, 10),
)
def test_the_worth_for_an_amount_spends_about_that(points: list[tuple[float, float]], usd: float) -> None:
    worths, costs = sorted(w for w, _ in points), sorted(c for _, c in points)
    curve = Spending(tuple(zip(worths, costs, strict=True)))
    worth = curve.worth_for(usd)
    assert worths[0] <= worth <= worths[-1]
    assert all(cost <= usd for known, cost in curve.points if known < worth * (1 - 1e-9)) or worth == worths[0]
    assert all(cost >= usd for known, cost in curve.points if known > worth * (1 + 1e-9)) or worth == worths[-1]


@given(st.integers(0, 10**9), st.integers(1, 20), st.integers(1, 10**8), st.integers(1, 10**8))
def test_what_can_be_spent_is_whole_calls(left: int, steps: int, a: int, b: int) -> None:
    cheap, dear = sorted((a, b))
    usable = spendable(NanoUsd(left), steps, cheap=NanoUsd(cheap), dear=NanoUsd(dear))
    possible = [steps * cheap + n * (dear - cheap) for n in range(steps + 1)]
    assert usable == max((each for each in possible if each <= left), default=left)


@pytest.mark.parametrize(
    "bad", [{"usd_per_success": 0.0}, {"rate": 2.0}, {"rate": float("nan")}, {"least": 2.0}, {"most": 0.5}]
)
def test_a_pace_without_meaning_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(DefinitionError, match="pace"):
        Pace(**{"usd_per_success": 1.0, **bad})


# ------------------------------------------------------------------------- chances


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(0, 5), st.floats(-10, 10))
def test_calibration_keeps_the_order(a: float, b: float, slope: float, offset: float) -> None:
    low, high = sorted((a, b))
    assert RAREST <= calibrated(low, slope, offset) <= calibrated(high, slope, offset) <= 1


@given(st.text(max_size=200), st.dictionaries(st.integers(0, DIMENSIONS - 1), st.floats(-1e3, 1e3), max_size=20))
def test_a_chance_is_a_chance_whatever_was_asked(text: str, weights: dict[int, float]) -> None:
    model = Chances(weights, {"a": TierWeights(0.3, weights), "b": TierWeights(0.0, {}, 0.0, -1.0)})
    told = model.of(Situation(text, sketch(text), text, {"a": 2}), {"a": 0.5, "b": 0.5, "new": 0.25, "never": 0.0})
    assert all(RAREST <= chance <= 1 for chance in told.values())
    assert told["b"] == pytest.approx(1 / (1 + math.e))
    assert (told["new"], told["never"]) == (0.25, RAREST)


@given(st.text(max_size=2_000))
def test_a_sketch_counts_what_is_there(text: str) -> None:
    seen = sketch(text)
    assert seen.characters == len(text)
    assert seen.lines == (text.count("\n") + 1 if text else 0)
    vector = Situation(text=seen).vector
    places = [at for at, _ in vector]
    assert places == sorted(set(places))
    assert all(0 <= at < DIMENSIONS and math.isfinite(value) for at, value in vector)
