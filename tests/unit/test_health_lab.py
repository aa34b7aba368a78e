"""The health laboratory: its figures follow from the seed, and say what they must."""

from dataclasses import asdict

import pytest

from tests.benchmarks.health_lab.loads import Load, pair
from tests.benchmarks.health_lab.measures import Figures, figures
from tests.benchmarks.health_lab.oracle import oracle
from tests.benchmarks.health_lab.play import Mode, play
from tests.benchmarks.health_lab.plots import plot
from tests.benchmarks.health_lab.troubles import Failing, Hanging, Slow

DEAD = Load("dead for ten seconds", pair(Failing(from_s=10, until_s=20)), runs=200, per_s=5, heals_at=20)
SLOW = Load("slow for ten seconds", pair(Slow(from_s=10, until_s=20)), runs=200, per_s=5, heals_at=20)

HURRIED = Load("some hang, in a hurry", pair(Hanging(share=0.1)), runs=200, per_s=5, deadline_s=5.0)


def measured(load: Load, mode: Mode = "on", seed: int = 1) -> Figures:
    return figures(play(load, mode, seed=seed), oracle(load, seed))


def test_the_same_seed_gives_the_same_figures_and_another_does_not() -> None:
    assert measured(DEAD) == measured(DEAD)
    assert asdict(measured(DEAD)) != asdict(measured(DEAD, seed=2))


def test_watching_changes_nothing() -> None:
    assert play(SLOW, watch=True).runs == play(SLOW).runs


def test_with_health_on_fewer_calls_are_wasted_and_the_tool_is_used_again_once_it_has_healed() -> None:
    for load in (DEAD, SLOW):
        on, off = measured(load), measured(load, "off")
        assert on.wasted < off.wasted / 2
        assert on.detect_s is not None
        assert on.return_s is not None
        assert on.succeeded == off.succeeded == load.runs == on.saved


def test_without_second_calls_those_that_hang_last_until_the_deadline() -> None:
    on, unhedged = measured(HURRIED), measured(HURRIED, "unhedged")
    assert unhedged.p99_s == pytest.approx(5.0)
    assert on.p99_s < 3
    assert on.succeeded == HURRIED.runs
    assert unhedged.escalated == HURRIED.runs - unhedged.succeeded > HURRIED.runs // 20


def test_nobody_pays_less_than_the_oracle() -> None:
    assert measured(DEAD).cost_ratio > 1
    assert measured(SLOW).cost_ratio > 1


def test_a_play_can_be_drawn() -> None:
    drawing = plot(play(DEAD, watch=True))
    assert drawing.startswith("<?xml")
    assert 'class="tickbad"' in drawing
