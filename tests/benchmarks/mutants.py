"""The table of planted bugs: what each changes in the runtime, and what catches it. ``make mutants``.

Each bug is planted in turn and played twice: over the gallery of the unit tests, and over generated scenarios as
``agentroute scenario run`` would play them. A checker is only worth something if it can fail.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from agentroute.adapters.clock import SystemClock
from agentroute.testing.scenario.drawing.generate import generate
from agentroute.testing.scenario.theatre import Settings, Theatre
from tests.unit.test_planted_bugs import GALLERY, MUTANTS, violations

SEED = 1


def main() -> None:
    """Plant every bug and print what caught it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", type=int, default=120, help="generated scenarios for each bug")
    options = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory() as folder:
        files = _written(options.scenarios, Path(folder))
        table = Table("planted bug", "caught by invariants", f"in {len(GALLERY)} runs", f"in {len(files)} generated")
        missed: list[str] = []
        for bug in ("none", *MUTANTS):
            caught, in_gallery, in_drawn = _planted(bug, files)
            numbers = ", ".join(map(str, sorted(caught))) or "-"
            table.add_row(bug, numbers, str(in_gallery), str(in_drawn))
            if bool(caught) == (bug == "none"):
                missed.append(bug)
    console.print(table)
    console.print(
        f"{len(MUTANTS)} planted bugs, {len(MUTANTS) - len(missed)} caught" if not missed else f"missed: {missed}"
    )
    sys.exit(bool(missed))


def _written(count: int, folder: Path) -> list[str]:
    for drawn in generate(count, SEED):
        (folder / drawn.file).write_text(drawn.text, encoding="utf-8")
    return sorted(str(file) for file in folder.iterdir())


def _planted(bug: str, files: Sequence[str]) -> tuple[set[int], int, int]:
    """Invariants that caught it, and how many runs of the gallery and generated scenarios did."""
    caught: Counter[int] = Counter()
    in_gallery = in_drawn = 0
    with pytest.MonkeyPatch.context() as patch:
        if bug != "none":
            MUTANTS[bug][0](patch)
        for name in GALLERY:
            try:
                found = violations(name)
            except Exception:  # noqa: BLE001  # a mutant may fall over its own feet
                found = set[int]()
            in_gallery += bool(found)
            caught.update(found)
        with Theatre(Settings(keep_events=False), SystemClock()) as theatre:
            for file in files:
                in_drawn += _caught_in(theatre, file)
    return set(caught), in_gallery, in_drawn


def _caught_in(theatre: Theatre, file: str) -> bool:
    try:
        return theatre.run(file).verdict in ("deviated", "baseline_not_met")
    except Exception:  # noqa: BLE001  # as above
        return False


if __name__ == "__main__":
    main()
