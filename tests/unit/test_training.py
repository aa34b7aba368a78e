"""Learning from outcomes, and judging policies by them: against simulated worlds whose truth is known."""

import json
import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentroute.adapters.outcome_log import read_outcomes, write_outcomes
from agentroute.adapters.tier_model import TierModel
from agentroute.errors import DefinitionError
from agentroute.ids import nanos
from agentroute.routing.tiers.accepted import answerable
from agentroute.routing.tiers.accepted import right as accepted_right
from agentroute.routing.tiers.outcome import Judgement, Outcome
from agentroute.routing.tiers.policy import AlwaysCheap, AlwaysExpensive, Learned, Policy
from agentroute.routing.tiers.situation import DIMENSIONS, Situation, sketch
from agentroute.training import replay as replay_module
from agentroute.training.calibration import calibration_error, platt, ranking, reliability
from agentroute.training.descent import least
from agentroute.training.estimates import Estimate, average, self_normalised
from agentroute.training.logistic import Outcomes, chance, fit
from agentroute.training.replay import Plan, replay, unseen_chances
from agentroute.training.rows import Floats, Rows
from agentroute.training.together import guessed
from agentroute.training.train import train

Runs: TypeAlias = NDArray[np.int64]

USD = {"cheap": 0.001, "dear": 0.01}
TRUTH = {("easy", "cheap"): 0.95, ("easy", "dear"): 0.97, ("hard", "cheap"): 0.3, ("hard", "dear"): 0.9}


def world(
    count: int, seed: int, *, cheap: float = 0.5, per_run: int = 2, truth: dict[tuple[str, str], float] = TRUTH
) -> list[Outcome]:
    """A log of steps, four in ten of them hard; the cheap tier was taken with this chance."""
    draw = random.Random(seed)
    outcomes: list[Outcome] = []
    for number in range(count):
        kind = "hard" if draw.random() < 0.4 else "easy"
        text = f"prove the theorem {draw.choice('abc')}" if kind == "hard" else f"what colour is {draw.choice('xyz')}"
        tier, propensity = ("cheap", cheap) if draw.random() < cheap else ("dear", 1 - cheap)
        outcomes.append(
            Outcome(
                run=f"{seed}-{number // per_run}",
                situation=Situation("q", sketch(text), depth=number % per_run),
                tier=tier,
                usd=USD[tier] * draw.choice([0.5, 1.5]),
                right=float(draw.random() < truth[kind, tier]),
                propensity=propensity,
                tiers=USD,
            )
        )
    return outcomes


# ------------------------------------------------------------------------- numbers


def test_rows_are_what_a_dense_matrix_would_be() -> None:
    draw = np.random.default_rng(1)
    vectors = [
        sorted(zip(map(int, draw.choice(DIMENSIONS, 7, replace=False)), map(float, draw.normal(size=7)), strict=True))
        for _ in range(20)
    ]
    dense = np.zeros((20, DIMENSIONS))
    for row, vector in enumerate(vectors):
        for at, value in vector:
            dense[row, at] = value
    weights, errors, which = draw.normal(size=DIMENSIONS), draw.normal(size=20), draw.random(20) < 0.4
    rows = Rows.of(vectors)
    assert np.allclose(rows @ weights, dense @ weights)
    assert np.allclose(rows.transposed(errors), dense.T @ errors)
    assert np.allclose(rows.some(which) @ weights, dense[which] @ weights)
    assert len(rows.some(np.zeros(20, dtype=bool)) @ weights) == 0


def test_descent_finds_the_bottom_of_a_bowl() -> None:
    draw = np.random.default_rng(2)
    matrix = draw.normal(size=(30, 12))
    curvature, pull = matrix.T @ matrix + 0.1 * np.eye(12), draw.normal(size=12)

    def bowl(point: Floats) -> tuple[float, Floats]:
        return float(point @ curvature @ point / 2 - pull @ point), curvature @ point - pull

    assert np.allclose(least(bowl, np.zeros(12), tolerance=1e-9), np.linalg.solve(curvature, pull), atol=1e-6)


def test_a_fit_is_where_its_gradient_is_zero() -> None:
    outcomes = world(400, 3)
    rows = Rows.of([each.situation.vector for each in outcomes])
    right = np.array([each.right for each in outcomes])
    found = fit({"a": Outcomes(rows, right)}, shared_penalty=2.0, own_penalty=3.0)
    error = chance(found.odds("a", rows)) - right
    pull = rows.transposed(error)
    assert np.linalg.norm(pull + 2.0 * found.shared) < 0.02 * np.linalg.norm(rows.transposed(0.5 - right))
    assert np.linalg.norm(pull + 3.0 * found.own["a"]) < 0.02 * np.linalg.norm(rows.transposed(0.5 - right))
    assert abs(error.sum()) < 4


