"""Active probes: ask tools how they are, before a run finds out."""

import inspect
import threading
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from random import Random
from typing import Any, Final, Literal, cast

import anyio

from agentroute.adapters.cancellation import own_failures
from agentroute.adapters.threads import run_in_thread
from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked
from agentroute.ports import Clock, Tool
from agentroute.routing.signals import HealthSignal

Probe = Callable[[], Any]
"""Asks a tool how it is: sync or async; an exception or False means that it is down, `UNKNOWN` that nobody can say."""


class Word(Enum):
    """What a probe can answer besides yes and no."""

    UNKNOWN = "cannot tell"


UNKNOWN: Final = Word.UNKNOWN
"""The answer of a probe that cannot tell. Nothing is said then, and what was said before fades."""

EVERY_S = 10.0
"""Seconds between two probes of the same, by default."""

DOWN = 10.0
"""Factor on the weight of a tool whose probe failed: a detour, where there is one, and no outage."""

MISSED = 3.0
"""Rounds without a word after which what a probe said counts for nothing."""


@dataclass(frozen=True)
class Probes:
    """A monitor that probes tools at intervals. Tools with ``probe=`` are probed by themselves; this is for others.

    A probe only ever asks for a detour. It takes no tool out, for a bad probe must not be an outage, and it brings none
    back, for a probe that works while calls fail is no sign of health: what calls meet outranks it.

    Attributes:
        probes: By name of the tool or provider.
        every_s: Seconds between two probes of the same; with jitter of half to one and a half, so that many processes
            do not probe in step.
        timeout_s: Seconds that a probe may take.
        name: Shown in traces.
        clock: The time.
        random: Source of jitter.
    """

    probes: Mapping[str, Probe]
    every_s: float = EVERY_S
    timeout_s: float = 2.0
    name: str = "probe"
    clock: Clock | None = None
    random: Random = field(default_factory=Random)  # jitter
    _due: dict[str, float] = field(default_factory=dict[str, float], init=False, repr=False, compare=False)
    """When each subject is to be probed next: runs that begin and end in between do not make it sooner."""
    _hanging: dict[str, threading.Event] = field(
        default_factory=dict[str, threading.Event], init=False, repr=False, compare=False
    )
    """Set when the latest plain function that was asked about a subject has come back."""

    def __post_init__(self) -> None:
        """Refuse intervals that are none."""
        for option in ("every_s", "timeout_s"):
            if checked(self.name, option, getattr(self, option)) == 0:
                raise DefinitionError(self.name, f"{option} must be above 0")

    def check(self, artifacts: Container[str], subjects: Container[str]) -> None:
        """Refuse to probe what there is not: nobody would be told what a probe finds.

        Raises:
            DefinitionError: There is no tool or provider of that name.
        """
        del artifacts
        for subject in self.probes:
            if subject not in subjects:
                raise DefinitionError(self.name, f"probes {subject!r}, which is no tool and no provider of this agent")

    async def watch(self, emit: Callable[[HealthSignal], None]) -> None:
        """Probe until cancelled; each subject at its own pace, so that one that hangs holds up no other."""
        async with anyio.create_task_group() as tasks:
            for subject, probe in self.probes.items():
                tasks.start_soon(self._probe_again_and_again, subject, probe, emit)

    async def _probe_again_and_again(self, subject: str, probe: Probe, emit: Callable[[HealthSignal], None]) -> None:
        while True:
            await anyio.sleep(max(0.0, self._due.get(subject, 0.0) - self._now()))
            began = self._now()
            self._due[subject] = began + self.every_s * (0.5 + self.random.random())
            why = await self._down(subject, probe)
            if why is UNKNOWN:
                continue
            factor, fresh_s = 1.0 if why is None else DOWN, MISSED * (self.every_s + self.timeout_s)
            reason = "answered" if why is None else why
            emit(HealthSignal(subject, "outage", self.name, reason, factor, at=began, fresh_s=fresh_s))

    async def _down(self, subject: str, probe: Probe) -> str | Literal[Word.UNKNOWN] | None:
        """Why the subject is taken to be down; None if it is not. Never says more than the kind of an error."""
        late = f"no answer within {self.timeout_s:g} s"
        if subject in self._hanging and not self._hanging[subject].is_set():
            return late  # asked once more, it would hang once more, in a thread more
        answer: object = None
        try:
            with anyio.move_on_after(self.timeout_s) as patience:
                answer = await own_failures(self._asked(subject, probe))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what the probe found
            return type(error).__name__
        if patience.cancelled_caught:
            return late
        if answer is UNKNOWN:
            return UNKNOWN
        return "said no" if answer is False else None

    async def _asked(self, subject: str, probe: Probe) -> object:
        if inspect.iscoroutinefunction(probe):
            return await cast("Awaitable[object]", probe())
        over = self._hanging[subject] = threading.Event()
        try:
            answer = await run_in_thread(partial(_call, probe, over))
        except Exception:
            over.set()  # there may have been no thread to begin with
            raise
        return await cast("Awaitable[object]", answer) if inspect.isawaitable(answer) else answer

    def _now(self) -> float:
        return anyio.current_time() if self.clock is None else self.clock.now()


def _call(probe: Probe, over: threading.Event) -> object:
    try:
        return probe()
    finally:
        over.set()


def probes_of(tools: Iterable[Tool]) -> tuple[Probes, ...]:
    """Monitors for the tools that say how they can be probed, one for each pace.

    Tools with ``probes_provider`` share one probe of their provider. A tool of the provider's own name would get its
    signals instead, so where there is one they are probed each by itself.
    """
    tools = list(tools)
    names = {tool.spec.name for tool in tools}
    found: dict[float, dict[str, Probe]] = {}
    for tool in tools:
        if (probe := getattr(tool, "probe", None)) is None:
            continue
        shared = tool.spec.provider if getattr(tool, "probes_provider", False) else None
        subject = tool.spec.name if shared is None or shared in names else shared
        found.setdefault(getattr(tool, "probe_every_s", EVERY_S), {}).setdefault(subject, probe)
    return tuple(Probes(probes, every_s) for every_s, probes in found.items())
