"""One attempt: reserve, record the intent, call, validate, settle, record the outcome."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Literal, Protocol

import anyio
import anyio.lowlevel
from pydantic import ValidationError

from agentroute.attempt import Attempt, serving
from agentroute.errors import AnswerLostError, FailureKind, ToolError, WrongAnswerError
from agentroute.graph.artifact import ArtifactType
from agentroute.graph.cost import NOTHING, Amounts
from agentroute.graph.tool import ToolSpec
from agentroute.guard.breaker import INSTANT_S
from agentroute.guard.effects import idempotency_key
from agentroute.guard.failures import LONGEST_MESSAGE, Failure, classify
from agentroute.guard.ledger import Reservation
from agentroute.guard.rate_limits import Headroom
from agentroute.ids import ArtifactId, AttemptId, NanoUsd, RunId, dollars
from agentroute.ports import Observer, Tool, Values
from agentroute.routing.entry import Ticket
from agentroute.run.choices import Call
from agentroute.run.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Compensated,
    Event,
    LateResultFenced,
    Quarantined,
    Verified,
)
from agentroute.run.outlook import Outlook
from agentroute.run.saga import GRACE_S
from agentroute.runtime.services import Services
from agentroute.runtime.size import LARGEST_ANSWER, exceeds

SHORTEST_TIMEOUT_S = 0.001
"""An attempt is given at least this long, so that one at the very deadline ends as a timeout and not as an error."""


Charge = Literal["nothing", "expected", "worst"]

CHARGED: Mapping[FailureKind, Charge] = {
    "transient": "nothing",
    "rate_limited": "nothing",
    "permanent": "nothing",
    "contract": "expected",
    "ambiguous": "worst",
}
"""What a failed attempt is charged, unless the tool reported it: what did not happen costs nothing, what may have
happened costs the worst case."""


class Record(Protocol):
    """Records facts, all or none; with `after`, only if they follow from so many facts. Says whether it did."""

    async def __call__(self, *events: Event, after: int | None = None) -> bool:
        """Record them."""
        ...


class Executor:
    """Makes the attempts of one run.

    Attributes:
        made: When each call was made whose outcome is not on record (seconds since the start of the run); others wait
            for their turn.
    """

    def __init__(
        self,
        services: Services,
        run_id: RunId,
        outlook: Outlook,
        *,
        record: "Record",
        late: Callable[[Event], None],
        now: Callable[[], float],
    ) -> None:
        """Bind the run.

        Args:
            services: What the agent's runs share.
            run_id: The run.
            outlook: What it sees of its tools.
            record: Records a fact, unless others came after the one it was to follow; never cut off by cancellation.
            late: Takes facts about calls that had been given up.
            now: Seconds since the start of the run.
        """
        self._services = services
        self._run_id = run_id
        self._outlook = outlook
        self._state = outlook.state
        self._ledger = outlook.ledger
        self._record = record
        self._late = late
        self._now = now
        self._deadline = outlook.deadline_s
        self.made: dict[AttemptId, float] = {}
        self._left: dict[AttemptId, Attempt] = {}  # attempts given up whose threads go on
        self._alarmed: set[AttemptId] = set()
        self._scoped = [o for o in services.observers if type(o).attempt_scope is not Observer.attempt_scope]

    async def begin(self, call: Call, *, after: int) -> "Flight | None":
        """Reserve the worst case and record the intent.

        Nothing is awaited between the decision and the claims on money and health, so no other run comes in between.
        But until the intent is on record, another call of this run may end, and close the tool.

        Args:
            call: The decision.
            after: How many facts it follows from.

        Returns:
            None if the money is not there after all, or there are more facts by now.
        """
        spec, services = call.tool, self._services
        reservation = self._reserve(call)
        if reservation is None:
            return None
        again = self._state.tries.get(spec.name, 0) > 0  # one that was given up before it was made is no failure
        expected = self._outlook.expected(spec)
        ticket = services.board.begin(spec, services.clock.now(), again=again, expected=expected)
        try:
            inputs = self._outlook.values_for(spec, call.about)
            started = AttemptStarted(
                at=self._now(),
                attempt=AttemptId(self._state.attempts + 1),
                tool=spec.name,
                number=self._state.tries.get(spec.name, 0) + 1,
                key=self._key(call, inputs),
                reserved=NanoUsd(reservation.amounts.usd),
                role=call.role,
                about=call.about,
                calls_model=spec.calls_model,
                tokens=reservation.amounts.tokens,
                uses=self._makers(inputs),
            )
            recorded = await self._record(started, after=after)
        except BaseException:
            services.board.forget(ticket)
            reservation.release()
            raise
        flight = Flight(call, started, inputs, reservation, ticket)
        if not recorded:
            self.let_go(flight)
        return flight if recorded else None

    def _reserve(self, call: Call) -> Reservation | None:
        """Hold the worst case of a call, and in quotas what the run needs after it, if there is room for both.

        Remedies come before what is kept, where there is no room for both.
        """
        worst, ledger = call.hold or call.tool.worst, self._ledger
        if call.role == "step":
            return ledger.reserve(worst, self._outlook.rest_after(call.tool))
        return ledger.reserve(worst, ledger.kept) or ledger.reserve(worst, NOTHING)

    def _makers(self, inputs: Values) -> tuple[AttemptId, ...]:
        """Attempts that made these inputs; those the run was given have no maker."""
        makers = self._state.makers
        return tuple(sorted({makers[name].attempt for name in inputs if name in makers}))

    async def fly(self, flight: "Flight") -> None:
        """Make the attempt and record how it ended, whatever happens."""
        started = flight.started
        attempt = Attempt(self._run_id, started.tool, started.attempt, started.key, deadline=0.0)
        attempt.reservation = flight.reservation
        attempt.spending_limit = None if self._outlook.money_left is None else started.reserved
        attempt.original_key = "" if started.about is None else self._state.keys.get(started.about, "")
        attempt.wall = self._services.clock.wall
        attempt.on_late = lambda worked: self._came_back(flight, attempt, worked=worked)
        try:
            await self._make(flight, attempt)
        finally:
            self.made.pop(started.attempt, None)

    async def _make(self, flight: "Flight", attempt: Attempt) -> None:
        """Make the attempt when its turn has come, and record how it ended."""
        try:
            if not await self._turn_came(flight):
                return
            try:
                await anyio.lowlevel.checkpoint_if_cancelled()  # nothing begins for a run that is over
                self.made[flight.started.attempt] = self._now()
                ending = await self._succeeding(flight, attempt)
            finally:
                self._services.turns.give_back()
        except Exception as error:  # noqa: BLE001  # every failure becomes a fact
            ending = self._failing(flight, attempt, error)
        except BaseException:
            if flight.started.attempt in self._state.in_flight:  # else it was given up, and that is on record
                await self._record(*self._cut_off(flight, attempt))
            raise
        await self._record(*ending)

    async def _turn_came(self, flight: "Flight") -> bool:
        """Wait for a turn among the calls of all runs; False if the attempt was given up before it was made."""
        turns, board = self._services.turns, self._services.board
        if not turns.take():
            board.queued(flight.ticket)
            with anyio.move_on_after(self._patience(flight.call)) as waiting:
                await self._stand_in_line(flight.call)
            if waiting.cancelled_caught:
                await self.give_up(flight, "no turn before the deadline")
                return False
            now = self._services.clock.now()
            if not board.still_admits(flight.ticket, now):
                turns.give_back()
                await self.give_up(flight, "the tool was closed before its turn came")
                return False
            flight.ticket = board.delayed(flight.ticket, now)
            flight.waited_s = self._now() - flight.started.at
        if flight.call.tool.name in self._services.board.quarantined:
            turns.give_back()
            await self.give_up(flight, "the tool was put aside before its turn came")
            return False
        return True

    def _patience(self, call: Call) -> float | None:
        """Seconds that a call waits for its turn: as long as the rest of the route, with it, can be over in time.

        One for which there is too little time already waits until the end: the route was taken all the same.
        """
        now, end = self._now(), self._end_of(call)
        if end is None:
            return None
        if call.role == "step" and (latest := end - self._outlook.rest_s(call.tool, now)) > now:
            return latest + SHORTEST_TIMEOUT_S - now
        return max(0.0, end - now)

    async def _stand_in_line(self, call: Call) -> None:
        """Wait until the turn has come. Whoever is cancelled meanwhile hands on a turn that has just come."""
        turns, came = self._services.turns, anyio.Event()
        waiter = turns.join(self._outlook.rank(call.role), came.set)
        try:
            await came.wait()
        except BaseException:
            turns.leave(waiter)
            raise

    async def give_up(self, flight: "Flight", reason: str) -> None:
        """Record that an attempt was not made after all, and give back what was claimed for it."""
        self.let_go(flight)
        started, free = flight.started, NanoUsd(0)
        await self._record(AttemptAbandoned(self._now(), started.attempt, started.tool, free, reason, called=False))

    def let_go(self, flight: "Flight") -> None:
        """Give back what was claimed for an attempt that will not be made."""
        self._services.board.forget(flight.ticket)
        flight.reservation.release()

    # ---------------------------------------------------------------- the call

    async def _call(self, flight: "Flight", attempt: Attempt) -> Values:
        services, tool = self._services, self._services.tools[flight.call.tool.name]
        limit = self._time_limit(flight.call)
        attempt.deadline = services.clock.now() + limit
        raw: Values = {}
        with serving(attempt), self._observed(attempt.attempt), anyio.move_on_after(limit) as scope:
            raw = await services.executor.call(tool, flight.inputs)
        if scope.cancelled_caught:
            raise TimeoutError(f"no answer within {limit:g} s")
        return _checked(tool, raw, may_be_absent=flight.call.role != "step")

    def _observed(self, attempt: AttemptId) -> AbstractContextManager[object]:
        """The scopes of those observers that have one."""
        if not self._scoped:
            return nullcontext()
        scopes = ExitStack()
        for observer in self._scoped:
            scopes.enter_context(observer.attempt_scope(self._run_id, attempt))
        return scopes

    def _time_limit(self, call: Call) -> float:
        """Seconds for this attempt."""
        end, limit = self._end_of(call), call.tool.timeout_s
        return max(limit if end is None else min(limit, end - self._now()), SHORTEST_TIMEOUT_S)

    def _end_of(self, call: Call) -> float | None:
        """When a call has to be over: the deadline, and for remedies the grace period after it."""
        if self._deadline is None or call.role == "step":
            return self._deadline
        return self._deadline + GRACE_S

    def _key(self, call: Call, inputs: Mapping[ArtifactId, Any]) -> str:
        """Key of the effect: that of the tool's first attempt in this run, whatever became of its inputs since."""
        spec = call.tool
        if spec.effect == "read":
            return ""
        known = self._state.step_keys.get(spec.name) if call.role == "step" else None
        types = self._services.tools[spec.name].types
        return known or idempotency_key(
            self._run_id, spec.name, {n: _plain(types.get(n), v) for n, v in inputs.items()}
        )

    # ---------------------------------------------------------------- the outcome

    async def _succeeding(self, flight: "Flight", attempt: Attempt) -> list[Event]:
        """Make the call; what follows from its success."""
        outputs = await self._call(flight, attempt)
        about = flight.started.about
        if flight.started.role == "verify" and about is not None:
            self._check_finding(about, outputs)
        charged = None if attempt.charged is None else dollars(attempt.charged)
        self._services.board.succeed(flight.ticket, self._services.clock.now(), usd=charged, said=attempt.headroom)
        self._tell_policies(flight.call.tool, accepted=True)
        used, now, started = self._settle(flight, attempt, "expected"), self._now(), flight.started
        tool = started.tool
        events: list[Event] = [
            AttemptSucceeded(
                at=now,
                attempt=started.attempt,
                tool=tool,
                outputs=outputs,
                spent=NanoUsd(used.usd),
                model=attempt.model,
                tokens=attempt.tokens,
                waited_s=flight.waited_s,
                used_tokens=used.tokens,
            ),
            *self._alarms(flight, attempt, used),
        ]
        if about is not None:
            subject = self._subject(about)
            if started.role == "verify":
                events.append(Verified(now, about, subject.tool, tool, bool(outputs), outputs))
            else:
                events.append(Compensated(now, about, subject.tool, tool))
        return events

    def _settle(self, flight: "Flight", attempt: Attempt, charge: Charge, *, keeping: bool = False) -> Amounts:
        """Charge an attempt, on the day it is over: a limit on a stretch of time counts it from then on."""
        self._ledger.advance(self._services.clock.now())
        return flight.settle(attempt, charge, keeping=keeping)

    def _subject(self, about: AttemptId) -> AttemptFailed | AttemptSucceeded | Verified:
        return self._state.doubts.get(about) or self._state.rechecks.get(about) or self._state.effects[about]

    def _check_finding(self, about: AttemptId, outputs: Values) -> None:
        """Hold what a verifier found against what the tool itself promises, and against what we know of its call.

        Raises:
            ToolError: It does not satisfy the tool's ``ensure=``; or nothing was found, and the call is still running.
        """
        if outputs:
            _ensure(self._services.tools[self._subject(about).tool], outputs)
        elif (left := self._left.get(about)) is not None and left.still_running:
            raise ToolError("not found, but the call in question is still running", kind="transient")

    def _failing(self, flight: "Flight", attempt: Attempt, error: Exception) -> list[Event]:
        """What follows from a failure."""
        services, spec = self._services, flight.call.tool
        if attempt.still_running:
            self._left[flight.started.attempt] = attempt
        failure = classify(error, wall=services.clock.wall())
        out_of_time = attempt.deadline > 0 and services.clock.now() >= attempt.deadline - INSTANT_S
        if isinstance(error, WrongAnswerError) and self._is_tier(spec):
            services.board.forget(flight.ticket)  # hard questions make no tool ill: the policies learn from it
        else:
            self._tell_health(flight.ticket, failure, attempt.headroom or failure.headroom, timed_out=out_of_time)
        if failure.kind == "contract":
            self._tell_policies(spec, accepted=False)
        known = failure.for_effect(spec.effect)
        charge: Charge = "worst" if isinstance(error, AnswerLostError) else CHARGED[failure.kind]
        used = self._settle(flight, attempt, charge, keeping=self._is_wanted_again(flight))
        event = AttemptFailed(
            at=self._now(),
            attempt=flight.started.attempt,
            tool=spec.name,
            kind=known.kind,
            error=failure.error,
            message=services.redact(failure.message)[:LONGEST_MESSAGE],
            spent=NanoUsd(used.usd),
            in_doubt=flight.call.role == "step" and failure.in_doubt(spec.effect),
            unsure=flight.call.role == "step" and failure.unsure(spec.effect),
            retry_after_s=failure.retry_after_s,
            used_tokens=used.tokens,
        )
        return [event, *self._alarms(flight, attempt, used)]

    def _is_wanted_again(self, flight: "Flight") -> bool:
        """Whether what a failed call did not use is kept for the next try, as the rest of the route is."""
        return flight.call.role == "step" and self._state.limits.finish_share > 0

    def _alarms(self, flight: "Flight", attempt: Attempt, used: Amounts) -> list[Event]:
        """Put a tool aside, for all runs, that costs more than it may or says what cannot be true of it."""
        spec, held = flight.call.tool, flight.reservation.amounts
        why = attempt.disputed
        if used.usd > held.usd:
            why = f"it charged {dollars(used.usd):.6g} USD, where {dollars(held.usd):.6g} are the worst case"
        elif used.tokens > held.tokens:
            why = f"it used {used.tokens} tokens, where {held.tokens} are the worst case"
        if not why or flight.started.attempt in self._alarmed:
            return []
        self._alarmed.add(flight.started.attempt)
        self._services.board.quarantine(spec.name, why)
        return [Quarantined(self._now(), flight.started.attempt, spec.name, why)]

    def _came_back(self, flight: "Flight", attempt: Attempt, *, worked: bool) -> None:
        """A call that had been given up is over: its result is fenced off. What it charged is looked at all the same.

        Its books are closed, with what was known of it then. But who charges more than it may is not called again.
        """
        started = flight.started
        self._late(LateResultFenced(self._now(), started.attempt, started.tool, worked))
        charged = attempt.charged or NanoUsd(0)
        tokens = sum(attempt.tokens or ())
        for event in self._alarms(flight, attempt, Amounts(charged, tokens)):
            self._late(event)

    def _tell_health(self, ticket: Ticket, failure: Failure, said: Headroom | None, *, timed_out: bool) -> None:
        """Pass on what the failure says about the tool; a permanent one says something about the inputs at first."""
        board, now = self._services.board, self._services.clock.now()
        if said is not None:
            board.hear(ticket, said, now)
        if failure.kind == "permanent":
            board.refuse(ticket, now)
        else:
            board.fail(
                ticket,
                now,
                retry_after_s=failure.retry_after_s,
                rate_limited=failure.kind == "rate_limited",
                timed_out=timed_out,
            )

    def _is_tier(self, spec: ToolSpec) -> bool:
        """Whether policies choose between this tool and others."""
        return (
            self._services.tiers is not None and spec.tier is not None and spec.tier.step in self._outlook.graph.tiers
        )

    def _tell_policies(self, spec: ToolSpec, *, accepted: bool) -> None:
        """Pass on what an answer says about a tier, where wrong answers can be told from right ones."""
        tiers, tier = self._services.tiers, spec.tier
        if tiers is not None and tier is not None and tier.detection:
            tiers.saw(tier, accepted=accepted)

    def _cut_off(self, flight: "Flight", attempt: Attempt) -> list[Event]:
        """The call was cancelled. If it had begun and changes something, nobody knows whether it did.

        One that was cut off because another way was quicker has taken too long: that is a timeout to its tool. One that
        was cut off because nobody wants the run any more says nothing about it.
        """
        board, begun = self._services.board, attempt.deadline > 0
        if begun and self._is_overtaken(flight):
            board.fail(flight.ticket, self._services.clock.now(), timed_out=True)
        else:
            board.forget(flight.ticket)
        if not begun:
            flight.reservation.release()
        used = self._settle(flight, attempt, "worst")
        spent, tokens = NanoUsd(used.usd), used.tokens
        spec, now, number = flight.call.tool, self._now(), flight.started.attempt
        event: Event = AttemptAbandoned(now, number, spec.name, spent, "cancelled", called=begun, used_tokens=tokens)
        if begun and spec.effect != "read" and flight.call.role == "step":
            why = "cut off while it ran"
            event = AttemptFailed(
                now, number, spec.name, "ambiguous", "Cancelled", why, spent, in_doubt=True, used_tokens=tokens
            )
        return [event, *self._alarms(flight, attempt, used)]

    def _is_overtaken(self, flight: "Flight") -> bool:
        """Whether a call that has taken unusually long was not waited for, and is not needed any more.

        Another way has made what it would have made, or has reached the goal.
        """
        state, outlook = self._state, self._outlook
        hedged = state.hedged.get(flight.started.attempt)
        if hedged is None or not hedged.unusual:
            return False
        goal = None if state.goal is None else outlook.graph.goals[state.goal]
        return outlook.satisfied(flight.call.tool.produces) or (goal is not None and outlook.satisfied(goal.requires))