def test_few_outcomes_of_a_tier_borrow_from_the_others() -> None:
    outcomes = world(2_000, 4, truth={**TRUTH, ("easy", "dear"): 0.95, ("hard", "dear"): 0.3})
    few = [each for n, each in enumerate(outcomes) if each.tier == "cheap" or n % 40 == 0]
    chances = train(few).chances
    hard, easy = (
        chances.of(Situation("q", sketch(text)), {"dear": 0.5})["dear"]
        for text in ("prove the theorem a", "what colour is x")
    )
    assert hard < 0.55
    assert easy > 0.8


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.4, 0.5), (2.0, -1.0)])
def test_platt_finds_what_was_wrong_with_the_odds(slope: float, offset: float) -> None:
    draw = np.random.default_rng(5)
    odds = draw.normal(size=20_000) * 1.5
    right = (draw.random(20_000) < chance(slope * odds + offset)).astype(np.float64)
    found = platt(odds, right)
    assert (found.slope, found.offset) == (pytest.approx(slope, abs=0.06), pytest.approx(offset, abs=0.06))


@pytest.mark.parametrize("wrong", [-1.0, 40.0])
def test_platt_never_turns_the_order_around(wrong: float) -> None:
    draw = np.random.default_rng(6)
    odds = draw.normal(size=2_000) * (1.0 if wrong < 0 else 0.05)
    right = (draw.random(2_000) < chance(wrong * odds)).astype(np.float64)
    found = platt(odds, right)
    assert 0.0 <= found.slope <= 5.0
    assert float(np.mean(chance(found.slope * odds + found.offset))) == pytest.approx(float(right.mean()), abs=0.01)


def test_reliability_and_ranking_of_predictions_that_are_known() -> None:
    said = np.array([0.05, 0.05, 0.95, 0.95])
    bins = reliability(said, np.array([0.0, 0.0, 1.0, 1.0]))
    assert [(each.count, each.came) for each in bins] == [(2, 0.0), (2, 1.0)]
    assert calibration_error(bins) == pytest.approx(0.05)
    assert ranking(said, np.array([0.0, 1.0, 1.0, 1.0])) == pytest.approx((0.5 + 1 + 1) / 3)
    assert ranking(said, np.ones(4)) is None


# ------------------------------------------------------------------------- training


def test_training_finds_which_steps_are_hard() -> None:
    trained = train(world(4_000, 7))
    for text, kind in (("prove the theorem b", "hard"), ("what colour is y", "easy")):
        said = trained.chances.of(Situation("q", sketch(text)), {"cheap": 0.5, "dear": 0.5})
        for tier, chance_of in said.items():
            assert chance_of == pytest.approx(TRUTH[kind, tier], abs=0.08)  # drawn to each other
    report = trained.reports["cheap"]
    assert report.log_loss < report.base_log_loss - 0.1
    assert report.error < 0.06
    assert report.outcomes + report.held_out == trained.outcomes["cheap"]


def test_the_same_log_gives_the_same_model() -> None:
    outcomes = world(600, 8)
    assert train(outcomes).chances == train(outcomes).chances


def test_what_nobody_has_checked_is_left_out_unless_it_is_asked_for() -> None:
    outcomes = world(200, 9)
    doubtful = [replace(each, verified=False, right=1.0) for each in world(100, 10)]
    silent = [replace(each, right=None) for each in world(50, 11)]
    trained = train([*outcomes, *doubtful, *silent])
    assert sum(trained.outcomes.values()) == 200
    assert trained.left_out == {"not verified": 100, "without a verdict": 50}
    assert sum(train([*outcomes, *doubtful], unverified=True).outcomes.values()) == 300


def test_a_tier_with_too_few_outcomes_is_left_out_and_nothing_is_an_error() -> None:
    rare = replace(world(1, 12)[0], tier="rare", tiers={**USD, "rare": 1.0})
    assert train([*world(200, 13), rare]).left_out == {"of tier rare, which has too few": 1}
    with pytest.raises(DefinitionError, match="nothing to learn from: 1 of tier rare"):
        train([rare])


TIERS = {"small": 0.5, "large": 0.9}


