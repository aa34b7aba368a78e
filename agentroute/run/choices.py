"""The decisions there are: what a run can do next."""

from dataclasses import dataclass
from typing import TypeAlias

from agentroute.graph.cost import Amounts
from agentroute.graph.tool import ToolSpec
from agentroute.ids import AttemptId, ToolId
from agentroute.run.events import Event, Option, Outcome, Role


@dataclass(frozen=True, slots=True)
class Record:
    """Take note of a fact that follows from the others."""

    event: Event


@dataclass(frozen=True, slots=True)
class Call:
    """Start an attempt of `tool`. For `role` verify and compensate, `about` is the attempt in question.

    `hold` is what to reserve for it; None: its worst case.
    """

    tool: ToolSpec
    role: Role = "step"
    about: AttemptId | None = None
    hold: Amounts | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until an attempt ends, or until `until` (seconds since the start), if that comes first.

    Or until it is the run's turn in the line for the tool `line`, if it waits for one that is out. A run that is `poor`
    waits for money: what quotas keep for it is not enough, and others may have it meanwhile.
    """

    until: float | None = None
    line: ToolId | None = None
    poor: bool = False


@dataclass(frozen=True, slots=True)
class Abandon:
    """Cancel attempts whose results nobody wants any more; they change nothing."""

    attempts: tuple[AttemptId, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Let the escalation policy choose from what is still feasible."""

    menu: tuple[Option, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The run is over."""

    outcome: Outcome
    reason: str
    left_behind: tuple[ToolId, ...] = ()


Decision: TypeAlias = Record | Call | Wait | Abandon | Ask | Finish