class Flight:
    """An attempt under way, with what it was given and the money held back for it."""

    __slots__ = ("call", "inputs", "reservation", "started", "ticket", "waited_s")

    def __init__(
        self, call: Call, started: AttemptStarted, inputs: Values, reservation: Reservation, ticket: Ticket
    ) -> None:
        """Bind the parts."""
        self.call = call
        self.started = started
        self.inputs = inputs
        self.reservation = reservation
        self.ticket = ticket
        self.waited_s = 0.0  # until its turn came

    def settle(self, attempt: Attempt, charge: Charge, *, keeping: bool = False) -> Amounts:
        """Charge what the tool reported, else what `charge` says of what it declares; keep the rest for a retry."""
        if not self.reservation.open:
            return NOTHING
        cost, held = self.call.tool.cost, self.reservation.amounts
        declared: dict[Charge, int] = {"nothing": 0, "expected": min(cost.expected, held.usd), "worst": held.usd}
        usd = declared[charge] if attempt.charged is None else attempt.charged
        tokens = held.tokens if attempt.tokens is None else sum(attempt.tokens)
        if charge == "nothing" and attempt.tokens is None:
            tokens = 0
        if charge == "worst":  # what was reported may not have been all
            usd, tokens = max(usd, held.usd), max(tokens, held.tokens)
        used = Amounts(usd, tokens, held.model_calls, held.tool_calls)
        self.reservation.settle(used, keeping=keeping)
        return used


