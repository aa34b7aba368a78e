"""Plays a scenario once: the runs of its agent under its faults, and everything that others saw of them."""

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

import anyio

from agentroute.adapters.clock import LoopClock
from agentroute.adapters.logs import LogObserver
from agentroute.adapters.memory_journal import MemoryJournal
from agentroute.adapters.redaction import Redactor
from agentroute.adapters.threads import in_line
from agentroute.agent import Agent
from agentroute.errors import AgentrouteError, ConfigurationError, JournalError, UnknownRunError
from agentroute.guard.budget import Budget
from agentroute.ids import RunId
from agentroute.ports import Clock, Monitor, Record, ToolExecutor
from agentroute.run.result import RunResult
from agentroute.run.watching import RunMonitor
from agentroute.testing.fakes import YieldingJournal
from agentroute.testing.faults import Fault, FaultyCalls, Seen, Triggered
from agentroute.testing.faults.schedule import Schedule
from agentroute.testing.scenario.around import ChoosingModel, JumpingClock
from agentroute.testing.scenario.monitors import Stage, StageMonitor, faulty
from agentroute.testing.scenario.servers.faulty import FaultyServers
from agentroute.testing.scenario.staging import Staging
from agentroute.testing.scenario.testbed import Row
from agentroute.testing.scenario.witness import Witness
from agentroute.testing.virtual_time import TimeStandsStillError, VirtualClock, run_virtual, sockets_refused
from agentroute.testing.world import World

if TYPE_CHECKING:
    from agentroute.testing.scenario.servers.showing import Showing

LONGEST_VIRTUAL_S = 100_000.0
"""Virtual seconds after which runs are given up."""

LONGEST_REAL_S = 120.0
"""Real seconds after which runs without a deadline are given up; with one, so long after it."""


@dataclass(slots=True)
class Play:
    """What came of it.

    Attributes:
        agent: Who ran.
        budget: Its limits for each run.
        records: The journals, by run.
        results: What callers were told, by run.
        crashes: What callers were told by an exception, by run.
        seen: Calls, as the injector saw them.
        triggered: What the injectors did.
        counts: How often, by rule.
        world: The ground truth at the door of the tools.
        truth: The ground truth of the testbed, or of the scenario's own function: rows by table.
        prompts: What a model was sent.
        outputs: What was logged.
        killed: The agent's process was killed, as a fault asked for.
    """

    agent: Agent
    budget: Budget
    world: World
    records: dict[str, Sequence[Record]] = field(default_factory=dict[str, Sequence[Record]])
    results: dict[str, RunResult] = field(default_factory=dict[str, RunResult])
    crashes: dict[str, str] = field(default_factory=dict[str, str])
    seen: Sequence[Seen] = ()
    triggered: Sequence[Triggered] = ()
    counts: Sequence[int] = ()
    truth: Mapping[str, Sequence[Row]] | None = None
    prompts: Sequence[str] = ()
    outputs: Sequence[str] = ()
    killed: bool = False


def play(
    staging: Staging, faults: Sequence[Fault], seed: int, servers: FaultyServers | None = None, *, salt: str = ""
) -> Play:
    """Play a scenario with these faults.

    Args:
        staging: The scenario, with everything in its place.
        faults: What goes wrong.
        seed: What chance is drawn from.
        servers: The testbed's servers behind proxies, at the levels that have them.
        salt: Makes the ids of the runs, and with them the idempotency keys, other than those of the play before: what
            an agent's own code remembers of that one is not taken for this one's.

    Raises:
        AgentrouteError: It cannot be played as it stands, whatever goes wrong.
    """
    company = _Company(staging, faults, seed, servers, salt="" if staging.simulated else salt)
    try:
        if not staging.is_virtual:
            return anyio.run(company.perform)
        with in_line():
            return run_virtual(company.perform, seed=seed)
    except BaseExceptionGroup as group:  # of the tasks of the runs
        raise _foremost(group) from None