def judged_log(path: Path, steps: int, *, runs: int = 2_000, detection: float = 0.0) -> str:
    """Runs of so many steps that nothing notices wrong answers in; each is judged as a whole, truthfully."""
    draw, lines = random.Random(3), list[Outcome | Judgement]()
    for run in map(str, range(runs)):
        right = True
        for step in range(steps):
            tier = draw.choice(list(TIERS))
            right = draw.random() < TIERS[tier] and right
            asked = Situation(f"s{step}", sketch("what is it"), depth=step)
            known = (1.0, True) if detection == 1 else (None, False)
            lines.append(Outcome(run, asked, tier, 0.001, *known, 0.5, dict.fromkeys(TIERS, 0.001), detection))
        lines.append(Judgement(run, float(right)))
    write_outcomes(path, lines)
    return str(path)


@pytest.mark.parametrize(("steps", "detection"), [(1, 0.0), (2, 0.0), (3, 0.0), (2, 1.0)])
def test_runs_that_were_judged_as_a_whole_teach_the_true_chances(tmp_path: Path, steps: int, detection: float) -> None:
    """Those that were right are right in all steps. To leave out the others would make every tier always right."""
    trained = train(list(read_outcomes(judged_log(tmp_path / "log", steps, detection=detection))))
    said = trained.chances.of(Situation("s0", sketch("what is it")), dict.fromkeys(TIERS, 0.7))
    assert said == pytest.approx(TIERS, abs=0.05)
    assert trained.together == (2_000 * steps if steps > 1 else 0)
    assert {tier: report.rate for tier, report in trained.reports.items()} == pytest.approx(TIERS, abs=0.12)


def test_which_steps_are_hard_is_learned_from_runs_alone() -> None:
    """What is asked says which step of a wrong run is likely to blame."""
    outcomes = [replace(each, situation=replace(each.situation, depth=0)) for each in world(6_000, 39, per_run=2)]
    runs = [outcomes[at : at + 2] for at in range(0, len(outcomes), 2)]
    told = [
        replace(each, right=None, judged=True, together=float(all(other.right for other in run)))
        for run in runs
        for each in run
    ]
    chances = train(told).chances
    for text, kind in (("prove the theorem b", "hard"), ("what colour is y", "easy")):
        said = chances.of(Situation("q", sketch(text)), {"cheap": 0.5, "dear": 0.5})
        assert said == pytest.approx({tier: TRUTH[kind, tier] for tier in USD}, abs=0.12), kind


def test_a_replay_leaves_out_what_is_known_of_runs_alone(tmp_path: Path) -> None:
    outcomes = list(read_outcomes(judged_log(tmp_path / "log", 2, runs=50)))
    said = [dict.fromkeys(TIERS, 0.5)] * len(outcomes)
    with pytest.raises(DefinitionError, match=r"agentroute budget judge .* of several model steps step by step"):
        replay(outcomes, Plan(AlwaysCheap()), said=said)
    write_outcomes(tmp_path / "log", [Judgement(str(run), 1.0, "s0") for run in range(50)])
    found = replay(list(read_outcomes(tmp_path / "log")), Plan(AlwaysCheap()), said=said)
    assert (found.records, found.left_out) == (50, 50)


def test_a_step_is_replayed_with_all_of_its_answers_or_not_at_all() -> None:
    """Where nobody knows of the accepted answer, the refused one before it is not what became of the step."""
    first = replace(world(1, 30)[0], right=0.0, detection=0.5, run="run")
    again = replace(first, right=None, verified=False, situation=replace(first.situation, tried={first.tier: 1}))
    other = replace(first, run="other", right=1.0)
    found = replay([first, again, other], Plan(AlwaysCheap()), said=[dict.fromkeys(USD, 0.5)] * 3)
    assert (found.records, found.left_out, found.logged_right.mean) == (1, 2, 1.0)


