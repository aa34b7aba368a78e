"""The facts a run consists of. Everything else (state, traces, logs, reports) is derived from them.

Every event has `at`: seconds since the run started, by the injected clock. Money is in nano-dollars.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from agentroute.errors import FailureKind
from agentroute.ids import ArtifactId, AttemptId, GoalId, NanoUsd, ToolId
from agentroute.routing.factors import Factors
from agentroute.routing.signals import SignalKind
from agentroute.routing.tiers.situation import Situation
from agentroute.routing.tiers.weighed import TierWeighed

Outcome = Literal["succeeded", "demoted", "escalated", "cancelled"]
"""How a run ends; exactly one of these."""

Role = Literal["step", "verify", "compensate"]
"""Why a tool is called: as a step of the route, to find out whether an effect happened, or to undo one."""

HAND_OVER = "hand-over"
"""The choice that is on every menu: a person takes it from here."""

NO_ATTEMPT = AttemptId(0)
"""Stands for a model that is asked to choose from a menu, which is no attempt of a tool."""

Decider = Literal["only-option", "policy", "model", "human"]
"""Who chose from a menu."""


@dataclass(frozen=True, slots=True)
class Option:
    """One choice on a menu.

    Attributes:
        choice: Name of a goal, or `HAND_OVER`.
        utility: What it is worth.
        route: Tools still to be called for it.
        weight: Expected cost of that route.
    """

    choice: str
    utility: float
    route: tuple[ToolId, ...] = ()
    weight: NanoUsd = NanoUsd(0)


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins. `wall` is its start in seconds since 1970; `inputs` are the artifacts at hand."""

    at: float
    agent: str
    goal: GoalId
    inputs: Mapping[ArtifactId, Any]
    wall: float
    budget: NanoUsd | None = None
    deadline_s: float | None = None
    llm_calls: int | None = None
    tokens: int | None = None
    tool_calls: int | None = None
    finish_share: float = 1.0


@dataclass(frozen=True, slots=True)
class RouteChosen:
    """A route was chosen without a failure asking for it: at the start, after a guard closed or weights changed.

    `weighed`: what the tools weigh that the choice was between, where health made a difference.
    """

    at: float
    goal: GoalId
    tools: tuple[ToolId, ...]
    weight: NanoUsd
    optimal: bool
    reason: str
    weighed: tuple[Factors, ...] = ()


@dataclass(frozen=True, slots=True)
class TierChosen:
    """In which order the tiers of a model step are to be taken. It holds until an attempt of the step fails.

    Attributes:
        at: Seconds since the start of the run.
        step: Name of the step.
        policy: Which policy chose.
        situation: What was known of the step. Words are hashed.
        ranking: Tools that can be afforded, the one to take first.
        weights: What every tool of the step weighs from now on, rising along the ranking.
        right: Chance of each to answer right.
        costs: What an attempt of each is expected to cost, with time, risk, energy and health.
        usd: Expected price of an attempt of each, and nothing but that.
        propensities: With which chance each would have come first.
        worth: What success was worth.
        detection: Chance that a wrong answer is noticed.
    """

    at: float
    step: str
    policy: str
    situation: Situation
    ranking: tuple[ToolId, ...]
    weights: Mapping[ToolId, NanoUsd]
    right: Mapping[ToolId, float]
    costs: Mapping[ToolId, NanoUsd]
    usd: Mapping[ToolId, NanoUsd]
    propensities: Mapping[ToolId, float]
    worth: NanoUsd
    detection: float

    @property
    def weighed(self) -> list[TierWeighed]:
        """The tools of the step in order, each with what its weight is made of."""
        order = sorted(self.weights, key=lambda tool: (self.weights[tool], tool))
        return [
            TierWeighed(t, self.weights[t], self.right[t], self.costs[t], self.propensities.get(t, 0.0)) for t in order
        ]


@dataclass(frozen=True, slots=True)
class GuardClosed:
    """A tool's ``when=`` does not allow it in this run."""

    at: float
    tool: ToolId
    reason: str


