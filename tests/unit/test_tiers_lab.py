"""The benchmark of the step router: its figures follow from the seed, and say what they must."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from agentroute.adapters.step_router import StepRouter
from agentroute.adapters.tier_model import TierModel
from agentroute.ids import NanoUsd
from agentroute.run.tier_choices import TierChoices
from agentroute.testing.virtual_time import run_virtual
from tests.benchmarks.tiers_lab import agent_logs, agents, budgets, curves
from tests.benchmarks.tiers_lab.budgets import Fixed
from tests.benchmarks.tiers_lab.data import Data, load
from tests.benchmarks.tiers_lab.predict import PREDICTORS
from tests.benchmarks.tiers_lab.replays import told
from tests.benchmarks.tiers_lab.routers import mixture, sweeps

ROOT = Path(__file__).resolve().parents[2]
NAMED = os.environ.get("AGENTROUTE_DATA")  # now: tests run without the settings of whoever starts them
DATA = Path(NAMED) if NAMED and (Path(NAMED) / "llmrouter").is_dir() else None


def world(count: int, seed: int) -> Data:
    """Hard questions need the dear tier; which ones are hard can be read off them."""
    draw = np.random.default_rng(seed)
    hard = draw.random(count) < 0.5
    texts = [f"{'prove the theorem' if h else 'what colour is'} {n}{'abc'[n % 3]}" for n, h in enumerate(hard)]
    p = np.stack([np.where(hard, 0.2, 0.9), np.where(hard, 0.85, 0.95)], axis=1)
    usd = np.tile([0.001, 0.01], (count, 1))
    return Data("a world", texts, ["cheap", "dear"], (draw.random((count, 2)) < p).astype(np.float64), usd)


KNOWN, ASKED = world(900, 1), world(300, 2)
P = {name: learn(KNOWN, ASKED) for name, learn in PREDICTORS.items()}


def test_what_can_be_learned_is_learned_by_all_and_beats_what_knows_nothing() -> None:
    figures = curves.measured(sweeps(KNOWN, ASKED, P), seed=1)
    assert all(
        np.array_equal(a.area, b.area)
        for a, b in zip(figures.values(), curves.measured(sweeps(KNOWN, ASKED, P), 1).values(), strict=True)
    )
    mix, best = curves.interval([figures["random mix"].area]), curves.interval([figures["oracle"].area])
    for name in PREDICTORS:
        own = curves.interval([figures[name].area])
        assert mix.mean + 0.05 < own.mean < best.mean
    assert figures["always cheap"].equal[0] == np.inf
    assert figures["always expensive"].equal[0] == pytest.approx(1.0)


def test_the_best_mix_leaves_out_what_others_beat() -> None:
    right = np.array([[0.5, 0.4, 0.55, 0.9]])
    data = Data("m", ["q"], ["a", "b", "c", "d"], right, np.array([[1.0, 2.0, 3.0, 4.0]]))
    assert mixture(data) == [0, 3]


def test_no_way_breaks_a_budget_and_none_beats_the_oracle() -> None:
    for detection in (0.0, 0.8):
        played = budgets.tasks(ASKED, P, steps=5, detection=detection, times=1, seed=3)
        paths = {name: budgets.curve_of(p, played.prices, detection) for name, p in P.items()}
        table = budgets.table(played, paths, 3)
        for way, rows in table.items():
            for share, (won, took) in zip(budgets.SHARES, rows, strict=True):
                assert took.max() <= share * played.dearest / 1e9 + 1e-9, way
                assert won.mean() <= table["oracle"][budgets.SHARES.index(share)][0].mean() + 1e-9, way


def test_a_way_that_spends_too_much_is_noticed() -> None:
    played = budgets.tasks(ASKED, P, steps=5, detection=0.0, times=1, seed=3)

    class Careless(Fixed):
        def __call__(self, step: budgets.Step) -> budgets.ToolId | None:
            return budgets.ToolId("1")

    with pytest.raises(AssertionError, match="a budget was broken"):
        budgets.success(played, NanoUsd(played.dearest // 2), Careless(budgets.AlwaysCheap()))


def test_replays_are_held_against_what_was_really_so() -> None:
    found = {each.policy: each for each in told(ASKED, P["step router"], 4)}
    assert found["always expensive"].truth == pytest.approx(float(ASKED.right[:, 1].mean()))
    assert all(each.covered >= 0.8 for each in found.values())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    return agents.models(KNOWN, (0.8, 1.0), tmp_path_factory.mktemp("models"), seed=5)


def test_agents_do_what_the_policies_alone_would(files: dict[float, Path]) -> None:
    """Question by question: the runtime takes the same tiers, and no run takes more than its budget."""
    model = TierModel.load(files[0.8])
    played = agents.tasks(ASKED, model, detection=0.8, count=8, seed=6)
    took: dict[str, float] = {}
    for policy in agents.POLICIES:
        for share in (0.3, 0.7):
            budget = NanoUsd(round(share * played.dearest))
            live = agents.live(ASKED, played, policy, files[0.8], budget)
            won, usd = budgets.success(played, budget, agents.way(policy, model), gives_up=True)
            assert live.overspent == 0
            assert live.won.tolist() == won.tolist(), (policy, share)
            assert live.usd == pytest.approx(usd), (policy, share)
            took[policy] = took.get(policy, 0.0) + float(live.usd.sum())
    assert took.pop("always-cheap") < min(took.values())


def _nothing(*_: object) -> str:
    return ""


def _no_limit(*_: object) -> None:
    return None


BUGS: Mapping[str, tuple[type, str, object]] = {
    "the question does not reach the policy": (agents.AnsweringTool, "asked", _nothing),
    "what is left is not rationed": (TierChoices, "_usd_a_step", _no_limit),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_runtime_that_rations_otherwise_is_seen(
    bug: str, files: dict[float, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*BUGS[bug])
    with pytest.raises(AssertionError):
        test_agents_do_what_the_policies_alone_would(files)


def test_a_run_that_takes_more_than_its_budget_is_counted(files: dict[float, Path]) -> None:
    played = agents.tasks(ASKED, TierModel.load(files[0.8]), detection=0.8, count=3, seed=6)

    async def main() -> agents.Live:
        models = agents.Models(ASKED, played)
        return await agents.answer(models, agents.agent(models, StepRouter(), None), NanoUsd(1))

    assert run_virtual(main).overspent == 3


def test_a_replay_of_what_agents_logged_is_held_against_agents(files: dict[float, Path], tmp_path: Path) -> None:
    played = agents.tasks(ASKED, TierModel.load(files[1.0]), detection=1.0, count=25, seed=7)
    for each in agent_logs.checked(ASKED, played, files[1.0], tmp_path, logs=2):
        for one in (each.right, each.usd, each.robust_right, each.robust_usd):
            assert one.low < one.said < one.high
            assert abs(one.said - one.so) <= one.high - one.low, each  # four standard errors


def test_without_the_data_it_is_said_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.bench_tiers", "--data", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "llmrouter/train.json is missing" in done.stderr


@pytest.mark.skipif(DATA is None, reason="AGENTROUTE_DATA names no folder with llmrouter/ and routellm/")
def test_the_real_data_is_read_whole() -> None:
    assert DATA is not None
    many, mmlu = load(DATA)
    assert (len(many.texts), len(many.tiers)) == (5_608, 9)
    assert (len(mmlu.texts), mmlu.tiers) == (13_937, ["mixtral-8x7b", "gpt-4-1106"])
    assert mmlu.right.mean(axis=0) == pytest.approx([0.681, 0.806], abs=0.002)
