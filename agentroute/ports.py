"""The seams: what the runtime needs from outside, as Protocols. Adapters implement them, tests bring small fakes."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from pydantic import BaseModel

from agentroute.graph.artifact import ArtifactType
from agentroute.graph.cost import Amounts
from agentroute.graph.tool import Guard, ToolSpec
from agentroute.guard.rate_limits import Headroom
from agentroute.ids import ArtifactId, AttemptId, RunId
from agentroute.routing.signals import HealthSignal
from agentroute.run.events import Event

Append = TypeVar("Append", bound=Callable[..., Any])

Values: TypeAlias = Mapping[ArtifactId, Any]
"""Artifact values by name."""


class Clock(Protocol):
    """Time, injected: monotonic for decisions, wall time for people."""

    def now(self) -> float:
        """Seconds from an arbitrary start; never jumps."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, UTC."""
        ...


class Tool(Protocol):
    """A contract together with the way to call it."""

    @property
    def spec(self) -> ToolSpec:
        """The contract."""
        ...

    @property
    def types(self) -> Mapping[ArtifactId, ArtifactType]:
        """Types of the artifacts that the contract names, as far as they are known."""
        ...

    @property
    def when(self) -> Guard | None:
        """Guard that must allow the tool, if there is one."""
        ...

    @property
    def ensure(self) -> Callable[[Any], bool] | None:
        """Postcondition on the output (a tuple, for several), if there is one."""
        ...

    @property
    def auxiliaries(self) -> Sequence["Tool"]:
        """Tools that come with this one and are named by ``spec.verify`` or ``spec.compensate``."""
        ...

    async def call(self, inputs: Values) -> Values:
        """Make one attempt. What comes back is not validated yet; a missing artifact means "nothing there".

        Raises:
            Exception: Any; `agentroute.guard.failures.classify` says what it means.
        """
        ...


@runtime_checkable
class Asking(Protocol):
    """A tool that can say beforehand what a call would ask a model."""

    def asked(self, inputs: Values) -> str:
        """The text, without what is the same in every call.

        Raises:
            ToolError: It cannot be made of these inputs.
        """
        ...


class ToolExecutor(Protocol):
    """Calls tools. The seam at which faults are injected and calls are recorded."""

    async def call(self, tool: Tool, inputs: Values) -> Values:
        """Make one attempt of `tool`; `agentroute.current()` tells which."""
        ...


@runtime_checkable
class Monitor(Protocol):
    """Watches something beside the runs, such as a provider's status page, and says what it sees.

    What happens to a monitor happens to it alone: one that raises or returns is started again after a while.
    """

    @property
    def name(self) -> str:
        """Shown in traces; of signals of equal priority, the worse counts, then the first by name."""
        ...

    async def watch(self, emit: Callable[[HealthSignal], None]) -> None:
        """Watch until cancelled. `emit` may be called at any time, from the event loop only."""
        ...


@runtime_checkable
class HealthExchange(Protocol):
    """Carries reports of health between processes whose tools mean the same by the same names.

    It may lose reports, send them twice, late, or back to their sender; it may fail. No run notices more of that than
    that a tool is avoided, or is not. It need not look into a report: whoever sent it, it is checked where it arrives.
    """

    @property
    def name(self) -> str:
        """Who this process is among the others, for people: host and process id, for example."""
        ...

    async def publish(self, report: str) -> None:
        """Send a report to all others: JSON in ASCII, at most 7,500 bytes, a few times a second at most.

        Raises:
            Exception: Any. It is written to the log and tried again later; so it is if this takes more than 5 s.
        """
        ...

    async def listen(self, take: Callable[[str], None]) -> None:
        """Hand over what others send, until cancelled. `take` may be called at any time, from the event loop only.

        What comes from outside should be bounded here; a report of more than 7,500 characters is refused in any case.

        Raises:
            Exception: Any. It is written to the log, and this is called again after a while.
        """
        ...


class ToolSource(Protocol):
    """Something that must be open while its tools are used, such as a connection to an MCP server."""

    async def aclose(self) -> None:
        """Let go of processes and connections. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a journal: an event with its number and the hash that chains it to the one before.

    Attributes:
        number: Counts from 0 within the run, without gaps.
        event: The fact.
        digest: SHA-256 over the previous digest and this event as canonical JSON, as hex.
    """

    number: int
    event: Event
    digest: str


def at_once(append: Append) -> Append:
    """Mark the `Journal.append` of a journal that waits for nothing: it is not worth a task of its own.

    The mark is on the function, so whoever replaces it does without.
    """
    append.__dict__["at_once"] = True
    return append


def is_at_once(journal: "Journal") -> bool:
    """Whether a journal has said that it waits for nothing."""
    return getattr(journal.append, "at_once", False)


class Journal(Protocol):
    """The durable record of runs; append-only.

    A fact is written down whole, whoever is cancelled meanwhile: on asyncio, `append` runs in a task of its own.
    """

    async def append(self, run: RunId, event: Event) -> None:
        """Record one fact; when this returns, it is as safe as the journal can make it.

        Raises:
            JournalError: It could not be recorded. The run must not go on.
        """
        ...

    async def read(self, run: RunId) -> Sequence[Record]:
        """Everything recorded of a run, in order.

        Raises:
            UnknownRunError: Nothing is.
            JournalError: What is there has a gap or was changed.
        """
        ...

    async def runs(self) -> Sequence[RunId]:
        """Every run on record, newest first."""
        ...


class Observer(Protocol):
    """Told of every fact as it happens; traces, logs and progress are views of them. Made to be subclassed."""

    def observe(self, run: RunId, event: Event) -> None:
        """Take note. Must not block, and must not raise."""
        ...

    def attempt_scope(self, run: RunId, attempt: AttemptId) -> AbstractContextManager[object]:
        """Context in which an attempt is made, so that spans of the tool's own become its children; none by default."""
        del run, attempt
        return nullcontext()


@dataclass(frozen=True, slots=True)
class Completion:
    """A language model's answer.

    Attributes:
        text: As it came.
        usd: What it cost, or None when the provider did not say enough to know.
        input_tokens: Tokens read, 0 if unknown.
        output_tokens: Tokens written, 0 if unknown.
        headroom: What the provider said of a rate limit, if it did.
        disputed: Why what the provider says of its usage cannot be true; `usd` is None then.
    """

    text: str
    usd: float | None
    input_tokens: int = 0
    output_tokens: int = 0
    headroom: Headroom | None = None
    disputed: str = ""


class LanguageModel(Protocol):
    """A model behind one structured call."""

    def worst_case(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        max_tokens: int,
        *,
        answer: type[BaseModel] | None = None,
    ) -> Amounts:
        """Upper bound of what one `complete` may use, in money and tokens, without asking anybody.

        Raises:
            ConfigurationError: The model has no known price.
        """
        ...

    async def complete(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        *,
        answer: type[BaseModel] | None = None,
        max_tokens: int,
        timeout_s: float,
        effort: str | None = None,
    ) -> Completion:
        """Ask once, without retries. `answer` is sent as the schema the text must satisfy.

        `effort` is how much the model may think (``minimal``, ``low``, ``medium``, ``high``); None leaves it to the
        provider. What it thinks counts against `max_tokens`.

        Raises:
            ToolError: With what is known about the failure.
            ConfigurationError: The model cannot be used as configured.
        """
        ...