def test_a_step_that_is_known_to_be_wrong_says_why_its_run_was(tmp_path: Path) -> None:
    tiers = {"a": 0.001}
    lines: list[Outcome | Judgement] = [
        Outcome("run", Situation(step), "a", 0.001, None, tiers=tiers, verified=False) for step in ("x", "y")
    ]
    write_outcomes(tmp_path / "log", [*lines, Judgement("run", 0.0), Judgement("run", 0.0, "x")])
    x, y = guessed(list(read_outcomes(tmp_path / "log")))
    assert x.right == 0.0
    assert y.right == pytest.approx(0.5, abs=1e-3)  # as if its run had not been judged


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.99)), min_size=1, max_size=4), st.floats(0, 1))
def test_what_a_run_says_of_its_answers_is_counted_case_by_case(
    chances: list[tuple[float, float]], verdict: float
) -> None:
    """Every way in which answers can be right or wrong, by its chance, without those that the verdict rules out."""
    sure = [accepted_right(p, detection) for p, detection in chances]
    cases = list(product([True, False], repeat=len(sure)))
    weight = {case: math.prod(q if good else 1 - q for q, good in zip(sure, case, strict=True)) for case in cases}
    wrong = sum(weight[case] for case in cases if not all(case))
    assume(wrong > 1e-6)
    for place, share in enumerate(answerable(chances, verdict)):
        though = sum(weight[case] for case in cases if case[place] and not all(case)) / wrong
        assert share == pytest.approx(verdict + (1 - verdict) * though, abs=1e-4)


def test_steps_of_one_run_are_never_on_both_sides() -> None:
    outcomes = world(300, 14, per_run=3)
    for parts in (3, 1000):
        by_run: dict[str, set[int]] = {}
        for outcome in outcomes:
            by_run.setdefault(outcome.run, set()).add(outcome.part(parts, 1))
        assert all(len(found) == 1 for found in by_run.values())


# ------------------------------------------------------------------------- replay


def true_values(policy: Policy) -> tuple[float, float]:
    """What a policy reaches in the simulated world: hard and easy steps are told apart without error."""
    tiers = (
        {"easy": "cheap", "hard": "dear"}
        if isinstance(policy, Learned)
        else dict.fromkeys(("easy", "hard"), "cheap" if isinstance(policy, AlwaysCheap) else "dear")
    )
    right = 0.6 * TRUTH["easy", tiers["easy"]] + 0.4 * TRUTH["hard", tiers["hard"]]
    return right, 0.6 * USD[tiers["easy"]] + 0.4 * USD[tiers["hard"]]


def knowing(outcomes: Sequence[Outcome], bias: float = 0.0) -> list[dict[str, float]]:
    """Chances of somebody who knows which steps are hard."""
    hard = set(sketch("prove the theorem").words)
    kinds = ["hard" if hard <= set(each.situation.text.words) else "easy" for each in outcomes]
    return [{tier: min(1.0, TRUTH[kind, tier] + bias) for tier in USD} for kind in kinds]


@cache
def logs() -> list[list[Outcome]]:
    return [world(300, 1_000 + seed, cheap=0.7) for seed in range(100)]


@pytest.mark.parametrize(
    ("policy", "bias"),
    [(AlwaysCheap(), 0.0), (AlwaysExpensive(), -0.25), (Learned(), 0.0), (Learned(), -0.25)],
    ids=repr,
)
def test_intervals_hold_the_truth_as_often_as_they_say(policy: Policy, bias: float) -> None:
    right, usd = true_values(policy)
    truths = {"right": right, "usd": usd, "robust_right": right, "robust_usd": usd}
    hits = dict.fromkeys(truths, 0)
    for outcomes in logs():
        found = replay(outcomes, Plan(policy, nanos(0.05)), said=knowing(outcomes, bias))
        for name, truth in truths.items():
            estimate = getattr(found, name)
            hits[name] += estimate.low <= truth <= estimate.high
    # 95 of 100 are expected; fewer than 87 have a chance of about one in a thousand.
    assert min(hits.values()) >= 87, hits


AGAIN = {"cheap": 0.3, "dear": 0.5}
"""Chances of the second attempt, where the other tier was wrong: what is hard for one is hard for both."""


def checked_world(count: int, seed: int, *, cheap: float) -> list[Outcome]:
    """A log of steps whose wrong answers are all noticed: then the other tier is asked, by necessity."""
    outcomes: list[Outcome] = []
    draw = random.Random(seed)
    for number, each in enumerate(world(count, seed, cheap=cheap, per_run=1)):
        first = replace(each, run=f"{seed}-{number // 2}", detection=1.0, situation=Situation(f"q{number % 2}"))
        outcomes.append(first)
        if not first.right:
            other = "dear" if first.tier == "cheap" else "cheap"
            situation = replace(first.situation, error="contract", tried={first.tier: 1})
            right = float(draw.random() < AGAIN[other])
            rest = {"tier": other, "usd": USD[other], "right": right, "propensity": 1.0, "tiers": {other: USD[other]}}
            outcomes.append(replace(first, situation=situation, **rest))
    return outcomes


