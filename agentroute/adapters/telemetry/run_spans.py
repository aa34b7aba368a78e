"""The spans of one run: a fold over its events that opens and ends spans as it goes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from opentelemetry.trace import Link, SpanKind

from agentroute.adapters.redaction import Redactor
from agentroute.adapters.telemetry import describe, identity, semconv
from agentroute.adapters.telemetry.describe import Attributes, Totals
from agentroute.adapters.telemetry.drafts import Draft, Pen
from agentroute.adapters.telemetry.payloads import Payloads
from agentroute.ids import AttemptId, RunId, ToolId
from agentroute.run.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Chosen,
    Compensated,
    Event,
    GuardClosed,
    Hedged,
    LateResultFenced,
    ModelAsked,
    Quarantined,
    Rerouted,
    Resumed,
    Retried,
    RouteChosen,
    RunFinished,
    RunStarted,
    Signalled,
    Suspended,
    TierChosen,
    Unresolved,
    Verified,
    Waiting,
)

NANOS: Final = 1_000_000_000


@dataclass(slots=True)
class Step:
    """A tool of the route while its span is open.

    Attributes:
        span: Its span.
        tool: Its tool.
        touched: Nanoseconds since 1970 when something last happened to it.
        error: Type of the last failure, unless something better has happened since.
        message: What it said.
        failed: The attempt that failed.
        in_flight: Attempts without an outcome.
        worked: One of its attempts has answered; others may be on their way at the same time.
    """

    span: Draft
    tool: ToolId
    touched: int
    error: str | None = None
    message: str = ""
    failed: AttemptId | None = None
    in_flight: int = 0
    worked: bool = False

    def end(self, *, outcome: str | None = None) -> None:
        """End the span at the moment something last happened."""
        if outcome is not None:
            self.span.set({semconv.OUTCOME: outcome})
        self.span.end(self.touched, error=self.error, message=self.message)


@dataclass(slots=True)
class Attempt:
    """One attempt. It is kept until the run ends: later facts refer to it."""

    span: Draft
    step: Step
    hosted: bool
    """Whether it verifies or undoes what another attempt of the same step did."""


@dataclass(slots=True)
class Detour:
    """A reroute that the first attempts of the new tools link back to."""

    span: Draft
    tools: set[ToolId]


@dataclass(slots=True)
class RunSpans:
    """Opens and ends the spans of one run.

    Attributes:
        run: The run.
        pen: Writes its spans.
        seed: Number from which the ids of its spans are made.
        redactor: Masks what tools and exceptions said.
        payloads: Writes inputs and outputs down, if that was asked for.
        base: Start of the run, in nanoseconds since 1970.
        root: The run's own span; after a suspension that of the current segment.
        attempts: Every attempt so far.
    """

    run: RunId
    pen: Pen
    seed: int
    redactor: Redactor
    payloads: Payloads | None
    base: int
    root: Draft
    attempts: dict[AttemptId, Attempt] = field(default_factory=dict[AttemptId, Attempt])
    _agent: str = ""
    _first: Attributes = field(default_factory=Attributes)
    _steps: dict[ToolId, Step] = field(default_factory=dict[ToolId, Step])
    _retries: dict[ToolId, Retried] = field(default_factory=dict[ToolId, Retried])
    _detours: list[Detour] = field(default_factory=list[Detour])
    _waiting: Draft | None = None
    _asking: ModelAsked | None = None
    _totals: Totals = field(default_factory=Totals)
    _routed: bool = False
    _decisions: int = 0
    _segments: int = 0

    def take(self, event: Event) -> None:  # noqa: C901, PLR0912, PLR0915  # one flat case per kind of fact, ordered by frequency
        """Take note of a fact."""
        if self._waiting is not None:
            self._waiting.end(self.at(event.at))
            self._waiting = None
        if self.root.ended and not isinstance(event, Resumed):
            self._continue(event.at)  # answered, but nobody said when
        match event:
            case AttemptStarted():
                self._started(event)
            case AttemptSucceeded():
                self._succeeded(event)
            case AttemptFailed():
                self._failed(event)
            case Retried():
                self._retried(event)
            case Rerouted():
                self._rerouted(event)
            case RouteChosen():
                self._route_chosen(event)
            case TierChosen():
                self._note(semconv.TIER_SPAN, event.at, describe.tier(event))
            case Hedged():
                self._hedged(event)
            case AttemptAbandoned():
                self._abandoned(event)
            case GuardClosed():
                self._note(
                    semconv.GUARD_SPAN, event.at, {semconv.TOOL: event.tool, semconv.REASON: self._text(event.reason)}
                )
            case Signalled():
                self._note(semconv.SIGNAL_SPAN, event.at, describe.signal(event, self._text))
            case Waiting():
                self._wait(event)
            case Verified():
                self._verified(event)
            case Compensated():
                self._compensated(event)
            case Unresolved():
                self._unresolved(event)
            case Quarantined():
                self._quarantined(event)
            case LateResultFenced():
                self._fenced(event)
            case ModelAsked():
                self._asking = event
                self._totals.count_asking(event)
            case Chosen():
                self._chosen(event)
            case Suspended():
                self._suspended(event)
            case Resumed():
                self._resumed(event)
            case RunFinished():
                self._finished(event)
            case RunStarted():
                pass  # `begun` made these spans from it
            case _:
                assert_never(event)

    def at(self, seconds: float) -> int:
        """Nanoseconds since 1970 of a moment in the run."""
        return self.base + int(seconds * NANOS)

    # ---------------------------------------------------------------- attempts

    def _started(self, event: AttemptStarted) -> None:
        self._totals.attempts += 1
        self._totals.model_calls += event.calls_model
        at, links = self.at(event.at), list[Link]()
        attributes = describe.attempt(event)
        attributes[semconv.RUN_ID] = self.run
        about = None if event.about is None else self.attempts.get(event.about)
        hosted = about is not None and not about.step.span.ended
        step = about.step if about is not None and hosted else self._steps.get(event.tool)
        if about is not None:
            links += about.span.link(semconv.ABOUT_ATTEMPT)
        if self._retries or self._detours:
            self._look_back(event.tool, attributes, links)
        if step is None:
            step = self._open_step(event, at)
        step.in_flight += 1
        span = self.pen.begin(
            semconv.CHAT_SPAN if event.calls_model else f"{semconv.TOOL_SPAN} {event.tool}",
            at,
            attributes,
            id=identity.attempt_span(self.seed, event.attempt),
            parent=step.span,
            links=links,
            kind=SpanKind.CLIENT if event.calls_model else SpanKind.INTERNAL,
        )
        self.attempts[event.attempt] = Attempt(span, step, hosted)

    def _open_step(self, event: AttemptStarted, at: int) -> Step:
        span = self.pen.begin(
            f"{semconv.STEP_SPAN} {event.tool}",
            at,
            {semconv.RUN_ID: self.run, semconv.TOOL: event.tool},
            id=identity.step_span(self.seed, event.attempt),
            parent=self.root,
        )
        step = self._steps[event.tool] = Step(span, event.tool, at)
        return step

    def _look_back(self, tool: ToolId, attributes: Attributes, links: list[Link]) -> None:
        """Link an attempt to the failed one it repeats, and to the reroutes that led to its tool."""
        retried = self._retries.pop(tool, None)
        if retried is not None:
            attributes[semconv.RETRY_OF] = retried.attempt
            attributes[semconv.RETRY_WAIT_S] = retried.wait_s
            links += self._link(retried.attempt, semconv.RETRY)
        for detour in [each for each in self._detours if tool in each.tools]:
            links += detour.span.link(semconv.AFTER_REROUTE)
            detour.tools.discard(tool)
            if not detour.tools:
                self._detours.remove(detour)

    def _succeeded(self, event: AttemptSucceeded) -> None:
        attempt = self.attempts[event.attempt]
        span, step, at = attempt.span, attempt.step, self.at(event.at)
        self._totals.spend(event)
        attributes = describe.success(event)
        if event.model is not None:
            span.rename(f"{semconv.CHAT_SPAN} {event.model}")
        if self.payloads is not None:
            attributes[semconv.TOOL_RESULT] = self.payloads.render(event.outputs)
        if attributes:
            span.set(attributes)
        span.end(at)
        step.in_flight -= 1
        step.touched = at
        if not attempt.hosted:
            step.error, step.worked = None, True
            if not step.in_flight:
                self._close(step)

    def _failed(self, event: AttemptFailed) -> None:
        attempt = self.attempts[event.attempt]
        step, at, message = attempt.step, self.at(event.at), self._text(event.message)
        self._totals.spend(event)
        attempt.span.set(describe.failure(event))
        attempt.span.end(at, error=event.error, message=message)
        step.in_flight -= 1
        step.touched = at
        if not attempt.hosted:
            step.error, step.message, step.failed = event.error, message, event.attempt

    def _abandoned(self, event: AttemptAbandoned) -> None:
        attempt = self.attempts[event.attempt]
        step, at = attempt.step, self.at(event.at)
        self._totals.spend(event)
        attempt.span.set(describe.abandonment(event, self._text))
        attempt.span.end(at)
        step.in_flight -= 1
        step.touched = at
        if not attempt.hosted and not step.in_flight:
            self._close(step, outcome=None if step.worked else semconv.ABANDONED)

    def _fenced(self, event: LateResultFenced) -> None:
        attributes: Attributes = {semconv.TOOL: event.tool, semconv.SUCCEEDED: event.succeeded}
        self._note(semconv.FENCED_SPAN, event.at, attributes, links=self._link(event.attempt, semconv.ABOUT_ATTEMPT))

    def _hedged(self, event: Hedged) -> None:
        links = self._link(event.attempt, semconv.OVERDUE_ATTEMPT)
        self._note(semconv.HEDGE_SPAN, event.at, describe.hedge(event, self._text), links=links)

    def _quarantined(self, event: Quarantined) -> None:
        reason, links = self._text(event.reason), self._link(event.attempt, semconv.ABOUT_ATTEMPT)
        attributes: Attributes = {semconv.TOOL: event.tool, semconv.REASON: reason}
        self._note(semconv.QUARANTINE_SPAN, event.at, attributes, links=links, error=reason)

    # ---------------------------------------------------------------- answers to failures

    def _retried(self, event: Retried) -> None:
        self._totals.retries += 1
        self._retries[event.tool] = event

    def _rerouted(self, event: Rerouted) -> None:
        self._totals.reroutes += 1
        failed = self.attempts.get(event.attempt)
        attributes = describe.reroute(event, self._text)
        if failed is not None and failed.step.error is not None:
            attributes[semconv.REASON] = f"{failed.step.error}: {failed.step.message}"
        since = failed.step.touched if failed is not None else None
        links = self._link(event.attempt, semconv.FAILED_ATTEMPT)
        span = self._note(semconv.REROUTE_SPAN, event.at, attributes, links=links, since=since)
        wanted = set(event.after) - set(event.before) or set(event.after)
        if wanted:
            self._detours.append(Detour(span, wanted))
        if failed is not None and not failed.step.in_flight:
            failed.step.touched = self.at(event.at)
            self._close(failed.step)

    def _verified(self, event: Verified) -> None:
        attempt = self.attempts.get(event.attempt)
        attributes: Attributes = {
            semconv.TOOL: event.tool,
            semconv.VERIFIER: event.verifier,
            semconv.HAPPENED: event.happened,
        }
        if self.payloads is not None and event.outputs:
            attributes[semconv.OUTPUTS] = self.payloads.render(event.outputs)
        self._answer(semconv.VERIFIED_SPAN, event.at, attributes, event.attempt)
        if attempt is not None and event.happened:
            attempt.step.error = None
            self._close(attempt.step, outcome=semconv.VERIFIED)

    def _compensated(self, event: Compensated) -> None:
        attributes: Attributes = {semconv.TOOL: event.tool, semconv.COMPENSATOR: event.compensator}
        self._answer(semconv.COMPENSATED_SPAN, event.at, attributes, event.attempt, outcome=semconv.COMPENSATED)

    def _unresolved(self, event: Unresolved) -> None:
        attributes: Attributes = {semconv.TOOL: event.tool}
        message = self._text(event.reason)
        self._answer(
            semconv.UNRESOLVED_SPAN, event.at, attributes, event.attempt, outcome=semconv.UNRESOLVED, error=message
        )

    def _answer(
        self,
        name: str,
        seconds: float,
        attributes: Attributes,
        number: AttemptId,
        *,
        outcome: str | None = None,
        error: str | None = None,
    ) -> None:
        """Write down what became of a doubt, inside the step if that is still open."""
        attempt = self.attempts.get(number)
        step = attempt.step if attempt is not None and not attempt.step.span.ended else None
        parent = self.root if step is None else step.span
        links = self._link(number, semconv.ABOUT_ATTEMPT)
        self._note(name, seconds, attributes, links=links, parent=parent, error=error)
        if step is not None:
            step.touched = self.at(seconds)
            if outcome is not None:
                step.span.set({semconv.OUTCOME: outcome})

    # ---------------------------------------------------------------- the course of the run

    def _route_chosen(self, event: RouteChosen) -> None:
        attributes = describe.route(event, self._text)
        if not self._routed:  # the first one belongs to the run itself
            self._routed = True
            self.root.set(attributes)
            return
        attributes |= {semconv.GOAL: event.goal, semconv.REASON: self._text(event.reason)}
        self._note(semconv.ROUTE_SPAN, event.at, attributes)

    def _wait(self, event: Waiting) -> None:
        """Begin a span that the next fact ends."""
        self._decisions += 1
        self._waiting = self.pen.begin(
            semconv.WAIT_SPAN,
            self.at(event.at),
            describe.wait(event, self._text) | {semconv.RUN_ID: self.run},
            id=identity.decision_span(self.seed, self._decisions),
            parent=self.root,
        )

    def _chosen(self, event: Chosen) -> None:
        if self._asking is not None:
            self._totals.count_asking(self._asking, -1)
            self._asking = None
        self._totals.count_choice(event)
        attributes = describe.choice(event, self._text)
        self._note(semconv.ESCALATE_SPAN, event.at, attributes, links=self._failed_links())
        self._close_idle()

    def _suspended(self, event: Suspended) -> None:
        attributes = describe.menu(event.menu, event.reason, self._text)
        self._note(semconv.ESCALATE_SPAN, event.at, attributes, links=self._failed_links())
        self._close_all(self.at(event.at))
        totals = self._totals.attributes()
        totals[semconv.ESCALATIONS] = self._totals.escalations + 1  # until somebody answers, which is counted instead
        self.root.set(totals | {semconv.OUTCOME: semconv.SUSPENDED, semconv.REASON: self._text(event.reason)})
        self.root.end(self.at(event.at))

    def _resumed(self, event: Resumed) -> None:
        self.base = int((event.wall - event.at) * NANOS)
        if self.root.ended:
            self._continue(event.at)
        else:
            self.root.set({semconv.RESUMED: True})

    def _continue(self, seconds: float) -> None:
        """Go on after a suspension: its span has ended, the next one is its child."""
        self._segments += 1
        self.root = self.pen.begin(
            f"{semconv.WORKFLOW_SPAN} {self._agent}".rstrip(),
            self.at(seconds),
            self._first | {semconv.RESUMED: True},
            id=identity.root_span(self.seed, self._segments),
            parent=self.root,
            links=self.root.link(semconv.EARLIER),
        )

    def _finished(self, event: RunFinished) -> None:
        at = self.at(event.at)
        if self._asking is not None:
            self._note(semconv.ESCALATE_SPAN, event.at, describe.asking(self._asking), links=self._failed_links())
        self._close_all(at)
        self.root.set(self._totals.attributes() | describe.end(event, self._text))
        failed = event.outcome in {"escalated", "cancelled"}
        self.root.end(at, error=event.outcome if failed else None, message=self._text(event.reason))

    def live(self) -> None:
        """History is told: from here on every span is this process's to export."""
        self.pen.exported_until = None

    # ---------------------------------------------------------------- what they share

    def _note(
        self,
        name: str,
        seconds: float,
        attributes: Attributes,
        *,
        links: Sequence[Link] = (),
        parent: Draft | None = None,
        since: int | None = None,
        error: str | None = None,
    ) -> Draft:
        """Write a short span about a decision."""
        self._decisions += 1
        attributes[semconv.RUN_ID] = self.run
        at = self.at(seconds)
        id_ = identity.decision_span(self.seed, self._decisions)
        begin = at if since is None else min(since, at)
        span = self.pen.begin(name, begin, attributes, id=id_, parent=parent or self.root, links=links)
        span.end(at, error=None if error is None else name, message=error or "")
        return span

    def _link(self, number: AttemptId, meaning: str) -> list[Link]:
        attempt = self.attempts.get(number)
        return [] if attempt is None else attempt.span.link(meaning)

    def _failed_links(self) -> list[Link]:
        """Links to the failures that nothing has answered yet."""
        return [
            link
            for step in self._steps.values()
            if step.error is not None and step.failed is not None
            for link in self._link(step.failed, semconv.FAILED_ATTEMPT)
        ]

    def _close(self, step: Step, *, outcome: str | None = None) -> None:
        if self._steps.get(step.tool) is step:
            del self._steps[step.tool]
        step.end(outcome=outcome)

    def _close_idle(self) -> None:
        """End steps that no attempt is under way for: their failures have been answered."""
        for step in [step for step in self._steps.values() if not step.in_flight]:
            self._close(step)

    def _close_all(self, at: int) -> None:
        """End everything that is still open, attempts without an outcome too."""
        for attempt in self.attempts.values():
            if not attempt.span.ended:
                attempt.step.touched = at
                attempt.span.set({semconv.OUTCOME: semconv.ABANDONED})
                attempt.span.end(at)
        for step in list(self._steps.values()):
            self._close(step, outcome=semconv.ABANDONED if step.in_flight else None)

    def _text(self, text: str) -> str:
        """Text from strangers, masked. Half a surrogate pair would cost an endpoint its whole batch."""
        masked = self.redactor.text(text)
        return masked if masked.isascii() else masked.encode("utf-8", "replace").decode()


def begun(run: RunId, event: RunStarted | Resumed, pen: Pen, redactor: Redactor, payloads: Payloads | None) -> RunSpans:
    """Open the run's own span.

    A `Resumed` without history (`SpanObserver.restore` was not called) begins a root of its own in the run's trace.
    """
    seed = identity.seeds(run)[1]
    base = int((event.wall - event.at) * NANOS)
    attributes: Attributes = {semconv.OPERATION: semconv.WORKFLOW_SPAN, semconv.RUN_ID: run}
    agent, segment = "", 0
    if isinstance(event, RunStarted):
        agent = event.agent
        attributes |= describe.start(event)
        if payloads is not None:
            attributes[semconv.INPUTS] = payloads.render(event.inputs)
    else:
        attributes[semconv.RESUMED] = True
        segment = int(event.wall * 1000) % (1 << 32)  # unlike those of earlier processes
    root = pen.begin(
        f"{semconv.WORKFLOW_SPAN} {agent}".rstrip(),
        base + int(event.at * NANOS),
        attributes,
        id=identity.root_span(seed, segment),
    )
    return RunSpans(run, pen, seed, redactor, payloads, base, root, _agent=agent, _first=dict(attributes))
