"""Runs that share quotas, over providers who keep a bill of their own: what the money properties draw and audit.

Nothing here asks the runtime what was spent. Providers write down what they charged, a till what was asked of them and
by whom; at every call and every bill it adds up, for each limit there is, what is under way at its worst and what was
billed.
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
from hypothesis import strategies as st

from agentroute.adapters.agent_tool import AgentTool
from agentroute.agent import Agent
from agentroute.attempt import Attempt, current
from agentroute.errors import AnswerLostError, ToolError
from agentroute.graph.artifact import ArtifactType
from agentroute.graph.cost import NOTHING, Amounts, Cost
from agentroute.graph.goal import Goal
from agentroute.graph.tool import Guard, ToolSpec
from agentroute.guard.budget import Budget, Quota
from agentroute.guard.ledger import UNLIMITED, Ledger, Limits
from agentroute.ids import ArtifactId, RunId, ToolId, dollars
from agentroute.ports import Observer, Tool, Values
from agentroute.routing.health import Health
from agentroute.run.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    Hedged,
    Quarantined,
)
from agentroute.runtime.services import DirectCalls
from agentroute.testing.fakes import YieldingJournal
from agentroute.testing.virtual_time import VirtualClock, run_virtual

CENT = 10_000_000
"""Nano-dollars."""

MODES = ("fair", "fair", "fair", "silent", "unread", "down", "garbage", "lost", "slow", "hangs", "greedy", "wordy")
"""How a provider behaves towards one call: `Provider` says what each means."""


Key: TypeAlias = tuple[str, int]
"""An attempt: its run and its number."""


@dataclass(slots=True, eq=False)
class Scope:
    """One limit of somebody's, and what really counts against it."""

    name: str
    limits: Limits
    per_s: float | None = None
    away: dict[Key, Amounts] = field(default_factory=dict[Key, Amounts])
    bills: list[tuple[float, Amounts]] = field(default_factory=list[tuple[float, Amounts]])
    gone: Amounts = NOTHING

    def within(self, now: float) -> Amounts:
        """What is under way, at its worst, and what was billed, in the stretch of time that ends now."""
        total = self.gone
        if self.per_s is not None:
            while self.bills and self.bills[0][0] <= now - self.per_s:
                self.gone = self.gone.minus(self.bills.pop(0)[1])
            total = self.gone
        for amounts in self.away.values():
            total = total.plus(amounts)
        return total

    def exceeded(self, now: float) -> list[str]:
        """What is above a limit."""
        figures = zip(Amounts._fields, self.within(now), self.limits, strict=True)
        return [f"{self.name}: {used} {of} of {top}" for of, used, top in figures if top is not None and used > top]


_scopes: ContextVar[tuple[Scope, ...]] = ContextVar("scopes", default=())


@dataclass(eq=False)
class Till:
    """Every call of every agent as providers see it, and every limit that somebody set.

    Attributes:
        found: What was wrong, as soon as it was.
        calls: Calls that reached somebody, by tool.
        overspent: What was billed above what had been granted, by tool: lies, which have to be found out.
        put_aside: Tools that somebody raised the alarm about.
        lied: Attempts that charged too much, by agent, run and number.
        alarms: Those that an alarm was raised for.
    """

    found: list[str] = field(default_factory=list[str])
    calls: Counter[str] = field(default_factory=Counter[str])
    overspent: Counter[str] = field(default_factory=Counter[str])
    put_aside: set[str] = field(default_factory=set[str])
    lied: set[Key] = field(default_factory=set[Key])
    alarms: set[Key] = field(default_factory=set[Key])
    runs: dict[str, Scope] = field(default_factory=dict[str, Scope])
    shrunk: int = 0
    hedged: int = 0

    def look(self, scopes: Sequence[Scope]) -> None:
        """Add up."""
        now = anyio.current_time()
        for scope in scopes:
            self.found += [f"at {now:g} s {what}" for what in scope.exceeded(now)]

    def bill(self, attempt: Attempt, amounts: Amounts) -> None:
        """Write down what a provider charges for the call that it is serving. What is above the grant is a lie."""
        granted = _granted(attempt)
        fair, now = Amounts(*map(min, amounts, granted)), anyio.current_time()
        for scope in _scopes.get():
            if scope.away.pop(_key(attempt), None) is None:
                continue
            scope.bills.append((now, fair))
            scope.gone = scope.gone.plus(fair)
        if amounts != fair:
            self.overspent[attempt.step] += 1
            self.lied.add(_key(attempt))
        self.look(_scopes.get())


def _key(attempt: Attempt) -> Key:
    return attempt.run_id, attempt.attempt


def _granted(attempt: Attempt) -> Amounts:
    assert attempt.reservation is not None
    return attempt.reservation.amounts


