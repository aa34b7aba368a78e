"""The loop: decide, do the one thing, record what came of it, decide again."""

import logging
from collections.abc import Sequence
from typing import cast

import anyio
from anyio.abc import TaskGroup

from agentroute.errors import JournalError
from agentroute.graph.cost import NOTHING
from agentroute.guard.breaker import INSTANT_S
from agentroute.guard.budget import Budget
from agentroute.guard.ledger import Ledger
from agentroute.ids import AttemptId, NanoUsd, RunId, ToolId
from agentroute.ports import is_at_once
from agentroute.run.choices import Abandon, Ask, Call, Finish, Record, Wait
from agentroute.run.decision import Navigator
from agentroute.run.events import (
    NO_ATTEMPT,
    AttemptAbandoned,
    Chosen,
    Event,
    ModelAsked,
    Option,
    Quarantined,
    RunFinished,
    Suspended,
)
from agentroute.run.outlook import Outlook
from agentroute.run.state import RunState
from agentroute.run.tier_choices import TierChoices
from agentroute.runtime.escalation import Choice, by_model, by_policy
from agentroute.runtime.executor import Executor, Flight
from agentroute.runtime.services import Services

_LOGGER = logging.getLogger("agentroute.runtime")


class Runner:
    """Drives one run from wherever its state is to its end, or until it has to wait for a person."""

    def __init__(
        self,
        services: Services,
        run_id: RunId,
        state: RunState,
        limits: Budget,
        *,
        origin: float,
        above: Ledger | None = None,
    ) -> None:
        """Take up a run.

        Args:
            services: What the agent's runs share.
            run_id: The run.
            state: Where it stands: as of its start, or folded from its journal.
            limits: Its budget.
            origin: The injected clock's time that counts as second 0 of the run.
            above: Ledger of the attempt that called this run, if one did.
        """
        self.run_id = run_id
        self.state = state
        self._services = services
        self._origin = origin
        self._deadline = limits.deadline_s
        self._ledger = Ledger(limits.limits, above=services.quotas if above is None else (*services.quotas, above))
        self._ledger.spent = state.used
        guards = {name: tool.when for name, tool in services.tools.items() if tool.when is not None}
        self._outlook = outlook = Outlook(
            services.graph,
            state,
            services.board,
            self._ledger,
            services.rates,
            origin,
            self._deadline,
            services.learned,
            services.tiers,
        )
        self._executor = Executor(services, run_id, outlook, record=self.record, late=self._note_late, now=self.now)
        self._navigator = Navigator(
            outlook,
            guards=guards,
            backoff=services.backoff,
            made=self._executor.made,
            tiers=self._tier_choices(),
            monitors=services.run_monitors,
            asks_people=services.escalate == "human",
        )
        self._boarding: list[Flight] = []
        self._scopes: dict[AttemptId, anyio.CancelScope] = {}
        self._late: list[Event] = []
        self._crash: Exception | None = None
        self._wake = anyio.Event()
        self._recording = anyio.Lock(fast_acquire=True)
        self._at_once = is_at_once(services.journal)
        self._facts = 0  # recorded by this runner

    def _tier_choices(self) -> TierChoices | None:
        services = self._services
        if services.tiers is None or not services.graph.tiers:
            return None
        return TierChoices(self._outlook, services.tiers, services.asked, services.random.random)

    async def drive(self) -> None:
        """Run to the end.

        Raises:
            JournalError: A fact could not be recorded; what was under way has been cancelled.
        """
        try:
            async with anyio.create_task_group() as flights:
                await self._go_on(flights)
        except BaseExceptionGroup as group:
            raise _foremost(group) from (group if len(group.exceptions) > 1 else None)
        finally:
            self._leave_line()
            self._ledger.keep(NOTHING)
            for flight in self._boarding:
                self._executor.let_go(flight)
            self._boarding.clear()

    async def _go_on(self, flights: TaskGroup) -> None:  # noqa: C901  # one case per decision, on one screen
        """Every turn of this loop does the one thing that follows from all facts so far."""
        while True:
            facts = self._facts
            self._ledger.advance(self._services.clock.now())
            match self._navigator.decide(self.now()):
                case Call() as call:
                    await self._start(call, after=facts)
                case Wait(until, line, poor):
                    if line is not None:
                        self._services.board.line.join(self._outlook.who, line, self._called)
                    if poor:  # or two runs that need more than they have would wait for each other
                        self._ledger.keep(NOTHING)
                    await self._wait(flights, until)
                case Record(event):
                    await self.record(event, after=facts)
                case Abandon(attempts):
                    await self._abandon(flights, attempts)
                case Ask(menu, reason):
                    if not await self._ask(menu, reason):
                        return
                case Finish(outcome, reason, left_behind):
                    await self._catch_up()
                    await self.record(RunFinished(self.now(), outcome, self.state.goal, reason, left_behind))
                    return

    def now(self) -> float:
        """Seconds since the run started."""
        return self._services.clock.now() - self._origin

    async def record(self, *events: Event, after: int | None = None) -> bool:  # pyright: ignore[reportReturnType]  # a shield that nobody cancels swallows nothing
        """Append facts to the journal, then let everybody see them. What is not recorded has not happened.

        One at a time: the journal has the facts in the order in which the state took them in. And whole or not at
        all: nothing cuts in between writing a fact down and believing it, nor between facts that belong together.

        Args:
            *events: The facts.
            after: How many facts they follow from. If there are more by now they may not follow any longer, and are
                dropped: the next decision takes them all into account.

        Returns:
            Whether they were recorded.
        """
        work = self._record(events, after)
        if not self._at_once:
            return await self._services.uninterrupted(work)
        with anyio.CancelScope(shield=True):  # nothing is waited for, so there is no moment to cut in
            return await work

    async def _record(self, events: Sequence[Event], after: int | None) -> bool:
        async with self._recording:
            follows = after is None or after == self._facts
            if follows:
                for event in events:
                    await self._take_in(event)
            return follows

    async def _take_in(self, event: Event) -> None:
        if self._crash is not None:  # with a hole in the record, nothing more is put on it
            raise self._crash
        try:
            await self._services.journal.append(self.run_id, event)
        except Exception as error:
            self._crash = error
            raise
        self._facts += 1
        self.state.apply(event)
        self._navigator.note(event)
        for observer in self._services.observers:
            try:
                observer.observe(self.run_id, event)
            except Exception:
                _LOGGER.exception("an observer failed; the run goes on")

    async def cancel(self) -> None:
        """Record that the run was cut off; effects nobody could look into are named."""
        if self.state.finished is not None or self._crash is not None:
            return
        now, reason, free = self.now(), "cancelled before it began", NanoUsd(0)
        open_ = [
            AttemptAbandoned(now, started.attempt, started.tool, free, reason, called=False)
            for started in self.state.in_flight.values()
        ]
        doubts = tuple(failure.tool for failure in self.state.doubts.values())
        effects = tuple(effect.tool for effect in self.state.effects.values())
        reason = f"cancelled; unknown whether it happened: {', '.join(doubts)}" if doubts else "cancelled"
        await self.record(*open_, RunFinished(now, "cancelled", self.state.goal, reason, effects + doubts))

    # ---------------------------------------------------------------- attempts

    async def _start(self, call: Call, *, after: int) -> None:
        flight = await self._executor.begin(call, after=after)
        self._leave_line()
        if flight is None:
            self._navigator.refresh()  # the money is not there after all, or something has happened meanwhile
        else:
            self._boarding.append(flight)

    async def _wait(self, flights: TaskGroup, until: float | None) -> None:
        """Let the attempts run until one ends, or until it is time to look again."""
        if until is None and len(self._boarding) == len(self.state.in_flight) == 1:
            await self._executor.fly(self._boarding.pop())  # nothing to overlap with, so no task is needed
            await self._catch_up()
            return
        if self._crash is None:
            self._take_off(flights)
        now = self.now()
        ends = [] if until is None else [max(0.0, until - now)]
        if self._deadline is not None and self._deadline > now + INSTANT_S:  # nobody can sleep for less
            ends.append(self._deadline - now)
        with anyio.move_on_after(min(ends, default=None)):
            await self._wake.wait()
        await self._catch_up()

    def _called(self) -> None:
        """It is this run's turn to look whether the tool it waits for can be called."""
        self._wake.set()

    def _leave_line(self) -> None:
        self._services.board.line.leave(self._outlook.who)

    def _take_off(self, flights: TaskGroup) -> None:
        while self._boarding:
            flight = self._boarding.pop(0)
            self._scopes[flight.started.attempt] = anyio.CancelScope()
            flights.start_soon(self._fly, flight)

    async def _fly(self, flight: Flight) -> None:
        try:
            with self._scopes[flight.started.attempt]:
                await self._executor.fly(flight)
        except Exception as error:  # noqa: BLE001  # only the record itself can fail here; raised again in the loop
            self._crash = error
        finally:
            del self._scopes[flight.started.attempt]
            self._wake.set()

    async def _abandon(self, flights: TaskGroup, attempts: Sequence[AttemptId]) -> None:
        """Cancel attempts and wait until they have gone; those not started yet start cancelled."""
        self._take_off(flights)
        for attempt in attempts:
            self._scopes[attempt].cancel()
        while any(attempt in self.state.in_flight for attempt in attempts):
            await self._wake.wait()
            await self._catch_up()

    async def _catch_up(self) -> None:
        """See what has come in meanwhile: late results to be fenced off, a journal that cannot be written."""
        if self._wake.is_set():
            self._wake = anyio.Event()
        if self._crash is not None:
            raise self._crash
        while self._late:
            await self.record(self._late.pop(0))

    def _note_late(self, event: Event) -> None:
        if self.state.finished is None:
            self._late.append(event)
            self._wake.set()
        elif isinstance(event, Quarantined):  # the run is over, and its observers have gone
            _LOGGER.error("run %s: tool %s put aside for all runs: %s", self.run_id, event.tool, event.reason)

    # ---------------------------------------------------------------- escalation

    async def _ask(self, menu: Sequence[Option], reason: str) -> bool:
        """Let somebody choose from the menu; False if that is a person, and the run has to wait.

        A model is asked only where there is something to weigh: handing over is what is left when nothing else is, so
        one feasible goal is taken without a call. A person is asked about that one goal too.
        """
        escalate, goals = self._services.escalate, len(menu) - 1
        if goals == 0:
            choice = Choice(menu[0].choice, "only-option")
        elif escalate == "human" and not self._expired():
            await self.record(Suspended(self.now(), tuple(menu), reason))
            return False
        elif goals == 1:
            choice = Choice(menu[0].choice, "only-option")
        elif escalate in ("policy", "human") or self._expired():
            choice = by_policy(menu)
        else:
            choice = await self._ask_model(menu)
        facts = (choice.choice, choice.by, reason, choice.note, choice.spent, choice.model_called, choice.tokens)
        events: list[Event] = [Chosen(self.now(), tuple(menu), *facts)]
        if choice.alarm:
            events.append(Quarantined(self.now(), NO_ATTEMPT, ToolId(escalate), choice.alarm))
        await self.record(*events)
        return True

    async def _ask_model(self, menu: Sequence[Option]) -> Choice:
        board, model = self._services.board, ToolId(self._services.escalate)
        if model in board.quarantined:
            return by_policy(menu, f"{model} was put aside: {board.quarantined[model]}")
        left = float("inf") if self._deadline is None else self._deadline - self.now()
        choice = await by_model(
            self._services.model,
            model,
            menu,
            self.state.unanswered.values(),
            self._ledger,
            timeout_s=left,
            now=self._services.clock.now,
            intend=lambda held: self.record(ModelAsked(self.now(), model, NanoUsd(held.usd), held.tokens)),
        )
        if choice.alarm:
            board.quarantine(model, choice.alarm)
        return choice

    def _expired(self) -> bool:
        return self._deadline is not None and self.now() >= self._deadline - INSTANT_S


def _foremost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to raise for a task group's: a broken record before all else, then the first."""
    errors = [
        _foremost(cast("BaseExceptionGroup[BaseException]", error)) if isinstance(error, BaseExceptionGroup) else error
        for error in group.exceptions
    ]
    return next((error for error in errors if isinstance(error, JournalError)), errors[0])
