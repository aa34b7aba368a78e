"""Whether the step router earns its place: ``make tiers ARGS="--data FOLDER"``.

Routes real questions among real models by what is learned from other questions, beside simple baselines and an oracle:
quality by cost, strict budgets for tasks of several steps, and whether `agentroute budget replay` would have told the
truth beforehand. The part `agents` lets agents run such tasks. The same seeds give the same figures.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# The threads of a BLAS wait for each other on a busy machine, and its last digits depend on how many there are.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from rich.console import Console

from agentroute.adapters.tier_model import TierModel
from tests.benchmarks.tiers_lab import agent_logs, agents, budgets, curves, replays, show, show_agents
from tests.benchmarks.tiers_lab.data import Data, Floats, load
from tests.benchmarks.tiers_lab.plots import budget_plot, curve_plot
from tests.benchmarks.tiers_lab.predict import PREDICTORS
from tests.benchmarks.tiers_lab.routers import best_single, cheapest_best, sweeps

PARTS = ("curves", "budgets", "replay")

AGENTS = "agents"
"""A part that is run only if it is asked for: it takes minutes for each split."""

DETECTIONS = (0.0, 0.8)
"""Chances that a wrong answer is noticed, for strict budgets."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)} (default: those), {AGENTS}")
    parser.add_argument("--data", type=Path, required=True, help="folder with llmrouter/ and routellm/")
    parser.add_argument("--seeds", type=int, default=5, help="splits of the questions (default: 5)")
    parser.add_argument("--questions", type=int, default=0, help="at most so many of each data set, to try things out")
    parser.add_argument("--tasks", type=int, default=200, help="for agents: tasks of each budget (default: 200)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON, too")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw the curves into this folder")
    options = parser.parse_args()
    parts = options.parts or PARTS
    if unknown := set(parts) - {*PARTS, AGENTS}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join((*PARTS, AGENTS))}")
    try:
        sets = load(options.data)
    except FileNotFoundError as error:
        parser.exit(2, f"{error}\nThis benchmark runs on real data, which is no part of the repository.\n")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    figures: dict[str, Any] = {}
    for whole in sets if set(parts) != {AGENTS} else filter(_can_be_budgeted, sets):
        few = np.random.default_rng(0).permutation(len(whole.texts))[: options.questions]
        data = whole.some(few) if options.questions else whole
        console.rule(f"{data.name}: {len(data.texts):,} questions, {len(data.tiers)} tiers, {options.seeds} splits")
        console.print(show.tiers(data))
        found = _measured(data, parts, options.seeds, options.tasks)
        _show(found, console)
        figures[data.name] = _as_json(found)
        if options.plots:
            _draw(data, found, options.plots)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


@dataclass
class Gathered:
    """What the splits of one data set have shown.

    Attributes:
        figures: Of the curves of each split.
        sweeps: Mean cost and quality of each router at each setting, of each split.
        chances: How good each predictor's chances are, of each split.
        tasks: By detection chance: what became of tasks, of each split.
        told: What replays said, and the truth.
        live: By detection chance: what agents made of tasks, of each split.
        checked: What replay said of their logs, and the truth, of each split.
    """

    figures: list[dict[str, curves.Figures]] = field(default_factory=list[dict[str, curves.Figures]])
    sweeps: list[dict[str, tuple[Floats, Floats]]] = field(default_factory=list[dict[str, tuple[Floats, Floats]]])
    chances: list[dict[str, show.Quality]] = field(default_factory=list[dict[str, show.Quality]])
    tasks: dict[float, list[show.Played]] = field(default_factory=dict[float, list[show.Played]])
    told: list[replays.Told] = field(default_factory=list[replays.Told])
    live: dict[float, list[agents.Compared]] = field(default_factory=dict[float, list[agents.Compared]])
    checked: list[list[agent_logs.Checked]] = field(default_factory=list[list[agent_logs.Checked]])


def _can_be_budgeted(data: Data) -> bool:
    """Agents are given two tiers: with more, tasks of the past in which all of them were asked take long to learn."""
    return len(data.tiers) == 2