def _plain(kind: ArtifactType | None, value: object) -> object:
    """A value as JSON data; what JSON cannot hold, as Python shows it."""
    try:
        return value if kind is None else kind.to_json(value)
    except Exception:  # noqa: BLE001  # serialisers are the user's
        return repr(value)


def _checked(tool: Tool, raw: Values, *, may_be_absent: bool) -> Values:
    """Hold an answer against the contract.

    Raises:
        ToolError: Of kind contract, naming the artifact and what is wrong with it, never its value.
    """
    produces = tool.spec.produces
    if may_be_absent and not raw:
        return {}
    if exceeds(raw.values(), LARGEST_ANSWER):
        raise ToolError(f"the answer is larger than {LARGEST_ANSWER >> 20} MiB", kind="contract")
    outputs: dict[ArtifactId, Any] = {}
    for name in produces:
        if name not in raw:
            raise ToolError(f"{name} is missing from the answer", kind="contract")
        kind = tool.types.get(name)
        try:
            outputs[name] = raw[name] if kind is None else kind.validate(raw[name])
        except ValidationError as error:
            raise ToolError(_what_is_wrong(name, error), kind="contract") from None
    _ensure(tool, outputs)
    return outputs


def _what_is_wrong(name: ArtifactId, error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in (name, *first["loc"]))
    return f"{place}: {first['msg']}"


def _ensure(tool: Tool, outputs: Values) -> None:
    if tool.ensure is None:
        return
    values = tuple(outputs.values())
    try:
        holds = tool.ensure(values[0] if len(values) == 1 else values)
    except Exception as error:
        raise WrongAnswerError(f"its ensure= postcondition raised {type(error).__name__}") from error
    if not holds:
        raise WrongAnswerError("its ensure= postcondition does not hold")
