"""The providers of a load: what they do with a call, and the executor that has them do it and keeps the record."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from typing import Literal

import anyio

from agentroute.attempt import current
from agentroute.graph.tool import Effect
from agentroute.ports import Tool, Values
from agentroute.testing import fake_tool
from agentroute.testing.fakes import FakeTool
from agentroute.testing.faults import StatusError
from agentroute.testing.virtual_time import EPOCH
from tests.benchmarks.health_lab.troubles import Circumstances, Crowded, Fate, Trouble

JITTER = 0.2
"""Calls take so much longer or shorter than usual, at most."""

SLOW = 2.0
"""A call is slow when it took so many times what is usual."""

Ending = Literal["", "answered", "refused", "given up"]


@dataclass(frozen=True)
class Service:
    """A tool as it really is.

    Attributes:
        name: Of the tool.
        usd: Price of an answer; refusals are free.
        usual_s: Seconds that a call takes, give or take `JITTER`; also what the tool declares.
        makes: The artifact that it produces.
        provider: Who serves it, where several tools fail together.
        troubles: What goes wrong with it.
        effect: As for any tool.
        timeout_s: Seconds after which it is given up.
    """

    name: str
    usd: float
    usual_s: float = 0.2
    makes: str = "answer"
    provider: str | None = None
    troubles: tuple[Trouble, ...] = ()
    effect: Effect = "read"
    timeout_s: float = 10.0

    def tool(self) -> FakeTool:
        """As an agent is told of it."""
        return fake_tool(
            self.name,
            ["start"],
            [self.makes],
            effect=self.effect,
            usd=self.usd,
            latency_s=self.usual_s,
            provider=self.provider,
            timeout_s=self.timeout_s,
        )

    def fate(self, at: float, dice: Random, *, under_way: int, before: Sequence[int]) -> Fate:
        """What becomes of a call that comes `at`; `before` counts calls since each trouble began."""
        fate = Fate(self.usual_s * (1 + JITTER * (2 * dice.random() - 1)))
        for trouble, earlier in zip(self.troubles, before, strict=True):
            if trouble.is_on(at) and fate.works:
                fate = trouble.befall(fate, Circumstances(at, earlier, under_way, dice.random()))
        return fate

    def next_change(self, at: float) -> float:
        """The next moment at which a call may meet something else."""
        return min((trouble.next_change(at) for trouble in self.troubles), default=math.inf)

    @property
    def room(self) -> int | None:
        """Calls that it serves at once; None for any number."""
        return next((trouble.room for trouble in self.troubles if isinstance(trouble, Crowded)), None)


@dataclass(slots=True)
class Call:
    """A call, as the provider saw it. Times are seconds since the start of the load."""

    run: str
    tool: str
    at: float
    usual_s: float
    ended: float = math.inf
    ending: Ending = ""

    @property
    def bad(self) -> bool:
        """Whether it failed or was slow."""
        return self.ending != "answered" or self.ended - self.at > SLOW * self.usual_s


@dataclass(slots=True)
class Traffic:
    """What a service has had to do so far."""

    service: Service
    under_way: int = 0
    before: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.before = [0] * len(self.service.troubles)

    def fate(self, at: float, dice: Random) -> Fate:
        """What becomes of a call that comes now."""
        return self.service.fate(at, dice, under_way=self.under_way, before=self.before)

    def begin(self, at: float) -> None:
        """Note that one comes."""
        self.under_way += 1
        for number, trouble in enumerate(self.service.troubles):
            self.before[number] += trouble.is_on(at)


def dice(seed: int, run: str, tool: str, number: int) -> Random:
    """What is drawn for the `number`-th call of a tool by a run: the same, whoever asks and whatever came before."""
    return Random(f"{seed}/{run}/{tool}/{number}")


class Providers:
    """Makes the calls of an agent (a `ToolExecutor`).

    Attributes:
        calls: Every call, in the order in which they came.
        paid: USD for all answers so far, by run.
    """

    def __init__(self, services: Sequence[Service], seed: int) -> None:
        self.calls: list[Call] = []
        self.paid: defaultdict[str, float] = defaultdict(float)
        self._seed = seed
        self._traffic = {service.name: Traffic(service) for service in services}
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._origin = anyio.current_time()

    def now(self) -> float:
        """Seconds since the start of the load."""
        return anyio.current_time() - self._origin

    async def call(self, tool: Tool, inputs: Values) -> Values:
        """Let a call meet its fate."""
        run, name, traffic = current().run_id, tool.spec.name, self._traffic[tool.spec.name]
        self._numbers[run, name] += 1
        call = Call(run, name, self.now(), traffic.service.usual_s)
        self.calls.append(call)
        fate = traffic.fate(call.at, dice(self._seed, run, name, self._numbers[run, name]))
        traffic.begin(call.at)
        call.ending = "given up"  # unless something comes of it
        try:
            await anyio.sleep(fate.seconds)
            call.ending = "answered" if fate.works else "refused"
        finally:
            call.ended = self.now()
            traffic.under_way -= 1
        if not fate.works:
            raise _refusal(fate, call.at)
        self.paid[run] += traffic.service.usd
        return {artifact: f"{artifact} by {name}" for artifact in tool.spec.produces}

    async def answers(self, tool: str) -> bool:
        """Whether a call that came now would be answered; no call is made, and none is counted."""
        traffic = self._traffic[tool]
        self._numbers["a probe", tool] += 1
        fate = traffic.fate(self.now(), dice(self._seed, "a probe", tool, self._numbers["a probe", tool]))
        await anyio.sleep(fate.seconds)
        return fate.works


def _refusal(fate: Fate, at: float) -> StatusError:
    """The error, as an HTTP client would raise it, by the clock of the provider, which is right."""
    headers = {"date": formatdate(EPOCH + at, usegmt=True)}
    if fate.retry_at is not None:
        headers["retry-after"] = formatdate(EPOCH + fate.retry_at, usegmt=True)
    return StatusError(fate.status, headers)