def test_what_a_policy_makes_necessary_later_is_charged_to_it() -> None:
    """Where wrong answers are asked again, cheap first costs second calls, and dear first saves them."""
    first = {tier: 0.6 * TRUTH["easy", tier] + 0.4 * TRUTH["hard", tier] for tier in USD}
    hits = dict.fromkeys(USD, 0)
    for seed in range(60):
        outcomes = checked_world(300, 2_000 + seed, cheap=0.7)
        for tier, policy in (("cheap", AlwaysCheap()), ("dear", AlwaysExpensive())):
            other = "dear" if tier == "cheap" else "cheap"
            usd = USD[tier] + (1 - first[tier]) * USD[other]
            right = first[tier] + (1 - first[tier]) * AGAIN[other]
            found = replay(outcomes, Plan(policy), said=[{name: first[name] for name in USD}] * len(outcomes))
            assert (found.steps, found.records) == (300, len(outcomes))
            for name, truth in (("usd", usd), ("robust_usd", usd), ("right", right), ("robust_right", right)):
                estimate = getattr(found, name)
                hits[tier] += estimate.low <= truth <= estimate.high
    # 228 of 240 are expected, and those of one log go together.
    assert min(hits.values()) >= 210, hits


def test_attempts_that_are_taken_for_steps_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Situation, "retries", 0)
    with pytest.raises(AssertionError):
        test_what_a_policy_makes_necessary_later_is_charged_to_it()


