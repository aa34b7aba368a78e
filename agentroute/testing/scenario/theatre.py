"""One scenario from its file to its verdict: without faults first, then with them, then once more to the byte."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import anyio

from agentroute.errors import AgentrouteError
from agentroute.ports import Clock
from agentroute.testing.faults import Fault
from agentroute.testing.scenario.comparison import contend
from agentroute.testing.scenario.document import ScenarioDocument, read_scenario
from agentroute.testing.scenario.expectations import Expectations
from agentroute.testing.scenario.judge import difference, judge
from agentroute.testing.scenario.lines import readable
from agentroute.testing.scenario.play import Play, play
from agentroute.testing.scenario.record import Level, ScenarioRecord, Trial, Verdict
from agentroute.testing.scenario.servers.apart import befalls_agent, play_apart
from agentroute.testing.scenario.servers.faulty import FaultyServers
from agentroute.testing.scenario.staging import Staging, load_testbed, stage
from agentroute.testing.scenario.testbed import Testbed
from agentroute.testing.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How scenarios are to be played.

    Attributes:
        seed: In place of each scenario's own.
        repeat: Runs of each, with seeds that follow each other.
        level: In place of the one a scenario says.
        variables: Values of variables.
        compare: Systems to compare with.
        keep_events: Keep the journals in the records.
    """

    seed: int | None = None
    repeat: int = 1
    level: Level | None = None
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])
    compare: Sequence[str] = ()
    keep_events: bool = True


READY = "ready, and not played"
"""Reason of a scenario that was only checked."""