class _Company:
    """One performance: the agent, and what stands around it."""

    def __init__(
        self, staging: Staging, faults: Sequence[Fault], seed: int, servers: FaultyServers | None, *, salt: str
    ) -> None:
        self.staging = staging
        self.faults = faults
        self.seed = seed
        self.servers = servers
        self.salt = f"-{salt}" if salt else ""
        self.world = World()
        self.beside: list[Triggered] = []
        self.injector: FaultyCalls | None = None
        self.showing: Showing | None = None  # what the servers met

    async def perform(self) -> Play:
        """Everything from the first run's start to the last one's end."""
        refused = sockets_refused() if self.staging.is_virtual else nullcontext(list[str]())
        with refused as sockets, _logged(self.faults) as lines:
            played = await self._play(lines)
        if sockets:
            raise ConfigurationError("a tool opened a socket, which virtual time does not wait for; say level: call")
        return played

    async def _play(self, lines: list[str]) -> Play:
        staging, document = self.staging, self.staging.document
        patience = 5_000 * document.runs if staging.is_virtual else 10**9
        inner: Clock = VirtualClock(patience=patience) if staging.is_virtual else LoopClock()
        clock = JumpingClock(inner, self.faults, self._note)
        model = ChoosingModel(self.faults, self._note, since=lambda: clock.now() - clock.origin, seed=self.seed)
        journal = YieldingJournal() if staging.is_virtual else MemoryJournal()
        made = staging.make(self.world, self._addresses())
        monitors = self._monitors(made, clock)
        agent = made.with_options(
            escalate="scripted" if document.escalate == "model" else document.escalate,
            seed=self.seed,
            observers=[LogObserver(Redactor())] if _has_secret(self.faults) else [],
            journal=journal,
            clock=clock,
            budget=staging.budget(made),
            health=staging.health(made),
            model=model,
            monitors=monitors,
            trace=False,
            wrap_executor=partial(self._injecting, made),
        )
        played = Play(agent, agent.budget, self.world)
        async with agent:
            clock.start()
            await self._run_all(agent, played)
        await self._collect(played, journal)
        played.prompts, played.outputs = model.prompts, lines
        return played

    def _monitors(self, made: Agent, clock: JumpingClock) -> list[Monitor | RunMonitor]:
        """The agent's monitors and the scenario's, with what is wrong with them."""

        def since() -> float:
            return clock.now() - clock.origin

        stage = Stage(
            tuple(made.graph.tools.values()), Schedule(tuple(self.faults), self.seed), since, clock.now, self._note
        )
        looks = [
            StageMonitor(entry.name, entry.kind, entry.about, entry.every, stage)
            for entry in self.staging.document.monitors
        ]
        beside = [monitor for monitor in made.monitors if isinstance(monitor, Monitor)]
        within = [monitor for monitor in made.monitors if not isinstance(monitor, Monitor)]
        return [*faulty([*beside, *looks], self.faults, self._note, since=since), *within]

    def _addresses(self) -> Mapping[str, tuple[str, int]]:
        if self.servers is not None:
            return self.servers.addresses
        return {} if self.staging.testbed is None else self.staging.testbed.addresses

    def _injecting(self, made: Agent, calls: ToolExecutor, clock: Clock) -> ToolExecutor:
        """Put the injector, and behind it a witness of the truth, where calls are made."""
        watched = calls if self.staging.simulated else Witness(calls, made.graph, self.world)
        in_calls = () if self.servers is not None else self.faults
        self.injector = FaultyCalls(watched, in_calls, clock=clock, seed=self.seed, alias=self._alias)
        return self.injector

    def _alias(self, run: str) -> str:
        """The run as the dice know it."""
        return run.removesuffix(self.salt)

    def _note(self, rule: int) -> None:
        """Enter a fault of what is around the calls."""
        now = anyio.current_time()
        self.beside.append(Triggered(now, "", "", 0, self.faults[rule], rule))

    async def _run_all(self, agent: Agent, played: Play) -> None:
        document, injector = self.staging.document, self.injector
        assert injector is not None  # noqa: S101  # made with the agent
        injector.start()
        limit = _give_up_after(self.staging, agent.budget)
        with self._servers(agent), anyio.move_on_after(limit) as patience:
            async with anyio.create_task_group() as runs:
                for index in range(document.runs):
                    runs.start_soon(self._run_one, agent, played, self._name(index), index * document.every)
        if patience.cancelled_caught:
            names = list(map(self._name, range(document.runs)))
            played.crashes |= {run: f"no end within {limit:g} s" for run in names if run not in played.results}
        await injector.deliver_late(everything=True)

    def _name(self, index: int) -> str:
        return f"run-{index}{self.salt}"

    @contextmanager
    def _servers(self, agent: Agent) -> Generator[None]:
        """The servers' faults, where there are any."""
        if self.servers is None:
            yield
            return
        with self.servers.playing(self.faults, agent.graph, self.seed) as self.showing:
            yield

    async def _run_one(self, agent: Agent, played: Play, run: str, start: float) -> None:
        document = self.staging.document
        await anyio.sleep(start)
        end = float("inf") if document.cancel_at is None else anyio.current_time() + document.cancel_at - start
        with anyio.CancelScope(deadline=end) as patience:
            try:
                played.results[run] = await agent.run(goal=document.goal, inputs=self.staging.inputs, run_id=run)
            except (JournalError, TimeStandsStillError) as error:
                played.crashes[run] = f"{type(error).__name__}: {error}"
            except AgentrouteError:
                raise  # the scenario asks for what the agent does not have
            except Exception as error:  # noqa: BLE001  # whatever comes out of a run is its end
                played.crashes[run] = f"{type(error).__name__}: {error}"
        if patience.cancelled_caught:
            with suppress(UnknownRunError):  # cut off before it began
                played.results[run] = await agent.result(run)

    async def _collect(self, played: Play, journal: MemoryJournal) -> None:
        injector = self.injector
        assert injector is not None  # noqa: S101  # made with the agent
        for run in reversed(await journal.runs()):
            played.records[str(run)] = await journal.read(RunId(run))
        played.seen = injector.seen
        on_the_wire = [] if self.showing is None else self.showing.ledger(injector.seen, played.agent.graph)
        played.triggered = [*injector.triggered, *on_the_wire, *self.beside]
        times = [entry.rule for entry in played.triggered]
        played.counts = [times.count(index) for index in range(len(self.faults))]
        if self.staging.testbed is not None:
            played.truth = self.staging.testbed.truth()
        elif self.staging.truth is not None:
            played.truth = self.staging.truth(list(played.records))