class Audited(DirectCalls):
    """Makes the calls of one agent, and lets the till know of each."""

    def __init__(self, till: Till, quotas: Sequence[Scope], limits: Limits) -> None:
        self._till, self._quotas, self._limits = till, quotas, limits

    async def call(self, tool: Tool, inputs: Values) -> Values:
        """Make a call on the account of its run, its agent, and whoever called these."""
        till, attempt, name = self._till, current(), tool.spec.name
        if name in till.put_aside:
            till.found.append(f"{name} was called although it had been put aside")
        run = till.runs.setdefault(attempt.run_id, Scope(attempt.run_id, self._limits))
        scopes = (*_scopes.get(), run, *self._quotas)
        granted = _granted(attempt)
        if not all(
            low <= held <= high for low, held, high in zip(tool.spec.least, granted, tool.spec.worst, strict=True)
        ):
            till.found.append(f"{name} was granted {granted}, not {tool.spec.least} to {tool.spec.worst}")
        till.shrunk += granted != tool.spec.worst
        nested = isinstance(tool, AgentTool)  # its money is what its own calls cost
        for scope in scopes:
            scope.away[_key(attempt)] = granted._replace(usd=0) if nested else granted
        till.calls[name] += 1
        till.look(scopes)
        token = _scopes.set(scopes)
        try:
            return await super().call(tool, inputs)
        finally:
            if any(_key(attempt) in scope.away for scope in scopes):
                till.bill(attempt, Amounts(model_calls=granted.model_calls, tool_calls=granted.tool_calls))
            _scopes.reset(token)


class Listener(Observer):
    """Takes note of what the runs say of themselves: alarms, and the sums of their own books."""

    def __init__(self, till: Till) -> None:
        self._till = till
        self.booked = NOTHING

    def observe(self, run: RunId, event: Event) -> None:
        """Take note of one fact."""
        match event:
            case AttemptStarted():
                self.booked = self.booked.plus(Amounts(0, 0, int(event.calls_model), 1))
                self._models = {**getattr(self, "_models", {}), (run, event.attempt): event.calls_model}
            case AttemptSucceeded() | AttemptFailed() | AttemptAbandoned():
                self.booked = self.booked.plus(Amounts(event.spent, event.used_tokens))
                if isinstance(event, AttemptAbandoned) and not event.called:
                    calls_model = int(self._models[run, event.attempt])
                    self.booked = self.booked.minus(Amounts(0, 0, calls_model, 1))
            case Hedged():
                self._till.hedged += 1
            case Quarantined():
                self._till.put_aside.add(event.tool)
                self._till.alarms.add((run, event.attempt))
            case _:
                pass


