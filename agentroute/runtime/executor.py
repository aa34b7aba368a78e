"""One attempt: reserve, record the intent, call, validate, settle, record the outcome."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from typing import Any

import anyio
from pydantic import ValidationError

from agentroute.attempt import Attempt, serving
from agentroute.errors import ToolError
from agentroute.graph.tool import ToolSpec, artifacts_of
from agentroute.guard.budget import Ledger, Reservation
from agentroute.guard.effects import idempotency_key
from agentroute.guard.failures import Failure, classify
from agentroute.ids import ArtifactId, AttemptId, NanoUsd, RunId
from agentroute.ports import Tool, Values
from agentroute.routing.health import Ticket
from agentroute.run.choices import Call
from agentroute.run.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Compensated,
    Event,
    LateResultFenced,
    Verified,
)
from agentroute.run.saga import GRACE_S
from agentroute.run.state import RunState
from agentroute.runtime.services import Services

SHORTEST_TIMEOUT_S = 0.001
"""An attempt is given at least this long, so that one at the very deadline ends as a timeout and not as an error."""


class Executor:
    """Makes the attempts of one run."""

    def __init__(
        self,
        services: Services,
        run_id: RunId,
        state: RunState,
        ledger: Ledger,
        *,
        record: Callable[[Event], Awaitable[None]],
        late: Callable[[Event], None],
        now: Callable[[], float],
        deadline_s: float | None,
    ) -> None:
        """Bind the run; `now` gives seconds since its start, `late` takes facts that arrive after the fact."""
        self._services = services
        self._run_id = run_id
        self._state = state
        self._ledger = ledger
        self._record = record
        self._late = late
        self._now = now
        self._deadline = deadline_s

    async def begin(self, call: Call) -> "Flight | None":
        """Reserve the worst case and record the intent; None if the money is not there after all."""
        spec = call.tool
        reservation = self._ledger.reserve(spec.cost.worst, model_call=spec.calls_model)
        if reservation is None:
            return None
        try:
            inputs = self._inputs(spec)
            key = "" if spec.effect == "read" else self._key(spec, inputs)
            started = AttemptStarted(
                at=self._now(),
                attempt=AttemptId(self._state.attempts + 1),
                tool=spec.name,
                number=self._state.tries.get(spec.name, 0) + 1,
                key=key,
                reserved=reservation.amount,
                role=call.role,
                about=call.about,
                calls_model=spec.calls_model,
            )
            await self._record(started)
        except BaseException:
            reservation.release()
            raise
        return Flight(call, started, inputs, reservation)

    async def fly(self, flight: "Flight") -> None:
        """Make the attempt and record how it ended, whatever happens."""
        spec, services = flight.call.tool, self._services
        attempt = Attempt(self._run_id, spec.name, flight.started.attempt, flight.started.key, deadline=0.0)
        attempt.on_late = lambda worked: self._late(LateResultFenced(self._now(), attempt.attempt, spec.name, worked))
        ticket: Ticket | None = None
        try:
            async with services.slots:
                ticket = services.board.begin(spec, services.clock.now())
                outputs = await self._call(flight, attempt)
        except Exception as error:  # noqa: BLE001  # every failure becomes a fact
            await self._failed(flight, attempt, ticket, error)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._cancelled(flight, attempt, ticket)
            raise
        else:
            await self._succeeded(flight, attempt, ticket, outputs)

    # ---------------------------------------------------------------- the call

    async def _call(self, flight: "Flight", attempt: Attempt) -> Values:
        services, tool = self._services, self._services.tools[flight.call.tool.name]
        limit = self._time_limit(flight.call)
        attempt.deadline = services.clock.now() + limit
        with ExitStack() as scopes:
            scopes.enter_context(serving(attempt))
            for observer in services.observers:
                scopes.enter_context(observer.attempt_scope(self._run_id, attempt.attempt))
            with anyio.fail_after(limit):
                raw = await services.executor.call(tool, flight.inputs)
        return _checked(tool, raw, may_be_absent=flight.call.role != "step")

    def _time_limit(self, call: Call) -> float:
        """Seconds for this attempt. Remedies may use the grace period after the deadline, steps may not."""
        limit = call.tool.timeout_s
        if self._deadline is not None:
            end = self._deadline if call.role == "step" else self._deadline + GRACE_S
            limit = min(limit, end - self._now())
        return max(limit, SHORTEST_TIMEOUT_S)

    def _inputs(self, spec: ToolSpec) -> dict[ArtifactId, Any]:
        at_hand = self._state.artifacts
        return {a: at_hand[a] for a in (*artifacts_of(spec.requires), *spec.optional) if a in at_hand}

    def _key(self, spec: ToolSpec, inputs: Mapping[ArtifactId, Any]) -> str:
        types = self._services.tools[spec.name].types
        plain = {name: types[name].to_json(value) if name in types else value for name, value in inputs.items()}
        return idempotency_key(self._run_id, spec.name, plain)

    # ---------------------------------------------------------------- the outcome

    async def _succeeded(self, flight: "Flight", attempt: Attempt, ticket: Ticket, outputs: Values) -> None:
        spent = flight.settle(attempt)
        self._services.board.succeed(ticket, self._services.clock.now())
        tool = flight.call.tool
        await self._record(
            AttemptSucceeded(self._now(), attempt.attempt, tool.name, outputs, spent, attempt.model, attempt.tokens)
        )
        about = flight.call.about
        if about is None:
            return
        subject = self._state.doubts.get(about) or self._state.rechecks.get(about) or self._state.effects[about]
        if flight.call.role == "verify":
            await self._record(Verified(self._now(), about, subject.tool, tool.name, bool(outputs), outputs))
        else:
            await self._record(Compensated(self._now(), about, subject.tool, tool.name))

    async def _failed(self, flight: "Flight", attempt: Attempt, ticket: Ticket | None, error: Exception) -> None:
        services, spec = self._services, flight.call.tool
        failure = classify(error, wall=services.clock.wall())
        if ticket is not None:
            self._tell_health(ticket, failure)
        spent = flight.settle(attempt, worst=failure.kind == "ambiguous")
        known = failure.for_effect(spec.effect)
        await self._record(
            AttemptFailed(
                at=self._now(),
                attempt=attempt.attempt,
                tool=spec.name,
                kind=known.kind,
                error=failure.error,
                message=services.redact(failure.message),
                spent=spent,
                in_doubt=flight.call.role == "step" and failure.in_doubt(spec.effect),
                retry_after_s=failure.retry_after_s,
            )
        )

    def _tell_health(self, ticket: Ticket, failure: Failure) -> None:
        """Pass on what the failure says about the tool; a permanent one says something about the inputs."""
        board, now = self._services.board, self._services.clock.now()
        if failure.kind == "permanent":
            board.forget(ticket)
        else:
            board.fail(ticket, now, retry_after_s=failure.retry_after_s, rate_limited=failure.kind == "rate_limited")

    async def _cancelled(self, flight: "Flight", attempt: Attempt, ticket: Ticket | None) -> None:
        """The call was cut off. If it changes something, nobody knows whether it did."""
        if ticket is None:
            flight.reservation.release()
        else:
            self._services.board.forget(ticket)
        spent = flight.settle(attempt, worst=True)
        spec, now = flight.call.tool, self._now()
        if ticket is not None and spec.effect == "once" and flight.call.role == "step":
            event: Event = AttemptFailed(
                now, attempt.attempt, spec.name, "ambiguous", "Cancelled", "cut off while it ran", spent, in_doubt=True
            )
        else:
            event = AttemptAbandoned(now, attempt.attempt, spec.name, spent, "cancelled")
        await self._record(event)


class Flight:
    """An attempt under way, with what it was given and the money held back for it."""

    __slots__ = ("call", "inputs", "reservation", "started")

    def __init__(self, call: Call, started: AttemptStarted, inputs: Values, reservation: Reservation) -> None:
        """Bind the parts."""
        self.call = call
        self.started = started
        self.inputs = inputs
        self.reservation = reservation

    def settle(self, attempt: Attempt, *, worst: bool = False) -> NanoUsd:
        """Charge what the tool reported, else its declared price, else (nobody knows what happened) the worst case."""
        if not self.reservation.open:
            return NanoUsd(0)
        cost = self.call.tool.cost
        spent = attempt.charged if attempt.charged is not None else cost.worst if worst else cost.expected
        self.reservation.settle(spent)
        return spent


def _checked(tool: Tool, raw: Values, *, may_be_absent: bool) -> Values:
    """Hold an answer against the contract.

    Raises:
        ToolError: Of kind contract, naming the artifact and what is wrong with it, never its value.
    """
    produces = tool.spec.produces
    if may_be_absent and not any(name in raw for name in produces):
        return {}
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
        raise ToolError(f"its ensure= postcondition raised {type(error).__name__}", kind="contract") from error
    if not holds:
        raise ToolError("its ensure= postcondition does not hold", kind="contract")