@dataclass(frozen=True, slots=True)
class Signalled:
    """A monitor of the run has seen something.

    `about` tells its sightings apart. `stops`: the run goes on only when somebody has decided so. `factors`: on the
    weights of tools and providers, for the rest of this run.
    """

    at: float
    monitor: str
    kind: SignalKind
    reason: str
    about: str = ""
    stops: bool = False
    factors: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """Intent: recorded before the call. `reserved` is the worst case held back for it, `number` counts per tool from 1.

    `tokens` are held back too, of those that models may read and write.

    For `role` verify and compensate, `about` is the attempt in question. `uses` are the attempts that made its inputs.
    """

    at: float
    attempt: AttemptId
    tool: ToolId
    number: int
    key: str
    reserved: NanoUsd
    role: Role = "step"
    about: AttemptId | None = None
    calls_model: bool = False
    tokens: int = 0
    uses: tuple[AttemptId, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptSucceeded:
    """The attempt returned what its contract promises. `tokens`: read and written, if the model said so.

    `waited_s`: seconds until its turn came and it was made. `used_tokens` is what counts of its tokens: what was held
    back, if nobody said how many there were.
    """

    at: float
    attempt: AttemptId
    tool: ToolId
    outputs: Mapping[ArtifactId, Any]
    spent: NanoUsd
    model: str | None = None
    tokens: tuple[int, int] | None = None
    waited_s: float = 0.0
    used_tokens: int = 0


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The attempt failed. `error` is the exception's type, `message` what it said (redacted).

    `in_doubt`: the tool changes something that must happen once, and nobody knows whether it did. `unsure`: nobody
    knows either, but the same call may be made again.
    """

    at: float
    attempt: AttemptId
    tool: ToolId
    kind: FailureKind
    error: str
    message: str
    spent: NanoUsd
    in_doubt: bool = False
    unsure: bool = False
    retry_after_s: float | None = None
    used_tokens: int = 0


@dataclass(frozen=True, slots=True)
class AttemptAbandoned:
    """The attempt ended without a result, and nothing is in doubt: it changes nothing, or was not `called` at all."""

    at: float
    attempt: AttemptId
    tool: ToolId
    spent: NanoUsd
    reason: str
    called: bool = True
    used_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A tool costs more than its worst case, or says of its usage what cannot be true: no run calls it any more.

    `tool` may be the model that was asked to choose from a menu; then `attempt` is `NO_ATTEMPT`.
    """

    at: float
    attempt: AttemptId
    tool: ToolId
    reason: str


@dataclass(frozen=True, slots=True)
class LateResultFenced:
    """A call that had been given up came back after all; its result was not used."""

    at: float
    attempt: AttemptId
    tool: ToolId
    succeeded: bool


@dataclass(frozen=True, slots=True)
class Retried:
    """Answer to a failure: the new route still uses the tool. The next attempt waits `wait_s` seconds."""

    at: float
    attempt: AttemptId
    tool: ToolId
    kind: FailureKind
    wait_s: float
    weight: NanoUsd


@dataclass(frozen=True, slots=True)
class Rerouted:
    """Answer to a failure: the same goal, by other tools.

    Routes and weights are of what was, and is, still to be called.

    Should the route ever come back to the tool, it is left alone for `wait_s` seconds. `budget_left` is None without a
    limit. `weighed`: what the tools weigh by which the two routes differ, and why.
    """

    at: float
    attempt: AttemptId
    tool: ToolId
    kind: FailureKind
    before: tuple[ToolId, ...]
    after: tuple[ToolId, ...]
    weight_before: NanoUsd
    weight_after: NanoUsd
    optimal: bool
    budget_left: NanoUsd | None
    wait_s: float = 0.0
    weighed: tuple[Factors, ...] = ()


@dataclass(frozen=True, slots=True)
class Hedged:
    """A call takes too long: the run goes another way beside it, or makes it a second time; the first answer counts.

    Routes and the weight are of what was, and is, still to be called; the call in question goes on. `unusual`: it has
    taken longer than four of five calls of its tool; else there was only no time to wait for it.
    """

    at: float
    attempt: AttemptId
    tool: ToolId
    before: tuple[ToolId, ...]
    after: tuple[ToolId, ...]
    weight: NanoUsd
    optimal: bool
    reason: str
    unusual: bool = True


@dataclass(frozen=True, slots=True)
class Waiting:
    """Every way is closed for now; the run waits `seconds` until `tool` comes back."""

    at: float
    tool: ToolId
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    """Answer to a doubt: the effect of `attempt` was found (`outputs`), or it was found not to have happened."""

    at: float
    attempt: AttemptId
    tool: ToolId
    verifier: ToolId
    happened: bool
    outputs: Mapping[ArtifactId, Any]


@dataclass(frozen=True, slots=True)
class Compensated:
    """The effect of `attempt` was undone."""

    at: float
    attempt: AttemptId
    tool: ToolId
    compensator: ToolId


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Nothing is left to try about the effect of `attempt`; a person has to look at it."""

    at: float
    attempt: AttemptId
    tool: ToolId
    reason: str


@dataclass(frozen=True, slots=True)
class Suspended:
    """The run waits for a person to choose from `menu`; whoever has the journal can resume it."""

    at: float
    menu: tuple[Option, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ModelAsked:
    """Intent: `model` is about to be asked to choose from a menu.

    What is held back for it counts as spent until `Chosen` says what it came to. If nothing ever does, the run was cut
    off meanwhile, and nobody knows better.
    """

    at: float
    model: str
    reserved: NanoUsd
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Chosen:
    """No route was left for the goal; `by` chose from the menu. `note` says why it was not somebody else."""

    at: float
    menu: tuple[Option, ...]
    choice: str
    by: Decider
    reason: str
    note: str = ""
    spent: NanoUsd = NanoUsd(0)
    model_called: bool = False
    used_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Resumed:
    """The run was taken up again from its journal."""

    at: float
    wall: float


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The one terminal event. `left_behind` names tools whose effects remain without being part of the result."""

    at: float
    outcome: Outcome
    goal: GoalId | None
    reason: str
    left_behind: tuple[ToolId, ...] = ()


Event: TypeAlias = (
    RunStarted
    | RouteChosen
    | TierChosen
    | GuardClosed
    | Signalled
    | AttemptStarted
    | AttemptSucceeded
    | AttemptFailed
    | AttemptAbandoned
    | Quarantined
    | LateResultFenced
    | Retried
    | Rerouted
    | Hedged
    | Waiting
    | Verified
    | Compensated
    | Unresolved
    | Suspended
    | ModelAsked
    | Chosen
    | Resumed
    | RunFinished
)
