"""Monitors in scenarios: ones that watch simulated tools, and what can be wrong with a monitor."""

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from agentroute.adapters.probes import DOWN
from agentroute.graph.tool import ToolSpec
from agentroute.ports import Monitor
from agentroute.routing.signals import HealthSignal, SignalKind
from agentroute.testing.faults import Fault
from agentroute.testing.faults.fault import HARMLESS, MONITORS, UNDETECTABLE
from agentroute.testing.faults.schedule import Schedule
from agentroute.testing.scenario.around import Note

Emit = Callable[[HealthSignal], None]
Now = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Stage:
    """What there is to see, and when.

    Attributes:
        tools: The agent's tools.
        schedule: What goes wrong, and when.
        since: Seconds since the start of the scenario.
        now: Monotonic seconds.
        note: Told the number of a fault the first time it was seen.
    """

    tools: Sequence[ToolSpec]
    schedule: Schedule
    since: Now
    now: Now
    note: Note


@dataclass(frozen=True, slots=True)
class StageMonitor:
    """Looks at simulated tools at intervals, and says truly whether a call would fail.

    Attributes:
        name: Shown in traces; faults of monitors aim at it.
        kind: What its signals are about.
        about: Which tools it looks at, with ``*`` and ``?``.
        every_s: Seconds between two looks.
        stage: What there is to see.
    """

    name: str
    kind: SignalKind
    about: str
    every_s: float
    stage: Stage

    async def watch(self, emit: Emit) -> None:
        """Look until cancelled."""
        noted: set[int] = set()
        while True:
            for spec in self.stage.tools:
                if fnmatch.fnmatchcase(spec.name, self.about):
                    down = self._is_down(spec, noted)
                    reason, factor = ("down", DOWN) if down else ("well", 1.0)
                    emit(HealthSignal(spec.name, self.kind, self.name, reason, factor, at=self.stage.now()))
            await anyio.sleep(self.every_s)

    def _is_down(self, spec: ToolSpec, noted: set[int]) -> bool:
        """Whether a call that began now would fail in a way that anybody could see."""
        stage = self.stage
        strikes = stage.schedule.strikes(self.name, spec.name, 1, stage.since(), provider=spec.provider)
        seen = {strike.index for strike in strikes if strike.fault.type not in HARMLESS | UNDETECTABLE}
        for number in sorted(seen - noted):
            stage.note(number)
        noted |= seen
        return bool(seen)


@dataclass(slots=True)
class FaultyMonitor:
    """Another monitor, with whatever is wrong with it: it lies, is late, or has died.

    Attributes:
        inner: The monitor itself.
        faults: All faults of the scenario, with their numbers.
        note: Told the number of a fault the first time it has happened.
        since: Seconds since the start of the scenario.
    """

    inner: Monitor
    faults: Sequence[tuple[int, Fault]]
    note: Note
    since: Now

    @property
    def name(self) -> str:
        """That of the monitor itself."""
        return self.inner.name

    async def watch(self, emit: Emit) -> None:
        """Let it watch, and pass on what comes of it."""
        noted: set[int] = set()
        async with anyio.create_task_group() as tasks:

            def passed_on(signal: HealthSignal) -> None:
                for number, fault in self.faults:
                    if not fault.is_on(1, self.since()):
                        continue
                    if number not in noted:
                        noted.add(number)
                        self.note(number)
                    if fault.type == "monitor_dead":
                        return
                    if fault.type == "monitor_late":
                        tasks.start_soon(_later, fault.latency_s, emit, signal)
                        return
                    signal = _contrary(signal)
                emit(signal)

            await self.inner.watch(passed_on)


def faulty(monitors: Sequence[Monitor], faults: Sequence[Fault], note: Note, *, since: Now) -> tuple[Monitor, ...]:
    """The monitors, each with the faults that aim at it.

    Args:
        monitors: As they are.
        faults: Of the scenario.
        note: Told the number of a fault the first time it has happened.
        since: Seconds since the start of the scenario.
    """
    found: list[Monitor] = []
    for monitor in monitors:
        own = [
            (number, fault)
            for number, fault in enumerate(faults)
            if fault.type in MONITORS and fnmatch.fnmatchcase(monitor.name, fault.target)
        ]
        found.append(FaultyMonitor(monitor, own, note, since) if own else monitor)
    return tuple(found)


async def _later(seconds: float, emit: Emit, signal: HealthSignal) -> None:
    await anyio.sleep(seconds)
    emit(signal)


def _contrary(signal: HealthSignal) -> HealthSignal:
    """The opposite of what was seen."""
    well = signal.factor > 1
    return replace(signal, factor=1.0 if well else DOWN, reason="well" if well else "down")
