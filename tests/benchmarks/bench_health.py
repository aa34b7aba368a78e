"""Whether health works under load: ``python -m tests.benchmarks.bench_health`` from the root of the repository.

Plays many runs of an agent in virtual time against providers that behave badly, with health on, with health off, and
beside an oracle that knows everything. Loads of calls that hang are also played with health on and no second calls
(unhedged). All figures are the providers' and the callers' own. The same seed gives the same figures; with several, the
median is shown, and the range. Health off, which learns nothing, is played with the first seed alone. Three seeds take
some five minutes of CPU.
"""

import argparse
import gc
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from tests.benchmarks.health_lab.loads import LOADS, Load
from tests.benchmarks.health_lab.measures import Figures, figures
from tests.benchmarks.health_lab.oracle import oracle
from tests.benchmarks.health_lab.play import MODES, Mode, play
from tests.benchmarks.health_lab.plots import PLOTTED, plot
from tests.benchmarks.health_lab.table import LEGEND, table

GARBAGE = 50_000
"""Objects after which garbage is looked for: a play makes many, and is over before they matter."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loads", nargs="*", help="parts of the names of loads to play (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, one after the other (default: 3)")
    parser.add_argument("--json", action="store_true", help="print the figures of each seed as JSON")
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="draw three of the loads into this folder, and no table"
    )
    parser.add_argument(
        "--mode",
        action="append",
        choices=MODES,
        help="health on, on without second calls, or off (default: on and off, and unhedged for loads about that)",
    )
    options = parser.parse_args()
    if options.plots is not None:
        _draw(options.plots, options.seed)
        return
    if options.seeds < 1:
        parser.error(f"--seeds must be a whole number from 1, not {options.seeds}")
    seeds = range(options.seed, options.seed + options.seeds)
    gc.set_threshold(GARBAGE)
    rows = [row for load in _chosen(options.loads) for row in _measured(load, options.mode or _modes(load), seeds)]
    if options.json:
        print(
            json.dumps(
                [{"seed": seed, **asdict(one)} for row in rows for seed, one in zip(seeds, row, strict=False)], indent=1
            )
        )
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 250)
    console.print(table(rows))
    console.print(LEGEND)


def _chosen(names: list[str]) -> list[Load]:
    return [load for load in LOADS if not names or any(name in load.name for name in names)]


def _modes(load: Load) -> Sequence[Mode]:
    return MODES if load.compared else [mode for mode in MODES if mode != "unhedged"]


def _measured(load: Load, modes: Sequence[Mode], seeds: Sequence[int]) -> Iterator[list[Figures]]:
    """In these modes, against the same oracle."""
    saved = {seed: oracle(load, seed) for seed in seeds}
    for mode in modes:
        print(f"{load.name}, health {mode}", file=sys.stderr)
        played = seeds[:1] if mode == "off" else seeds
        yield [figures(play(load, mode, seed=seed), saved[seed]) for seed in played]


def _draw(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, name in PLOTTED.items():
        load = next(load for load in LOADS if load.name == name)
        (folder / f"health-{file}.svg").write_text(plot(play(load, seed=seed, watch=True)), encoding="utf-8")
        print(folder / f"health-{file}.svg")


if __name__ == "__main__":
    main()
