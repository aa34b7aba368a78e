"""Whether health works under load: ``python -m tests.benchmarks.bench_health`` from the root of the repository.

Plays many runs of an agent in virtual time against providers that behave badly, with health on, with health off, and
beside an oracle that knows everything. All figures are the providers' and the callers' own. The same seed gives the
same figures.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from tests.benchmarks.health_lab.loads import LOADS, Load
from tests.benchmarks.health_lab.measures import Figures, figures
from tests.benchmarks.health_lab.oracle import oracle
from tests.benchmarks.health_lab.play import MODES, play
from tests.benchmarks.health_lab.plots import PLOTTED, plot
from tests.benchmarks.health_lab.table import LEGEND, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loads", nargs="*", help="parts of the names of loads to play (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="draw three of the loads into this folder, and no table"
    )
    options = parser.parse_args()
    if options.plots is not None:
        _draw(options.plots, options.seed)
        return
    rows = [row for load in _chosen(options.loads) for row in _measured(load, options.seed)]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 180)
    console.print(table(rows))
    console.print(LEGEND)


def _chosen(names: list[str]) -> list[Load]:
    return [load for load in LOADS if not names or any(name in load.name for name in names)]


def _measured(load: Load, seed: int) -> Iterator[Figures]:
    """With health on and off, against the same oracle."""
    saved = oracle(load, seed)
    for mode in MODES:
        print(f"{load.name}, health {mode}", file=sys.stderr)
        yield figures(play(load, mode, seed=seed), saved)


def _draw(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, name in PLOTTED.items():
        load = next(load for load in LOADS if load.name == name)
        (folder / f"health-{file}.svg").write_text(plot(play(load, seed=seed, watch=True)), encoding="utf-8")
        print(folder / f"health-{file}.svg")


if __name__ == "__main__":
    main()
