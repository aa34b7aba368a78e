"""The state of a run: a fold over its events. Nothing else changes it, so any process can rebuild it."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Any, assert_never

from agentroute.errors import FailureKind
from agentroute.graph.cost import Amounts
from agentroute.guard.budget import Budget
from agentroute.ids import ArtifactId, AttemptId, GoalId, ToolId, dollars
from agentroute.run.events import (
    HAND_OVER,
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
    Option,
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


@dataclass(slots=True)
class RunState:
    """What is known about a run so far.

    Attributes:
        asked: The goal the run was started for.
        goal: The goal it pursues now; lower on the ladder after a demotion, None once handed over.
        limits: Budget of the run.
        artifacts: Values at hand.
        route: Tools of the current route, the ones already done included.
        done: Tools that completed, in order of completion.
        in_flight: Attempts without an outcome.
        hedged: Attempts that took too long, so that the run went another way beside them.
        tries: Attempts per tool that count against its limit.
        faults: Kind of the latest failure of each tool that has failed as a step.
        tiers: What was chosen for model steps that can be done in several ways, as far as it still holds.
        closed: Tools that cannot be used in this run, with the reason.
        not_before: Earliest next attempt of a tool, in seconds since the start.
        unanswered: Failures that no retry, reroute, demotion or escalation has answered yet.
        doubts: Failures of tools whose effect may have happened.
        step_keys: Idempotency key of each tool on the route that has one: the same for all its attempts.
        step_knew: What was at hand at the first of them: all of them are given that, and not what has come since.
        uses: Attempts that made the inputs of an attempt.
        keys: Idempotency key of each attempt that has one.
        effects: Attempts that changed something and have not been undone, in order of completion.
        rechecks: Effects that may still come to light: found absent after a timeout, or of a tool that may be called
            again and was not. They are looked for once more before the end.
        makers: Which success made each artifact; inputs have none.
        settling: Attempts that have been looked into or undone, where what follows from that is not on record yet.
        auxiliary_failures: Latest failure to verify or undo, by the attempt it was about.
        waiting_for: Tool that the run said it waits for.
        waiting_since: When it began to wait, for this tool or others, without calling one since.
        unresolved: Effects that a person has to look at.
        gave_up: Why the last goal was given up, if one was.
        menu: Choices of a suspended run.
        signals: What monitors of the run have seen, by their names and what it was about.
        alarms: Those signals that stop the run until somebody decides.
        asking: The model that is asked to choose from the menu, as long as it has not answered.
        finished: The terminal event.
    """

    agent: str = ""
    asked: GoalId | None = None
    goal: GoalId | None = None
    started_wall: float = 0.0
    limits: Budget = field(default_factory=Budget)
    artifacts: dict[ArtifactId, Any] = field(default_factory=dict)
    inputs: frozenset[ArtifactId] = frozenset()
    route: tuple[ToolId, ...] = ()
    done: list[ToolId] = field(default_factory=list)
    in_flight: dict[AttemptId, AttemptStarted] = field(default_factory=dict)
    hedged: dict[AttemptId, Hedged] = field(default_factory=dict[AttemptId, Hedged])
    tries: dict[ToolId, int] = field(default_factory=dict)
    faults: dict[ToolId, FailureKind] = field(default_factory=dict[ToolId, FailureKind])
    tiers: dict[str, TierChosen] = field(default_factory=dict[str, TierChosen])
    closed: dict[ToolId, str] = field(default_factory=dict)
    not_before: dict[ToolId, float] = field(default_factory=dict)
    unanswered: dict[AttemptId, AttemptFailed] = field(default_factory=dict)
    doubts: dict[AttemptId, AttemptFailed] = field(default_factory=dict)
    step_keys: dict[ToolId, str] = field(default_factory=dict[ToolId, str])
    step_knew: dict[ToolId, frozenset[ArtifactId]] = field(default_factory=dict[ToolId, frozenset[ArtifactId]])
    uses: dict[AttemptId, tuple[AttemptId, ...]] = field(default_factory=dict[AttemptId, tuple[AttemptId, ...]])
    keys: dict[AttemptId, str] = field(default_factory=dict[AttemptId, str])
    effects: dict[AttemptId, AttemptSucceeded | Verified] = field(default_factory=dict)
    rechecks: dict[AttemptId, AttemptFailed] = field(default_factory=dict)
    makers: dict[ArtifactId, AttemptSucceeded | Verified] = field(default_factory=dict)
    settling: set[AttemptId] = field(default_factory=set[AttemptId])
    auxiliary_failures: dict[AttemptId, AttemptFailed] = field(default_factory=dict)
    waiting_for: ToolId | None = None
    waiting_since: float | None = None
    unresolved: dict[AttemptId, Unresolved] = field(default_factory=dict[AttemptId, Unresolved])
    gave_up: str = ""
    menu: tuple[Option, ...] = ()
    suspended_for: str = ""
    signals: dict[tuple[str, str], Signalled] = field(default_factory=dict[tuple[str, str], Signalled])
    alarms: list[Signalled] = field(default_factory=list[Signalled])
    asking: ModelAsked | None = None
    finished: RunFinished | None = None
    attempts: int = 0
    retries: int = 0
    reroutes: int = 0
    escalations: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    tokens: int = 0
    spent: int = 0

    @property
    def used(self) -> Amounts:
        """What counts against the budget by now; attempts under way have what is held back for them besides."""
        under_way = self.in_flight.values()
        calls = self.model_calls - sum(started.calls_model for started in under_way)
        return Amounts(self.spent, self.tokens, calls, self.tool_calls - len(under_way))

    @property
    def relied_on(self) -> list[AttemptStarted]:
        """Attempts under way whose answers the route waits for: all but those that take too long."""
        flights = self.in_flight.values()
        return [f for f in flights if f.attempt not in self.hedged] if self.hedged else list(flights)

    def apply(self, event: Event) -> None:  # noqa: C901, PLR0912, PLR0915  # one flat case per kind of fact, ordered by frequency
        """Fold one fact into the state."""
        match event:
            case AttemptStarted():
                self._started(event)
            case AttemptSucceeded():
                self._succeeded(event)
            case AttemptFailed():
                self._failed(event)
            case Retried():
                self.retries += 1
                self._answered(event.attempt)
                self.not_before[event.tool] = event.at + event.wait_s
            case Rerouted():
                self.reroutes += 1
                self._answered(event.attempt)
                self.not_before[event.tool] = event.at + event.wait_s
                self.route = event.after
            case RouteChosen():
                self.route = event.tools
            case TierChosen():
                self.tiers[event.step] = event
            case Hedged():
                self.hedged[event.attempt] = event
                self.route = event.after
            case GuardClosed():
                self.closed[event.tool] = event.reason
            case Signalled():
                self._signalled(event)
            case AttemptAbandoned():
                self._abandoned(event)
            case Verified():
                self._verified(event)
            case Compensated():
                self._compensated(event)
            case Unresolved():
                self._unresolved(event)
            case Waiting():
                self.waiting_for = event.tool
                self.waiting_since = event.at if self.waiting_since is None else self.waiting_since
            case Suspended():
                self.menu, self.suspended_for = event.menu, event.reason
            case ModelAsked():
                self._asked(event)
            case Chosen():
                self._chosen(event)
            case RunStarted():
                self._run_started(event)
            case RunFinished():
                self.finished = event
            case Resumed():
                self._resumed(event)
            case LateResultFenced() | Quarantined():
                pass
            case _:
                assert_never(event)

    def _run_started(self, event: RunStarted) -> None:
        self.agent, self.started_wall = event.agent, event.wall
        self.asked = self.goal = event.goal
        usd = None if event.budget is None else dollars(event.budget)
        self.limits = Budget(usd, event.deadline_s, event.llm_calls, event.tokens, event.tool_calls, event.finish_share)
        self.artifacts = dict(event.inputs)
        self.inputs = frozenset(event.inputs)

    def _signalled(self, event: Signalled) -> None:
        self.signals[event.monitor, event.about] = event
        if event.stops:
            self.alarms.append(event)

    def _started(self, event: AttemptStarted) -> None:
        self.attempts += 1
        if event.uses:
            self.uses[event.attempt] = event.uses
        if event.key:
            self.keys[event.attempt] = event.key
            if event.role == "step":
                self.step_keys[event.tool] = event.key
                self.step_knew.setdefault(event.tool, frozenset(self.artifacts))
        self.in_flight[event.attempt] = event
        self.tries[event.tool] = event.number
        self.waiting_for = self.waiting_since = None
        self.model_calls += event.calls_model
        self.tool_calls += 1

    def _succeeded(self, event: AttemptSucceeded) -> None:
        started = self.in_flight.pop(event.attempt)
        self._spend(event)
        if started.role == "step":
            if started.key:  # only attempts that change something carry a key
                self._made(event)
                self.effects[event.attempt] = event
            elif any(artifact not in self.artifacts for artifact in event.outputs):
                self._made(event, but=self.artifacts)
            self._forget_rechecks(event.tool)
        elif started.about is not None:
            self.settling.add(started.about)

    def _made(self, event: AttemptSucceeded | Verified, *, but: Container[ArtifactId] = ()) -> None:
        """Take in what was produced, `but` for what is there: of two calls that read the same, the first one counts."""
        new = {name: value for name, value in event.outputs.items() if name not in but}
        self.done.append(event.tool)
        self.artifacts.update(new)
        self.makers.update(dict.fromkeys(new, event))

    def _failed(self, event: AttemptFailed) -> None:
        started = self.in_flight.pop(event.attempt)
        self._spend(event)
        if started.about is not None:
            self.auxiliary_failures[started.about] = event
        else:
            self.unanswered[event.attempt] = event
            self.faults.pop(event.tool, None)  # so that the latest comes last
            self.faults[event.tool] = event.kind
            for step in [step for step, chosen in self.tiers.items() if event.tool in chosen.weights]:
                del self.tiers[step]
            if event.in_doubt:
                self.doubts[event.attempt] = event
            elif event.unsure:
                self.rechecks[event.attempt] = event
        if event.kind in ("permanent", "contract"):
            self.closed[event.tool] = event.message

    def _abandoned(self, event: AttemptAbandoned) -> None:
        """Says nothing about the tool, so it does not count as a try."""
        started = self.in_flight.pop(event.attempt)
        self.tries[event.tool] -= 1
        self._spend(event)
        if not event.called:
            self.model_calls -= started.calls_model
            self.tool_calls -= 1

    def _spend(self, event: AttemptSucceeded | AttemptFailed | AttemptAbandoned | Chosen) -> None:
        self.spent += event.spent
        self.tokens += event.used_tokens

    def _answered(self, attempt: AttemptId) -> None:
        self.unanswered.pop(attempt, None)
        for about, failure in list(self.auxiliary_failures.items()):
            if failure.attempt == attempt:
                del self.auxiliary_failures[about]

    def _verified(self, event: Verified) -> None:
        doubt = self.doubts.pop(event.attempt, None)
        again = self.rechecks.pop(event.attempt, None)
        self._remedied(event.attempt, event.verifier)
        if not event.happened:
            if doubt is not None and doubt.kind == "ambiguous":
                self.rechecks[event.attempt] = doubt
            return
        self.effects[event.attempt] = event
        self._forget_rechecks(event.tool)
        if again is None or not all(artifact in self.artifacts for artifact in event.outputs):
            self.unanswered.pop(event.attempt, None)
            self.closed.pop(event.tool, None)
            self._made(event)

    def _compensated(self, event: Compensated) -> None:
        """What was undone is no longer there: neither the effect nor what it produced."""
        self.doubts.pop(event.attempt, None)
        self.effects.pop(event.attempt, None)
        self.step_keys.pop(event.tool, None)  # made once more, it is another effect
        self.step_knew.pop(event.tool, None)
        self._remedied(event.attempt, event.compensator)
        for artifact in [name for name, maker in self.makers.items() if maker.attempt == event.attempt]:
            del self.makers[artifact], self.artifacts[artifact]

    def _unresolved(self, event: Unresolved) -> None:
        self.doubts.pop(event.attempt, None)
        self.rechecks.pop(event.attempt, None)
        self.effects.pop(event.attempt, None)
        self.auxiliary_failures.pop(event.attempt, None)
        self.unresolved[event.attempt] = event

    def _remedied(self, attempt: AttemptId, by: ToolId) -> None:
        """A verifier or compensator did its work; the next doubt finds it with its attempts unspent."""
        self.settling.discard(attempt)
        self.auxiliary_failures.pop(attempt, None)
        self.tries.pop(by, None)
        self.not_before.pop(by, None)

    def _forget_rechecks(self, tool: ToolId) -> None:
        """Every attempt of a tool in a run has the same key, so what would be found is the effect that is known."""
        for attempt in [a for a, failure in self.rechecks.items() if failure.tool == tool]:
            del self.rechecks[attempt]

    def _resumed(self, event: Resumed) -> None:
        """Nobody is waiting for the attempts of the process that is gone."""
        self.waiting_for = self.waiting_since = self.asking = None
        self.settling.clear()
        self.not_before = {tool: min(at, event.at) for tool, at in self.not_before.items()}

    def _asked(self, event: ModelAsked) -> None:
        """What is held back counts as spent until there is an answer, and for good if there never is one."""
        self.asking = event
        self.spent += event.reserved
        self.tokens += event.tokens
        self.model_calls += 1

    def _chosen(self, event: Chosen) -> None:
        if self.asking is not None:
            self.spent -= self.asking.reserved
            self.tokens -= self.asking.tokens
            self.model_calls -= 1
            self.asking = None
        self.menu, self.suspended_for = (), ""
        self.alarms.clear()
        self.gave_up = event.reason
        self.route = ()
        self.unanswered.clear()
        self._spend(event)
        self.model_calls += event.model_called
        self.escalations += event.by in ("model", "human") or event.choice == HAND_OVER
        self.goal = None if event.choice == HAND_OVER else GoalId(event.choice)


def fold(events: Iterable[Event]) -> RunState:
    """Rebuild the state of a run from its facts."""
    state = RunState()
    for event in events:
        state.apply(event)
    return state