class Theatre:
    """Plays scenarios one after the other. A context manager: testbeds stay open from one scenario to the next."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Nothing is opened yet; `clock` times how long things really take."""
        self._settings = settings
        self._clock = clock
        self._open = ExitStack()
        self._plays = 0
        self._testbeds: dict[str, Testbed] = {}
        self._servers: dict[tuple[str, Level], FaultyServers] = {}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every testbed."""
        self._open.close()

    def run(self, file: str) -> ScenarioRecord:
        """Play one scenario and judge it. Never raises for what is wrong with the scenario: that is its verdict."""
        began = self._clock.now()
        try:
            document = read_scenario(file, self._settings.variables)
        except AgentrouteError as error:
            return ScenarioRecord(title=file, file=file, verdict="invalid", reason=str(error))
        return readable(replace(self.judged(document, file), took_s=self._clock.now() - began))

    def check(self, file: str) -> ScenarioRecord:
        """Read a scenario, and put everything in its place, without playing it."""
        try:
            document = read_scenario(file, self._settings.variables)
        except AgentrouteError as error:
            return ScenarioRecord(title=file, file=file, verdict="invalid", reason=str(error))
        blank = _blank(document, file)
        if blank.verdict == "waiting":
            return blank
        try:
            staging = self._stage(document, file)
        except AgentrouteError as error:
            return _refused(blank, document.expected, error)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # as below
            return replace(blank, reason=f"{type(error).__name__}: {error}")
        return replace(blank, verdict="waiting", level=staging.level, reason=READY)

    def judged(self, document: ScenarioDocument, file: str) -> ScenarioRecord:
        """Play a scenario that has been read; paths in it are seen from `file`."""
        blank = _blank(document, file)
        if blank.verdict == "waiting":
            return blank
        try:
            staging = self._stage(document, file)
            blank = replace(blank, level=staging.level)
            return self._played(staging, blank)
        except AgentrouteError as error:
            return _refused(blank, document.expected, error)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # of an agent's, a testbed's or a tool's own code
            return replace(blank, reason=f"{type(error).__name__}: {error}")

    def _stage(self, document: ScenarioDocument, file: str) -> Staging:
        testbed = self._testbed(document, file)
        staging = stage(document, file, testbed, level=self._settings.level)
        agent = staging.make(World(), {} if testbed is None else testbed.addresses)
        agent.check(goal=document.goal, inputs=staging.inputs)
        return staging

    def _testbed(self, document: ScenarioDocument, file: str) -> Testbed | None:
        """The scenario's testbed, started; the one of the scenario before, if that is the same."""
        if document.testbed is None:
            return None
        place, _, name = document.testbed.rpartition(":")
        key = f"{(Path(file).parent / place).resolve()}:{name}"
        if key not in self._testbeds:
            testbed = load_testbed(document, file)
            assert testbed is not None  # noqa: S101  # it names one
            self._testbeds[key] = self._open.enter_context(testbed)
        return self._testbeds[key]

    def _faulty(self, staging: Staging) -> FaultyServers | None:
        """Proxies before the testbed's servers, where the level has them."""
        if staging.testbed is None or not staging.is_real:
            return None
        key = (str(id(staging.testbed)), staging.level)
        if key not in self._servers:
            self._servers[key] = self._open.enter_context(FaultyServers(staging.testbed, staging.level))
        return self._servers[key]

    # ---------------------------------------------------------------- playing

    def _played(self, staging: Staging, blank: ScenarioRecord) -> ScenarioRecord:
        document, settings = staging.document, self._settings
        if document.expected.refused is not None:
            self._play(staging, (), 0)
            return replace(blank, verdict="deviated", reason="it was to be refused, and was not")
        first = document.seed if settings.seed is None else settings.seed
        baseline = self._trial(staging, (), document.hypothesis, first)
        blank = replace(blank, baseline=baseline)
        if not baseline.correct:
            return replace(blank, verdict="baseline_not_met", reason=_why(baseline))
        trials = [self._trial(staging, document.faults, document.expected, first + n) for n in range(settings.repeat)]
        bad = [trial for trial in trials if not trial.correct]
        verdict: Verdict = "deviated" if bad else "held"
        others = [self._contender(staging, name, first) for name in settings.compare]
        return replace(blank, verdict=verdict, reason=_why(bad[0]) if bad else "", trials=[*trials, *others])

    def _trial(self, staging: Staging, faults: Sequence[Fault], expected: Expectations, seed: int) -> Trial:
        played = self._play(staging, faults, seed)
        trial = judge(staging, played, faults, expected, seed, keep_events=self._settings.keep_events)
        if staging.is_virtual and faults:
            other = difference(played, self._play(staging, faults, seed), values=staging.simulated)
            if other:
                violation = f"[7] the same seed gave other decisions the second time: {other}"
                trial = replace(trial, correct=False, violations=[*trial.violations, violation])
        return trial

    def _play(self, staging: Staging, faults: Sequence[Fault], seed: int) -> Play:
        if staging.testbed is not None:
            staging.testbed.reset()
        servers = self._faulty(staging)
        if servers is not None and befalls_agent(faults):
            return anyio.run(play_apart, staging, faults, seed, servers, self._settings.variables)
        self._plays += 1
        return play(staging, faults, seed, servers, salt=f"p{self._plays}" if staging.is_virtual else self._real_salt())

    def _real_salt(self) -> str:
        """Of a play in real time, whose effects may outlive this process."""
        return f"{int(self._clock.wall() * 1000):x}"

    def _contender(self, staging: Staging, name: str, seed: int) -> Trial:
        if staging.testbed is not None:
            staging.testbed.reset()
        return contend(staging, name, seed, self._faulty(staging))


def _blank(document: ScenarioDocument, file: str) -> ScenarioRecord:
    """A record of a scenario that nothing is known about yet, but whether it waits."""
    waits = document.waits_for
    return ScenarioRecord(
        title=document.title,
        file=file,
        verdict="invalid" if waits is None else "waiting",
        reason="" if waits is None else f"waits for {waits}, which agentroute does not have yet",
        expected=_words(document.expected),
    )


def _refused(blank: ScenarioRecord, expected: Expectations, error: AgentrouteError) -> ScenarioRecord:
    """What it means that a scenario was refused: what it expected, or that it is invalid."""
    if expected.refused is None:
        return replace(blank, verdict="invalid", reason=str(error))
    if expected.refused in str(error):
        return replace(blank, verdict="held")
    return replace(
        blank, verdict="deviated", reason=f"it was refused with other words: {'; '.join(str(error).splitlines())}"
    )


def _why(trial: Trial) -> str:
    """The first things that are wrong."""
    wrong = [*trial.violations, *trial.deviations]
    more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
    return "; ".join(wrong[:3]) + more


def _words(expected: Expectations) -> str:
    return " or ".join(expected.outcome or ()) or ("refused" if expected.refused is not None else "")