def _foremost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one that says what is wrong with the scenario; without one, the group itself."""
    leaves: list[BaseException] = [group]
    while any(isinstance(leaf, BaseExceptionGroup) for leaf in leaves):
        leaves = [part for leaf in leaves for part in _parts(leaf)]
    for kind in (KeyboardInterrupt, AgentrouteError, SystemExit):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return group


def _parts(error: BaseException) -> Sequence[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).exceptions
    return [error]


def _give_up_after(staging: Staging, budget: Budget) -> float:
    if staging.is_virtual:
        return LONGEST_VIRTUAL_S + staging.document.runs * staging.document.every
    return LONGEST_REAL_S + (budget.deadline_s or 0.0) + staging.document.runs * staging.document.every


@contextmanager
def _logged(faults: Sequence[Fault]) -> Generator[list[str]]:
    """Collect what runs log, if there is a secret that must not be in it."""
    lines: list[str] = []
    if not _has_secret(faults):
        yield lines
        return
    logger, handler = logging.getLogger("agentroute.runs"), _Collector(lines)
    level, logger.propagate = logger.level, False
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = True


def _has_secret(faults: Sequence[Fault]) -> bool:
    """Whether a fault gives a secret away; only then does anybody look through the logs."""
    return any(fault.type == "secret_echo" for fault in faults)


class _Collector(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(record.getMessage())
        except Exception:  # noqa: BLE001  # a line that cannot be read is not worth a run
            self.handleError(record)
