"""The catalogue of failures: the committed files are what the program writes, no row is missing, and each one holds."""
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentroute.adapters.clock import SystemClock
from agentroute.ids import ToolId
from agentroute.routing.board import HealthBoard
from agentroute.routing.latency import Latency
from agentroute.routing.reliability import Reliability
from agentroute.routing.signals import HealthSignal
from agentroute.run.hedging import Hedges
from agentroute.testing.scenario.catalogue import catalogue, rows
from agentroute.testing.scenario.document import read_scenario
from agentroute.testing.scenario.theatre import Settings, Theatre

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scenarios" / "catalogue"

FAMILIES = {"A": 18, "B": 18, "C": 10, "D": 10, "E": 12, "F": 12, "G": 10, "H": 10, "I": 10}
"""Rows of each family in the catalogue."""

IDS = [f"{family}{number:02}" for family, count in FAMILIES.items() for number in range(1, count + 1)]

WAIT_FOR_DURABILITY = {f"G{number:02}" for number in range(1, 11)}

ABOUT_INPUTS = {"H05", "I05", "I06"}
"""Refused before anything is called."""

WITHOUT_FAULTS = ABOUT_INPUTS | {"I03", "I10"}
"""What is wrong lies in what the agent is given, or in how its server always answers; nothing is injected."""

MISSED = {"D02": [11, 12, 14, 15, 16, 18, 19]}
"""Faults by number that are not met because the agent has gone elsewhere by then: that is what the row demands. One of
them is met by a call that tries whether the tool is still slow."""

NOT_MET: dict[str, str] = {}
"""Rows whose demand is not met, with what is in the way. Once one is met, its line has to go."""

PLAYED = [name for name in IDS if name not in WAIT_FOR_DURABILITY]


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
    assert {name for name, what in waiting.items() if what == "durability"} == WAIT_FOR_DURABILITY
    assert {what for what in waiting.values() if what is not None} == {"durability"}


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
    missed = [number for trial in record.trials for number, count in enumerate(trial.faults) if count.times == 0]
    assert missed == MISSED.get(name, [])


# -------------------------------------------------------------------- rows about health can fail


def believed_probes(patch: pytest.MonkeyPatch) -> None:
    """A probe that works shuts the breaker, whatever calls meet."""
    signal = HealthBoard.signal

    def heals(self: HealthBoard, said: HealthSignal, now: float) -> None:
        signal(self, said, now)
        standing = self._tools.get(ToolId(said.subject))
        if standing is not None and said.factor <= 1:
            standing.breaker.opened_at, standing.figures.reliability = None, Reliability()
            standing.changed()

    patch.setattr(HealthBoard, "signal", heals)


def feared_probes(patch: pytest.MonkeyPatch) -> None:
    """A probe that fails opens the breaker of everything the agent has."""

    def kills(self: HealthBoard, said: HealthSignal, now: float) -> None:
        for standing in self._tools.values():
            if said.factor > 1:
                standing.breaker.fail(standing.breaker.generation, now, too_many=True)

    patch.setattr(HealthBoard, "signal", kills)


def eternal_signals(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(HealthSignal, "stale", lambda *_: False)
    patch.setattr(HealthSignal, "factor_at", lambda self, _: self.factor)


def blind_to_time(patch: pytest.MonkeyPatch) -> None:
    """Two things keep slow tools from costing the deadline; each of them would be enough for these rows."""
    patch.setattr(Latency, "observe", lambda *_: None)
    patch.setattr(Hedges, "due", lambda *_: None)


PLANTED: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], set[str]]] = {
    "slowness is not noticed": (blind_to_time, {"D01", "D02"}),
    "monitors are not heard": (lambda patch: patch.setattr(HealthBoard, "signal", lambda *_: None), {"H02"}),
    "signals never fade": (eternal_signals, {"H01"}),
    "probes outrank calls": (believed_probes, {"D06", "H03"}),
    "a bad probe is an outage": (feared_probes, {"D07"}),
    "that all is well outranks others": (
        lambda patch: patch.setattr(HealthSignal, "is_neutral", property(lambda _: False)),
        {"H04"},
    ),
}


@pytest.mark.parametrize(
    ("plant", "name"), [(plant, name) for plant, (_, names) in PLANTED.items() for name in sorted(names)]
)
def test_a_row_about_health_fails_without_it(
    plant: str, name: str, theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLANTED[plant][0](monkeypatch)
    assert theatre.run(str(path_of(name))).verdict == "deviated"
