"""Every error agentroute raises, as one tree.

::

    AgentrouteError
    ├── DefinitionError        a tool, goal or agent is defined wrongly
    │   └── DocumentError      ... in a file, at a line and column
    ├── InputError             a run was asked for with inputs that do not fit
    ├── NoRouteError           no set of tools leads to the goal
    ├── ToolError              raised BY tools to say what they know about a failure
    │   ├── AnswerLostError    ... of a model call that may have been billed
    │   └── WrongAnswerError   ... whose answer the postcondition refuses
    ├── ConfigurationError     an environment variable, MCP configuration or model name cannot be used
    └── JournalError           the record of a run cannot be written or read
        └── UnknownRunError    no such run

Errors carry their facts as fields, and their message says what to do next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

FailureKind = Literal["transient", "rate_limited", "permanent", "contract", "ambiguous"]
"""What is known about a failed attempt.

transient
    It did not happen, and may work if tried again.
rate_limited
    It did not happen; the provider asks to wait.
permanent
    It did not happen, and will not work for these inputs.
contract
    An answer came, but not one the tool promises (type or ``ensure``).
ambiguous
    Nobody knows whether it happened: a timeout, a lost connection, a crash between call and record.
"""


LONGEST_RETRY_AFTER_S = 1e8


class AgentrouteError(Exception):
    """Base of all errors of this package."""


class DefinitionError(AgentrouteError):
    """A tool, goal or agent is defined in a way that cannot work."""

    def __init__(self, subject: str, why: str) -> None:
        """Say which definition (`subject`) is wrong and why."""
        super().__init__(f"{subject}: {why}")
        self.subject = subject
        self.why = why


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in a file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    why: str

    def __str__(self) -> str:
        """Read as compilers write: ``file:line:column: why``."""
        return f"{self.file}:{self.line}:{self.column}: {self.why}"


class DocumentError(DefinitionError):
    """A file is refused; the message has one line ``file:line:column: why`` for each of its `problems`."""

    def __init__(self, file: str, line: int, column: int, why: str, *, more: Sequence[Problem] = ()) -> None:
        """Place the first fault (`line` and `column` count from 1); `more` are the ones found behind it."""
        super().__init__(f"{file}:{line}:{column}", "\n".join((why, *map(str, more))))
        self.file = file
        self.line = line
        self.column = column
        self.why = why
        self.problems = (Problem(file, line, column, why), *more)


class InputError(AgentrouteError):
    """The inputs of a run do not fit the agent."""


class NoRouteError(AgentrouteError):
    """No set of tools leads from the artifacts at hand to the goal."""

    def __init__(self, goal: str, *, missing: Sequence[str]) -> None:
        """Name the goal and the artifacts that nothing at hand or no tool can provide."""
        lacking = ", ".join(missing) or "nothing by itself, but their combination is out of reach"
        super().__init__(
            f"no route to goal {goal!r}; missing: {lacking}. Pass it as an input or add a tool that returns it."
        )
        self.goal = goal
        self.missing = tuple(missing)


class ToolError(AgentrouteError):
    """Raised by a tool to say what it knows about a failure.

    Args:
        message: For people; recorded with secrets redacted.
        kind: One of `FailureKind`. ``"transient"``, ``"rate_limited"`` and ``"permanent"`` promise that nothing
            happened; without a promise it is ``"ambiguous"``.
        retry_after_s: Seconds the provider asked to wait, if it did; it is heard for an hour at most.

    Attributes:
        headers: Of the HTTP answer behind it, where there was one; what they say of rate limits is heard.
    """

    headers: Mapping[str, str] | None = None

    def __init__(
        self, message: str = "", *, kind: FailureKind = "ambiguous", retry_after_s: float | None = None
    ) -> None:
        """Keep the kind and the waiting time as fields."""
        if kind not in get_args(FailureKind):
            raise DefinitionError("ToolError", f"kind must be one of {', '.join(get_args(FailureKind))}, not {kind!r}")
        if retry_after_s is not None and not 0 <= retry_after_s <= LONGEST_RETRY_AFTER_S:
            raise DefinitionError("ToolError", f"retry_after_s must be seconds from 0 on, not {retry_after_s!r}")
        super().__init__(message or kind)
        self.kind: FailureKind = kind
        self.retry_after_s = retry_after_s


class AnswerLostError(ToolError):
    """A call went out and no answer came back that could be read: it may have been billed all the same."""


class WrongAnswerError(ToolError):
    """An answer has the type that was promised, and does not satisfy ``ensure=``."""

    def __init__(self, message: str) -> None:
        """Of kind contract."""
        super().__init__(message, kind="contract")


class ConfigurationError(AgentrouteError):
    """Something around the agent (environment, MCP configuration, model name) cannot be used."""


class JournalError(AgentrouteError):
    """The record of a run cannot be written, read or trusted."""


class UnknownRunError(JournalError):
    """No run of that id is in the store."""

    def __init__(self, run_id: str) -> None:
        """Name the run that was asked for."""
        super().__init__(f"no run {run_id!r} in the journal of this agent")
        self.run_id = run_id