@dataclass(eq=False)
class Provider:
    """A tool whose provider behaves as it is told, call by call, and sends its own bill to the till.

    - ``fair``: charges something up to what was granted, and says so. ``silent``: charges what is usual, says nothing.
    - ``unread``: a model whose usage is missing: what was granted is charged.
    - ``down``: fails and charges nothing. ``garbage``: charges, and answers with something else.
    - ``lost``: did it, charged it, and the answer never came. ``slow``: takes five times as long.
    - ``hangs``: charges at once and never answers.
    - ``greedy``: charges more than was granted. ``wordy``: claims more tokens than were granted.
    """

    spec: ToolSpec
    till: Till
    modes: Sequence[str]
    seconds: float
    when: Guard | None = None
    ensure: Callable[[Any], bool] | None = None
    auxiliaries: Sequence[Tool] = ()

    @property
    def types(self) -> Mapping[ArtifactId, ArtifactType]:
        """Texts."""
        names = [*self.spec.produces, *(need for need in self.spec.requires if isinstance(need, str))]
        return {name: ArtifactType(name, str) for name in names}

    async def call(self, inputs: Values) -> Values:
        """Serve one call."""
        del inputs
        attempt, number = current(), self.till.calls[self.spec.name]
        mode = self.modes[number % len(self.modes)]
        if mode == "hangs":
            self._charge(attempt, mode, number)
            await anyio.sleep_forever()
        if self.seconds:
            await anyio.sleep(self.seconds * (5 if mode == "slow" else 1))
        else:
            await anyio.lowlevel.checkpoint()
        if mode == "down":
            raise ToolError("try again later", kind="transient")
        self._charge(attempt, mode, number)
        await anyio.lowlevel.checkpoint()
        if mode == "lost":
            raise AnswerLostError("the connection broke", kind="transient")
        return {} if mode == "garbage" else dict.fromkeys(self.spec.produces, "something")

    def _charge(self, attempt: Attempt, mode: str, number: int) -> None:
        held, cost = _granted(attempt), self.spec.cost
        usd, tokens = held.usd * (number % 4) // 4, held.tokens * (number % 3) // 3
        if mode in {"silent", "unread"}:
            usd, tokens = (min(cost.expected, held.usd) if mode == "silent" else held.usd), held.tokens
        if mode == "greedy":
            usd = 2 * held.usd + CENT
        if mode == "wordy":
            tokens = 2 * held.tokens + 1
        self.till.bill(attempt, Amounts(usd, tokens, held.model_calls, held.tool_calls))
        if mode == "silent":
            return
        attempt.charge(usd=dollars(usd))
        if mode != "unread":
            attempt.tokens = (tokens // 2, tokens - tokens // 2)


@dataclass(frozen=True)
class Deal:
    """One draw: what is limited, how providers behave, who is cut off when. Money in cents, time in seconds."""

    runs: int = 8
    budget: tuple[int | None, int | None, int | None, int | None] = (None, None, None, None)
    inner: tuple[int | None, int | None, int | None, int | None] = (None, None, None, None)
    quotas: tuple[tuple[tuple[int | None, ...], float | None], ...] = ()
    inner_quotas: tuple[tuple[tuple[int | None, ...], float | None], ...] = ()
    modes: tuple[tuple[str, ...], ...] = (("fair",),) * 5
    cut_off: tuple[float | None, ...] = (None,)
    deadline_s: float | None = None
    share: float = 1.0
    concurrency: int = 64
    stagger_s: float = 0.0
    seconds: float = 0.5
    seed: int = 0


@dataclass(eq=False)
class Settled:
    """What came of a deal."""

    till: Till
    outer: Listener
    within: Listener
    agents: tuple[Agent, Agent]
    outcomes: Counter[str]
    ledgers: Sequence[Ledger]

    def wrong(self) -> list[str]:
        """Everything that must not be: too much used, an alarm not raised, something still held, books that differ."""
        till = self.till
        found = list(dict.fromkeys(till.found))
        found += [f"nobody raised the alarm about attempt {each}" for each in sorted(till.lied - till.alarms)]
        found += [f"{each.reserved} is still held" for each in self.ledgers if each.reserved != NOTHING]
        found += self._books(self.agents[0], self.outer.booked, self.within.booked._replace(usd=0))
        return found + self._books(self.agents[1], self.within.booked, NOTHING)

    @staticmethod
    def _books(agent: Agent, own: Amounts, below: Amounts) -> list[str]:
        """Quotas that forget nothing have spent what the journals say."""
        ledgers = [each for each in agent._services.quotas if type(each) is Ledger]
        return [f"{agent.name}: the quota says {each.spent}, the journals {own.plus(below)}" for each in ledgers
                if each.spent != own.plus(below)]  # fmt: skip


def _spec(name: str, needs: str, makes: str, *, cents: int, model: bool = False) -> ToolSpec:
    """A contract: a model can do with half of what it may cost at most, and with half of the tokens."""
    least = cents * 3 / 200
    return ToolSpec(
        ToolId(name),
        requires=(ArtifactId(needs),),
        produces=(ArtifactId(makes),),
        cost=Cost(cents / 100, cents * 3 / 100, latency_s=0.5, usd_least=least if model else None),
        effect="read" if model else "idempotent",
        timeout_s=4.0,
        calls_model=model,
        tokens=100 if model else 0,
        least_tokens=40 if model else None,
    )


def _limits(drawn: Sequence[int | None]) -> dict[str, Any]:
    usd, tokens, llm_calls, tool_calls = drawn
    return {
        "usd": None if usd is None else usd / 100,
        "tokens": tokens,
        "llm_calls": llm_calls,
        "tool_calls": tool_calls,
    }


def _quotas(drawn: Sequence[tuple[Sequence[int | None], float | None]]) -> list[Quota]:
    return [Quota(**_limits(limits), per_s=per_s) for limits, per_s in drawn if any(x is not None for x in limits)]


@contextmanager
def known_ledgers() -> Generator[list[Ledger]]:
    """Every ledger that is made meanwhile."""
    made, start = list[Ledger](), Ledger.__init__

    def noted(self: Ledger, limits: Limits = UNLIMITED, *, above: Any = ()) -> None:
        start(self, limits, above=above)
        made.append(self)

    Ledger.__init__ = noted
    try:
        yield made
    finally:
        Ledger.__init__ = start


class House:
    """An agent that asks models and another agent, with everybody's quotas; made inside the event loop."""

    def __init__(self, deal: Deal) -> None:
        self.deal, self.till = deal, Till()
        clock = VirtualClock()
        self.within, self.outer = Listener(self.till), Listener(self.till)
        models = [
            self._provider(0, _spec("look", "b", "c", cents=1, model=True)),
            self._provider(1, _spec("look-too", "b", "c", cents=2, model=True)),
        ]
        inner = self._agent("inner", models, {"c": 1.0}, deal.inner, deal.inner_quotas, self.within, clock)
        tools: list[Tool] = [
            self._provider(2, _spec("ask", "start", "a", cents=1, model=True)),
            self._provider(3, _spec("ask-too", "start", "a", cents=2, model=True)),
            self._provider(4, _spec("fetch", "a", "b", cents=1)),
            inner.as_tool(name="sub", timeout_s=8.0),
        ]
        goals = {"c": 1.0, "a": 0.5}
        outer = self._agent("outer", tools, goals, deal.budget, deal.quotas, self.outer, clock)
        self.agents = (outer, inner)

    def _provider(self, index: int, spec: ToolSpec) -> Provider:
        return Provider(spec, self.till, self.deal.modes[index % len(self.deal.modes)], self.deal.seconds)

    def _agent(  # noqa: PLR0917
        self,
        name: str,
        tools: Sequence[Tool],
        goals: Mapping[str, float],
        limits: Sequence[int | None],
        quotas: Sequence[tuple[Sequence[int | None], float | None]],
        listener: Listener,
        clock: VirtualClock,
    ) -> Agent:
        deal, wanted = self.deal, _quotas(quotas)
        budget = Budget(**_limits(limits), deadline_s=deal.deadline_s, finish_share=deal.share)
        scopes = [Scope(f"quota of {name}", quota.limits, quota.per_s) for quota in wanted]
        return Agent(
            name=name,
            tools=tools,
            goals=[Goal(goal, [goal], utility) for goal, utility in goals.items()],
            budget=budget,
            quotas=wanted,
            health=Health(patience_s=20.0),
            max_concurrency=deal.concurrency,
            journal=YieldingJournal(),
            observers=[listener],
            trace=False,
            executor=Audited(self.till, scopes, budget.limits),
            clock=clock,
            seed=deal.seed,
        )

    async def run(self, number: int = 0) -> str:
        """Make one run."""
        result = await self.agents[0].run(inputs={"start": "x"}, run_id=f"run-{number}")
        return result.outcome


def settle(deal: Deal) -> Settled:
    """Make the runs of a deal, all at once, in virtual time."""
    with known_ledgers() as ledgers:
        return run_virtual(_settle, deal, ledgers, seed=deal.seed)


async def _settle(deal: Deal, ledgers: list[Ledger]) -> Settled:
    house, outcomes = House(deal), Counter[str]()

    async def one(number: int) -> None:
        await anyio.sleep(number * deal.stagger_s)
        patience = deal.cut_off[number % len(deal.cut_off)]
        outcome = "cut off"
        with anyio.move_on_after(patience):
            outcome = await house.run(number)
        outcomes[outcome] += 1

    with anyio.fail_after(100_000):
        async with anyio.create_task_group() as runs:
            for number in range(deal.runs):
                runs.start_soon(one, number)
    return Settled(house.till, house.outer, house.within, house.agents, outcomes, ledgers)


# -------------------------------------------------------------------- drawing


def _some(draw: st.DrawFn, scale: int) -> tuple[int | None, ...]:
    """Limits for so many runs: most draws leave most of them out."""
    tops = ((5, 20, scale), (100, 500, scale), (2, 4, scale), (3, 6, scale))
    return tuple(draw(st.sampled_from((None, None, low * by, high * by))) for low, high, by in tops)


@st.composite
def deals(draw: st.DrawFn) -> Deal:
    """Draw a few runs that get into each other's way."""
    runs = draw(st.integers(1, 8))
    quota = st.tuples(st.builds(lambda: None).map(lambda _: ()), st.sampled_from((None, None, 5.0, 30.0)))
    modes = st.lists(st.sampled_from(MODES), min_size=1, max_size=4).map(tuple)

    def quotas() -> tuple[tuple[tuple[int | None, ...], float | None], ...]:
        return tuple((_some(draw, max(1, runs // 2)), draw(quota)[1]) for _ in range(draw(st.integers(0, 2))))

    return Deal(
        runs=runs,
        budget=_some(draw, 1),  # pyright: ignore[reportArgumentType]
        inner=_some(draw, 1),  # pyright: ignore[reportArgumentType]
        quotas=quotas(),
        inner_quotas=quotas(),
        modes=tuple(draw(modes) for _ in range(5)),
        cut_off=tuple(draw(st.lists(st.sampled_from((None, None, 0.0, 0.5, 0.7, 3.0, 4.0)), min_size=1, max_size=3))),
        deadline_s=draw(st.sampled_from((None, None, 1.2, 6.0))),
        share=draw(st.sampled_from((1.0, 1.0, 0.0, 0.5))),
        concurrency=draw(st.sampled_from((1, 2, 64))),
        stagger_s=draw(st.sampled_from((0.0, 0.0, 0.3, 7.0))),
        seconds=draw(st.sampled_from((0.5, 0.0))),
        seed=draw(st.integers(0, 3)),
    )