def _measured(data: Data, parts: Sequence[str], seeds: int, tasks: int) -> Gathered:
    found = Gathered()
    for seed in range(seeds):
        known, asked = _split(data, seed)
        if AGENTS in parts and _can_be_budgeted(data):
            print(f"{data.name}, split {seed + 1} of {seeds}: agents", file=sys.stderr)
            _by_agents(found, known, asked, tasks, seed)
        if set(parts) == {AGENTS}:
            continue
        print(f"{data.name}, split {seed + 1} of {seeds}: learning", file=sys.stderr)
        p = {name: learn(known, asked) for name, learn in PREDICTORS.items()}
        if "curves" in parts:
            routers = sweeps(known, asked, p)
            found.figures.append(curves.measured(routers, seed))
            found.sweeps.append(
                {name: (each.usd.mean(axis=0), each.right.mean(axis=0)) for name, each in routers.items()}
            )
            found.chances.append(show.qualities(p, asked))
        if "budgets" in parts:
            print(f"{data.name}, split {seed + 1} of {seeds}: strict budgets", file=sys.stderr)
            for detection in DETECTIONS:
                found.tasks.setdefault(detection, []).append(_budgets(known, asked, p, detection, seed))
        if "replay" in parts:
            print(f"{data.name}, split {seed + 1} of {seeds}: replay", file=sys.stderr)
            found.told += replays.told(asked, p["step router"], seed)
    return found


def _split(data: Data, seed: int) -> tuple[Data, Data]:
    """Four fifths of the questions to learn from, and the others."""
    order = np.random.default_rng(1000 + seed).permutation(len(data.texts))
    cut = len(order) // 5
    return data.some(order[cut:]), data.some(order[:cut])


def _budgets(known: Data, asked: Data, p: Mapping[str, Floats], detection: float, seed: int) -> show.Played:
    """Tasks of five steps where two tiers are asked, of three where a step is seldom right."""
    tiers = [cheapest_best(known), best_single(known)] if len(known.tiers) > 2 else [0, 1]
    names = [known.tiers[tier] for tier in tiers]
    asked = asked.of(names)
    said = {name: chances[:, tiers] for name, chances in p.items()}
    steps = 5 if len(known.tiers) == 2 else 3
    played = budgets.tasks(asked, said, steps=steps, detection=detection, times=2, seed=seed)
    # What steps look like is taken from half of the questions asked: their chances are told, not their outcomes.
    paths = {name: budgets.curve_of(chances[::2], played.prices, detection) for name, chances in said.items()}
    return budgets.table(played, paths, seed)


def _by_agents(found: Gathered, known: Data, asked: Data, count: int, seed: int) -> None:
    """Tasks run by agents, which are given the file of a model that was learned from the other questions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = agents.models(known, (*DETECTIONS, 1.0), folder, seed)
        for detection in DETECTIONS:
            model = TierModel.load(files[detection])
            played = agents.tasks(asked, model, detection=detection, count=count, seed=seed)
            found.live.setdefault(detection, []).append(agents.compared(asked, played, files[detection]))
        played = agents.tasks(asked, TierModel.load(files[1.0]), detection=1.0, count=count, seed=seed)
        found.checked.append(agent_logs.checked(asked, played, files[1.0], folder))


def _show(found: Gathered, console: Console) -> None:
    if found.figures:
        console.print(show.curve_table(found.figures))
        console.print(show.quality_table(found.chances))
    for detection, splits in found.tasks.items():
        console.print(show.budget_table(splits, detection))
    if found.told:
        console.print(show.replay_table(found.told))
    for detection, splits in found.live.items():
        console.print(show_agents.agents_table(splits, detection))
    if found.checked:
        console.print(show_agents.checked_table(found.checked))


def _as_json(found: Gathered) -> dict[str, Any]:
    return {
        "curves": show.curve_figures(found.figures),
        "budgets": {f"D = {detection}": show.budget_figures(splits) for detection, splits in found.tasks.items()},
        "replay": [asdict(each) for each in found.told],
        "agents": {f"D = {each}": show_agents.agents_figures(splits) for each, splits in found.live.items()},
        "agents' logs": [asdict(each) for split in found.checked for each in split],
    }


def _draw(data: Data, found: Gathered, folder: Path) -> None:
    name = "llmrouter" if len(data.tiers) > 2 else "mmlu"
    if found.sweeps:
        _write(folder / f"tiers-{name}.svg", curve_plot(data.name, found.sweeps))
    if found.tasks:
        _write(folder / f"tiers-{name}-budgets.svg", budget_plot(data.name, found.tasks[0.0]))


def _write(file: Path, drawing: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(drawing, encoding="utf-8")
    print(file, file=sys.stderr)


if __name__ == "__main__":
    main()
