"""The catalogue of failures: the committed files are what the program writes, no row is missing, and each one holds."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentroute.adapters.clock import SystemClock
from agentroute.testing.scenario.catalogue import catalogue, rows
from agentroute.testing.scenario.document import read_scenario
from agentroute.testing.scenario.theatre import Settings, Theatre

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scenarios" / "catalogue"

FAMILIES = {"A": 18, "B": 18, "C": 10, "D": 10, "E": 12, "F": 12, "G": 10, "H": 10, "I": 10}
"""Rows of each family in the catalogue."""

IDS = [f"{family}{number:02}" for family, count in FAMILIES.items() for number in range(1, count + 1)]

WAIT_FOR_HEALTH = {"D01", "D02", "D06", "D07", "H01", "H02", "H03", "H04"}
WAIT_FOR_DURABILITY = {f"G{number:02}" for number in range(1, 11)}

ABOUT_INPUTS = {"H05", "I05", "I06"}
"""Refused before anything is called."""

WITHOUT_FAULTS = ABOUT_INPUTS | {"I03", "I10"}
"""What is wrong lies in what the agent is given, or in how its server always answers; nothing is injected."""

NOT_MET: dict[str, str] = {}
"""Rows whose demand is not met, with what is in the way. Once one is met, its line has to go."""

PLAYED = [name for name in IDS if name not in WAIT_FOR_HEALTH | WAIT_FOR_DURABILITY]


def path_of(name: str) -> Path:
    return FOLDER / f"{name.lower()}.yaml"


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    with Theatre(Settings(keep_events=False), SystemClock()) as opened:
        yield opened


def test_every_row_of_the_catalogue_has_its_file() -> None:
    assert len(IDS) == 110
    assert [row.id for row in rows()] == IDS
    assert sorted(file.name for file in FOLDER.glob("*.yaml")) == sorted(path_of(name).name for name in IDS)


def test_the_committed_files_are_what_the_program_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "agentroute.testing.scenario.catalogue", tmp_path], check=True, cwd=ROOT)
    written = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert written == {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.yaml")}
    assert written == catalogue(), "the same again in another process"


def test_the_first_line_of_a_file_says_which_row_it_is() -> None:
    for row in rows():
        first = path_of(row.id).read_text(encoding="utf-8").splitlines()[0]
        assert first == f"# {row.id} | {row.family} | {row.kind} | {row.variant} | {row.expected}"


def test_only_those_rows_wait_that_need_what_is_not_there_yet() -> None:
    waiting = {name: read_scenario(str(path_of(name))).waits_for for name in IDS}
    assert {name for name, what in waiting.items() if what == "health"} == WAIT_FOR_HEALTH
    assert {name for name, what in waiting.items() if what == "durability"} == WAIT_FOR_DURABILITY
    assert {what for what in waiting.values() if what is not None} == {"health", "durability"}


@pytest.mark.parametrize("name", IDS)
def test_a_scenario_demands_something_and_breaks_something(name: str) -> None:
    document = read_scenario(str(path_of(name)))
    assert bool(document.method) == (name not in WITHOUT_FAULTS)
    if name in ABOUT_INPUTS:
        assert [key for key, _ in document.expect.given()] == ["refused"]
        return
    steady = document.hypothesis
    assert steady.outcome == ("succeeded",)
    assert steady.llm_calls is not None
    assert not steady.llm_calls.hold(1), "no model is asked where nothing is wrong"
    assert not document.method or list(document.expect.given()), "something is demanded of it under the faults"
    assert not any(fault.toxicity == 0 for fault in document.faults)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(strict=True, reason=NOT_MET[name]) if name in NOT_MET else ())
        for name in PLAYED
    ],
)
def test_a_scenario_holds_and_every_one_of_its_faults_is_triggered(name: str, theatre: Theatre) -> None:
    record = theatre.run(str(path_of(name)))
    assert (record.verdict, record.reason) == ("held", "")
    assert [count.fault for trial in record.trials for count in trial.faults if count.times == 0] == []