def test_the_model_speaks_of_whole_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uncorrected, it is right as well: what the first answer costs is not what its step costs."""
    monkeypatch.setattr(replay_module, "doubly_robust", _uncorrected)
    first = {tier: 0.6 * TRUTH["easy", tier] + 0.4 * TRUTH["hard", tier] for tier in USD}
    outcomes = checked_world(8_000, 2_500, cheap=0.7)
    for tier, policy in (("cheap", AlwaysCheap()), ("dear", AlwaysExpensive())):
        other = "dear" if tier == "cheap" else "cheap"
        found = replay(outcomes, Plan(policy), said=[dict.fromkeys(USD, 0.5)] * len(outcomes))
        assert found.robust_usd is not None
        assert found.robust_right is not None
        assert found.robust_usd.mean == pytest.approx(USD[tier] + (1 - first[tier]) * USD[other], rel=0.05)
        assert found.robust_right.mean == pytest.approx(first[tier] + (1 - first[tier]) * AGAIN[other], abs=0.02)


def test_steps_of_a_run_that_go_together_widen_the_interval() -> None:
    draw = np.random.default_rng(15)
    runs = np.repeat(np.arange(100), 10)
    values = np.repeat((draw.random(100) < 0.5).astype(np.float64), 10)
    together, apart = average(values, runs), average(values, np.arange(1_000))
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(math.sqrt(10), rel=0.05)


def test_a_log_that_never_tried_says_so() -> None:
    outcomes = [replace(each, propensity=1.0) for each in world(400, 16, cheap=1.0)]
    for policy, says in ((AlwaysCheap(), True), (AlwaysExpensive(), False), (Learned(), False)):
        found = replay(outcomes, Plan(policy, nanos(0.05)), said=knowing(outcomes))
        assert (found.right is not None) == says
        assert (found.overlap.why_not is None) == says
    mostly = replay(outcomes, Plan(Learned(), nanos(0.05)), said=knowing(outcomes))
    assert "in 40% of its steps it could never take what this policy would" in str(mostly.overlap.why_not)
    assert "0 steps of this policy" in str(
        replay(outcomes, Plan(AlwaysExpensive()), said=knowing(outcomes)).overlap.why_not
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_stretch_in_which_chance_had_no_part_is_noticed(seed: int) -> None:
    """Two stretches: in the one each tier is taken half of the time, in the other hard questions get the dear one."""
    tried, whole = (world(count, first + seed, per_run=1) for count, first in ((400, 2_100), (800, 2_200)))
    later = [
        replace(each, propensity=1.0)
        for each, said in zip(whole, knowing(whole), strict=True)
        if each.tier == ("cheap" if said["cheap"] > 0.5 else "dear")
    ]
    outcomes = [*tried, *later]
    found = replay(outcomes, Plan(AlwaysCheap()), said=knowing(outcomes))
    assert "because chance had no part in them" in str(found.overlap.why_not)
    assert found.usd is None
    alone = replay(tried, Plan(AlwaysCheap()), said=knowing(tried))
    assert alone.usd is not None
    assert alone.usd.low < USD["cheap"] < alone.usd.high
    hardly = [*tried, *later[:10]]
    assert 0 < replay(hardly, Plan(AlwaysCheap()), said=knowing(hardly)).overlap.barred < 0.03


def test_a_log_that_lacks_steps_of_one_tier_is_doubted() -> None:
    outcomes = world(2_000, 31, per_run=1)
    lost = [each for number, each in enumerate(outcomes) if each.tier == "dear" or number % 7]
    found = replay(lost, Plan(AlwaysCheap()), said=knowing(lost))
    [doubt] = found.doubts
    assert "each instead of 1: perhaps somewhere it could never take what this policy would" in doubt
    assert replay(outcomes, Plan(AlwaysCheap()), said=knowing(outcomes)).doubts == []


def test_tiers_that_could_not_always_be_taken_are_told_of() -> None:
    outcomes = world(400, 32, per_run=1)
    out = [
        replace(each, tiers={each.tier: USD[each.tier]}, propensity=1.0) if number % 4 == 0 else each
        for number, each in enumerate(outcomes)
    ]
    said = [dict.fromkeys(USD, 0.5)] * 400
    [doubt] = replay(out, Plan(AlwaysCheap()), said=said).doubts
    assert "step 'q': 25% of the times other tiers could be taken than usual" in doubt


def test_it_is_told_where_only_a_declaration_vouches_for_right_answers(tmp_path: Path) -> None:
    outcomes = [replace(each, detection=1.0) for each in checked_world(200, 36, cheap=0.7)]
    said = [dict.fromkeys(USD, 0.5)] * len(outcomes)
    accepted = [each for each in outcomes if each.right]
    silent = [replace(each, judged=True) if each is accepted[0] else each for each in outcomes]
    for log, is_told in (
        (outcomes, True),
        (silent, False),
        ([replace(each, detection=0.9) for each in outcomes], False),
    ):
        doubts = [*train(log).doubts, *replay(log, Plan(AlwaysCheap()), said=said[: len(log)]).doubts]
        assert len(doubts) == (2 if is_told else 0)
        assert all("ensure= is declared to notice every wrong one" in doubt for doubt in doubts)
    write_outcomes(tmp_path / "log", outcomes)
    out, _ = typed("train", str(tmp_path / "log"), "--quiet")
    assert "warning: every accepted answer counts as right" in out


@pytest.mark.parametrize("count", [34, 60])
def test_steps_that_all_came_out_alike_leave_room_for_what_did_not_come(count: int) -> None:
    outcomes = [
        replace(each, right=1.0, usd=0.001, propensity=1.0, tiers={"cheap": 0.001}, tier="cheap")
        for each in world(count, 33, per_run=1)
    ]
    found = replay(outcomes, Plan(AlwaysCheap()), said=[{"cheap": 0.5}] * count)
    for estimate in (found.right, found.robust_right, found.logged_right):
        assert estimate is not None
        assert (estimate.mean, estimate.high) == (1.0, 1.0)
        assert estimate.low == pytest.approx(1 - 3 / count)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.05, 1)), min_size=31, max_size=60),
    st.sampled_from([AlwaysCheap(), AlwaysExpensive(), Learned(0.3)]),
)
@settings(max_examples=50, deadline=None)
def test_no_estimate_leaves_what_can_be(taken: list[tuple[bool, bool, float]], policy: Policy) -> None:
    outcomes = [
        replace(each, tier="dear" if dear else "cheap", right=float(good), propensity=propensity, run=str(number))
        for number, (each, (dear, good, propensity)) in enumerate(zip(world(len(taken), 34), taken, strict=True))
    ]
    found = replay(outcomes, Plan(policy, nanos(0.05)), said=knowing(outcomes))
    for estimate in (found.right, found.robust_right, found.logged_right, found.usd, found.robust_usd):
        if estimate is not None:
            assert 0 <= estimate.low <= estimate.mean <= estimate.high
    for estimate in (found.right, found.robust_right, found.logged_right):
        assert estimate is None or (estimate.low < estimate.high <= 1)


def test_propensities_that_cannot_be_true_are_noticed() -> None:
    outcomes = [replace(each, propensity=0.2) for each in world(400, 17)]
    found = replay(outcomes, Plan(AlwaysCheap()), said=knowing(outcomes))
    assert "wrong propensities" in str(found.overlap.why_not)


def test_a_policy_is_not_judged_by_what_it_was_learned_from() -> None:
    """Words that mean nothing: whoever has seen the outcomes takes luck for skill."""
    draw = random.Random(18)
    flat = dict.fromkeys(TRUTH, 0.5)
    outcomes = [
        replace(each, situation=Situation("q", sketch(" ".join(f"w{draw.randrange(3_000)}x" for _ in range(6)))))
        for each in world(1_000, 19, truth=flat)
    ]
    seen = [{**dict.fromkeys(USD, 0.5), each.tier: 0.9 if each.right else 0.1} for each in outcomes]
    plan = Plan(Learned(), nanos(10.0), compound=False)
    hindsight, honest = (replay(outcomes, plan, said=said).right for said in (seen, unseen_chances(outcomes)))
    assert hindsight is not None
    assert honest is not None
    assert hindsight.low > 0.52
    assert honest.low < 0.5 < honest.high


def _unweighted(values: Floats, _w: Floats, runs: Runs) -> Estimate:
    return average(values, runs)


def _narrow(values: Floats, weights: Floats, runs: Runs) -> Estimate:
    found = self_normalised(values, weights, runs)
    return Estimate(found.mean, found.mean - (found.mean - found.low) / 4, found.mean + (found.high - found.mean) / 4)


def _cut(values: Floats, weights: Floats, runs: Runs) -> Estimate:
    return average(values * np.minimum(weights, 1.0), runs)


def _uncorrected(_v: Floats, _w: Floats, _s: Floats, planned: Floats, runs: Runs) -> Estimate:
    return average(planned, runs)


BUGS: Mapping[str, tuple[str, object]] = {
    "propensities are ignored": ("self_normalised", _unweighted),
    "intervals are too narrow": ("self_normalised", _narrow),
    "weights are cut off": ("self_normalised", _cut),
    "the model is not corrected": ("doubly_robust", _uncorrected),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_seen_in_the_coverage(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_module, *BUGS[bug])
    with pytest.raises(AssertionError):
        test_intervals_hold_the_truth_as_often_as_they_say(Learned(), -0.25)


# ------------------------------------------------------------------------- the command line


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    write_outcomes(tmp_path / "outcomes.jsonl", world(1_200, 20, cheap=0.7))
    monkeypatch.chdir(tmp_path)
    return "outcomes.jsonl"


def typed(*arguments: str, status: int = 0) -> tuple[str, str]:
    command = [Path(sys.executable).with_name("agentroute"), "budget", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def test_a_model_is_trained_written_and_replayed(log: str, tmp_path: Path) -> None:
    out, err = typed("train", log, "--out", "tiers.json", "--plot", "reliability.svg")
    assert "Judged by runs that were held out" in out
    assert "written to tiers.json" in err
    assert (tmp_path / "reliability.svg").read_text().startswith("<?xml")
    model = TierModel.load("tiers.json")
    assert set(model.chances.tiers) == {"cheap", "dear"}
    assert model.spending is not None
    assert model.spending.points[0][1] < model.spending.points[-1][1]
    out, err = typed(
        "replay",
        log,
        "--policy",
        "learned",
        "--policy",
        "always-expensive",
        "--worth",
        "0.05",
        "--model",
        "tiers.json",
        "--json",
    )
    told_of = json.loads(out)
    assert told_of["learned"]["usd"]["high"] < told_of["always-expensive"]["usd"]["low"]
    assert told_of["learned"]["right"]["low"] > 0.85
    assert not err


def test_what_training_prints_can_be_read_by_programs(log: str) -> None:
    out, err = typed("train", log, "--json", "--quiet")
    report = json.loads(out)["held_out"]["dear"]
    assert {"rate", "log_loss", "ranking", "error", "bins"} <= report.keys()
    assert not err


def test_a_replay_without_a_model_learns_from_the_other_runs(log: str) -> None:
    out, err = typed("replay", log, "--worth", "0.05")
    assert "learning, part 3 of 3" in err
    assert [line.split("  ")[0] for line in out.splitlines()[1:7]] == [
        "as logged",
        "always-cheap",
        "always-expensive",
        "threshold",
        "cascade",
        "learned",
    ]


def test_a_log_that_says_nothing_ends_with_status_1(tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    write_outcomes(file, [replace(each, propensity=1.0) for each in world(200, 21, cheap=1.0)])
    out, _ = typed("replay", str(file), "--policy", "always-expensive", "--quiet", status=1)
    assert "always-expensive: the log does not say; it is worth 0 steps of this policy" in out


def test_a_log_of_one_run_has_no_interval_and_json_no_infinity(tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    write_outcomes(file, [replace(each, run="one") for each in world(200, 35)])
    out, _ = typed("replay", str(file), "--policy", "always-cheap", "--json", "--quiet")
    said = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["always-cheap"]
    assert (said["right"]["low"], said["right"]["high"], said["usd"]["high"]) == (0.0, 1.0, None)
    out, _ = typed("replay", str(file), "--policy", "always-cheap", "--quiet")
    assert "[0.0%, 100.0%]" in out
    assert "inf" not in out


def test_no_log_is_written_over(log: str, tmp_path: Path) -> None:
    before = (tmp_path / log).read_bytes()
    (tmp_path / "link.jsonl").hardlink_to(tmp_path / log)
    (tmp_path / "notes.json").write_text("{}")
    for arguments, why in (
        (("--out", log), f"--out: {log} would write over {log}"),
        (("--out", "link.jsonl"), f"--out: link.jsonl would write over {log}"),
        (("--plot", f"./{log}"), f"--plot: {log} would write over {log}"),
        (("--out", "new.json", "--plot", "new.json"), "--plot: new.json would write over --out"),
        (("--out", "notes.json"), "--out: there is a file that is no model: notes.json"),
    ):
        _, err = typed("train", log, *arguments, status=2)
        assert why in " ".join(err.split())
    assert (tmp_path / log).read_bytes() == before
    assert (tmp_path / "notes.json").read_text() == "{}"
    assert not (tmp_path / "new.json").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("replay", "log", "--worth", "nan"), "'--worth': nan is no number"),
        (("replay", "log", "--detection", "nan"), "'--detection': nan is no number"),
        (("train", "log", "--held-out", "nan"), "'--held-out': nan is no number"),
        (("judge", "log", "run", "--right", "NaN"), "'--right': NaN is no number"),
        (("replay", "log", "--policy", "threshold", "--explore", "0.3"), "--explore is for the policy learned"),
        (("replay", "log", "--policy", "learned", "--least", "0.3"), "--least is for the policy threshold"),
        (("replay", "log", "--seed", "3", "--model", "tiers.json"), "--seed is of no use with --model"),
    ],
)
def test_options_that_mean_nothing_are_refused_by_name(arguments: tuple[str, ...], why: str) -> None:
    _, err = typed(*arguments, status=2)
    assert why in err


def test_an_interrupted_command_says_so_by_its_status(tmp_path: Path) -> None:
    write_outcomes(tmp_path / "long.jsonl", world(20_000, 37))
    command = [Path(sys.executable).with_name("agentroute"), "budget", "replay", str(tmp_path / "long.jsonl")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "learning" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert "interrupted" in process.communicate(timeout=60)[1]
    assert process.returncode == 130


def test_a_log_without_verdicts_says_how_to_give_them(tmp_path: Path) -> None:
    write_outcomes(tmp_path / "log", [replace(each, right=None) for each in world(60, 38)])
    for command in ("train", "replay"):
        _, err = typed(command, str(tmp_path / "log"), "--quiet", status=2)
        assert "agentroute budget judge" in err


def test_mistakes_are_told_with_their_place(log: str, tmp_path: Path) -> None:
    with (tmp_path / log).open("a") as stream:
        stream.write('{"version": "1"}\n')
    for command in (("train", log), ("replay", log)):
        out, err = typed(*command, "--quiet", status=2)
        assert not out
        assert f"{log}:1201:1: run: Field required" in err
    _, err = typed("train", "none.jsonl", status=2)
    assert "none.jsonl:1:1: cannot be read: No such file" in err
    (tmp_path / "empty.jsonl").write_text("")
    _, err = typed("train", "empty.jsonl", status=2)
    assert "nothing to learn from: the log is empty" in err
    _, err = typed("replay", "empty.jsonl", status=2)
    assert "no record of the log says" in err
    _, err = typed("replay", log, "--model", "none.json", status=2)
    assert "none.json:1:1: cannot be read" in err


def test_without_numpy_it_is_said_what_to_install(log: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, package=None: None if name == 'numpy' else find(name, package)\n"
    )
    code = "from agentroute.cli.main import main; main()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", code, "budget", "train", log]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode == 2
    assert "error: agentroute budget needs numpy: pip install 'agentroute[train]'" in done.stderr
