"""Playing a load: the agent under it, in virtual time, with health on, without second calls, or with health off."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal, cast, get_args

import anyio
import trio
from trio.testing import MockClock

from agentroute import Agent, Budget, Goal
from agentroute.graph.cost import Rates
from agentroute.graph.tool import ToolSpec
from agentroute.ids import ToolId
from agentroute.ports import Monitor
from agentroute.routing.board import HealthBoard
from agentroute.routing.entry import Ticket
from agentroute.routing.expected import Expected
from agentroute.routing.headroom import Headroom
from agentroute.routing.health import Health
from agentroute.testing import VirtualClock, run_virtual
from tests.benchmarks.health_lab.loads import USD_PER_SECOND, Load
from tests.benchmarks.health_lab.providers import Call, Providers, Service

Mode = Literal["on", "unhedged", "off"]

MODES: tuple[Mode, ...] = get_args(Mode)

SAMPLE_S = 0.5
"""Seconds between looks at the weights, for plots."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as its caller saw it. Times are seconds since the start of the load."""

    name: str
    came: float
    ended: float
    outcome: str
    usd: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What the board said at a moment: the weight, in nano-dollars, of each tool that might be called."""

    at: float
    weights: dict[str, int]


@dataclass(frozen=True)
class Play:
    """What came of a load: the providers' record and the callers'."""

    load: Load
    mode: Mode
    calls: Sequence[Call]
    runs: Sequence[Run]
    samples: Sequence[Sample] = ()


class ForgetfulBoard(HealthBoard):
    """Health that learns nothing: no outcome, no call that is overdue, no budget of retries."""

    def begin(self, tool: ToolSpec, now: float, *, again: bool = False, expected: Expected | None = None) -> Ticket:
        ticket = super().begin(tool, now, again=again, expected=expected)
        ticket.standings[0].flying.clear()
        return ticket

    def admits_retry(self, tool: ToolSpec, now: float) -> bool:
        return True

    def succeed(self, ticket: Ticket, now: float, *, usd: float | None = None, said: Headroom | None = None) -> None:
        self.forget(ticket)

    def fail(
        self,
        ticket: Ticket,
        now: float,
        *,
        retry_after_s: float | None = None,
        rate_limited: bool = False,
        timed_out: bool = False,
    ) -> None:
        self.forget(ticket)


class ForgetfulAgent(Agent):
    """An agent with health off."""

    def _new_board(self, health: Health) -> HealthBoard:
        return ForgetfulBoard(health, alternatives=self.graph.alternatives)


class JumpingClock(VirtualClock):
    """A clock whose wall time jumps, as when somebody sets it."""

    def __init__(self, jumps: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        self._jumps, self._origin = jumps, anyio.current_time()

    def wall(self) -> float:
        since = self.now() - self._origin
        return super().wall() - self._origin + sum(by for at, by in self._jumps if at <= since)


def play(load: Load, mode: Mode = "on", *, seed: int = 1, watch: bool = False) -> Play:
    """Play a load to its end; the same seed, the same outcome.

    Args:
        load: What to play.
        mode: Whether health is on; unhedged: it is, but calls that take too long are waited for.
        seed: Of arrivals, of dice, and of the order of what happens at the same moment.
        watch: Look at the weights now and then.
    """
    stage = _Stage(load, mode, seed)
    return run_virtual(stage.play, watch, seed=seed)


class _Stage:
    """One play of one load."""

    def __init__(self, load: Load, mode: Mode, seed: int) -> None:
        self._load = load
        self._mode: Mode = mode
        self._seed = seed
        self._runs: list[Run] = []
        self._samples: list[Sample] = []

    async def play(self, watch: bool) -> Play:  # noqa: FBT001  # run_virtual passes no keywords
        load = self._load
        self._providers = Providers([*load.services, *_lesser(load)], self._seed)
        self._clock = JumpingClock(load.jumps)
        self._agent = self._new_agent()
        async with self._agent, anyio.create_task_group() as watching:
            if watch:
                watching.start_soon(self._watch)
            if load.suspended is not None:
                watching.start_soon(_sleep, *load.suspended)
            async with anyio.create_task_group() as runs:
                for number, at in enumerate(load.arrivals(self._seed)):
                    await anyio.sleep(max(0.0, at - self._providers.now()))
                    runs.start_soon(self._run, f"run-{number}")
            watching.cancel_scope.cancel()
        return Play(load, self._mode, self._providers.calls, self._runs, self._samples)

    def _new_agent(self) -> Agent:
        load, kind = self._load, ForgetfulAgent if self._mode == "off" else Agent
        goals = [Goal("whole", list(load.needs), 1.0)]
        if load.lesser:
            goals.append(Goal("less", ["less"], 0.5))
        return kind(
            name="load",
            tools=[service.tool() for service in (*load.services, *_lesser(load))],
            goals=goals,
            rates=Rates(usd_per_second=USD_PER_SECOND),
            health=replace(load.health, hedge=self._mode != "unhedged" and load.health.hedge),
            budget=Budget(deadline_s=load.deadline_s),
            max_concurrency=load.concurrency,
            trace=False,
            executor=self._providers,
            clock=self._clock,
            monitors=self._monitors(),
            seed=self._seed,
        )

    def _monitors(self) -> tuple[Monitor, ...]:
        watcher = self._load.watcher
        if watcher is None or self._mode == "off":
            return ()
        return watcher.monitors(self._providers, self._clock, self._seed)

    async def _run(self, name: str) -> None:
        came = self._providers.now()
        result = await self._agent.run(run_id=name, inputs={"start": "given"})
        ended = self._providers.now()
        if (sleep := self._load.suspended) is not None and came < sleep[0] < ended:
            ended -= sleep[1]  # that hour costs nobody anything
        self._runs.append(Run(name, came, ended, result.outcome, self._providers.paid[name]))

    async def _watch(self) -> None:
        board, rates = self._agent._services.board, self._agent.rates
        for number in count():
            at, now = number * SAMPLE_S, anyio.current_time()
            tools = [self._agent.graph.tools[ToolId(service.name)] for service in self._load.services]
            usable = [tool for tool in tools if board.admits(tool, now)]
            self._samples.append(Sample(at, {tool.name: board.weight(tool, rates, now) for tool in usable}))
            await anyio.sleep(SAMPLE_S)


async def _sleep(at: float, seconds: float) -> None:
    """Have the process sleep: the clock goes on, and nothing else does."""
    await anyio.sleep(at)
    cast("MockClock", trio.lowlevel.current_clock()).jump(seconds)


def _lesser(load: Load) -> tuple[Service, ...]:
    return (Service("cached", 0.0, 0.01, makes="less"),) if load.lesser else ()
