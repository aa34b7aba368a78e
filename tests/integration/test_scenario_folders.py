"""The scenarios of this repository hold, each with its faults really triggered: on wires, on processes, the paper's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentroute.adapters.clock import SystemClock
from agentroute.testing.scenario.session import scenario_files
from agentroute.testing.scenario.theatre import Settings, Theatre

ROOT = Path(__file__).resolve().parents[2] / "scenarios"

FILES = [
    Path(file)
    for folder in ("wire", "process", "regressions", "paper")
    for file in scenario_files([str(ROOT / folder)])
]


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    """One for all, so that testbeds stay open from one scenario to the next."""
    with Theatre(Settings(), SystemClock()) as opened:
        yield opened


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_it_holds(theatre: Theatre, file: Path) -> None:
    record = theatre.run(str(file))
    assert (record.verdict, record.reason) == ("held", "")
    trial = record.trials[0]
    assert (trial.silent, trial.duplicate_effects, trial.llm_calls) == (0, 0, 0)
    if file.stem not in ("t5", "flapping"):  # no car is asked for without a hotel; a flap may be up
        assert all(count.times > 0 for count in trial.faults)


def test_the_papers_nineteen_are_all_there() -> None:
    ids = {file.stem for file in FILES if file.parent.name == "paper"}
    assert ids == {*(f"s{n}" for n in range(1, 8)), *(f"t{n}" for n in range(1, 7)), *(f"m{n}" for n in range(1, 7))}
