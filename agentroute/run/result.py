"""What a run comes to, as its caller sees it."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from agentroute.graph.artifact import artifact_type
from agentroute.ids import RunId, dollars
from agentroute.run.events import Outcome
from agentroute.run.state import RunState

LIMITED = ("usd", "deadline_s", "llm_calls", "tokens", "tool_calls")


class RunResult(BaseModel):
    """The end of a run.

    Attributes:
        run_id: Identifies it in the store and in traces.
        outcome: ``succeeded``, ``demoted``, ``escalated`` or ``cancelled``.
        goal: The goal that was reached; the one that was asked for if none was.
        artifacts: All artifacts at hand at the end, by name.
        route: Names of the tools that completed, in order of completion.
        attempts: Calls made, those to verify or undo an effect included.
        retries: Failures answered by calling the same tool again.
        reroutes: Failures answered by other tools for the same goal.
        escalations: Times a model or a person decided, or the run was handed over.
        llm_calls: Model calls, of steps and of escalations.
        tool_calls: Calls of tools, retries and calls of models among them; what was abandoned before is not.
        tokens: Tokens that models read and wrote; what was held back, where nobody said how many there were. As with
            the calls, an agent used as a tool counts in its own run, although the limits count it here too.
        cost_usd: What was spent, USD.
        duration_s: Seconds from start to end.
        trace_id: OpenTelemetry trace of the run, 32 hexadecimal digits.
        reason: Why it ended like this, for people.
        left_behind: Tools whose effects remain without being part of the result, or may: for a person to look at.
        suspended: The run waits for a person: `agentroute.Agent.resume` with one of `menu`.
        menu: What that person can choose from.
        limits: The limits it had, by the fields of `Budget`; what was not limited is left out.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    outcome: Outcome
    goal: str
    artifacts: dict[str, Any]
    route: list[str]
    attempts: int
    retries: int
    reroutes: int
    escalations: int
    llm_calls: int
    tool_calls: int = 0
    tokens: int = 0
    cost_usd: float
    duration_s: float
    trace_id: str
    reason: str = ""
    left_behind: list[str] = []
    suspended: bool = False
    menu: list[str] = []
    limits: dict[str, int | float] = {}

    def __getitem__(self, artifact: Any) -> Any:
        """Return an artifact by type or name: ``result[Booking]``."""
        name = artifact if isinstance(artifact, str) else artifact_type(artifact, subject="result[...]").id
        return self.artifacts[name]


def result_of(run_id: RunId, state: RunState, *, duration_s: float, trace_id: str) -> RunResult:
    """Read the result off the state. A suspended run counts as escalated until somebody answers."""
    finished = state.finished
    return RunResult(
        run_id=run_id,
        outcome=finished.outcome if finished else "escalated",
        goal=state.goal or state.asked or "",
        artifacts={str(name): value for name, value in state.artifacts.items()},
        route=list(state.done),
        attempts=state.attempts,
        retries=state.retries,
        reroutes=state.reroutes,
        escalations=state.escalations + (finished is None),
        llm_calls=state.model_calls,
        tool_calls=state.tool_calls,
        tokens=state.tokens,
        cost_usd=dollars(state.spent),
        duration_s=duration_s,
        trace_id=trace_id,
        reason=finished.reason if finished else state.suspended_for,
        left_behind=list(finished.left_behind if finished else [e.tool for e in state.effects.values()]),
        suspended=finished is None,
        menu=[option.choice for option in state.menu],
        limits={name: limit for name in LIMITED if (limit := getattr(state.limits, name)) is not None},
    )
