"""Scenario files: faults and expectations over a run, as people write them down.

The skeleton is Chaos Toolkit's (a steady state that must hold first, then a method), the words for faults are
Toxiproxy's. A file names an agent; reading it imports and starts nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Strict, Tag, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from agentroute.adapters.files import read_text
from agentroute.graph.document import GraphDocument
from agentroute.graph.entries import BudgetEntry, Entry, Given, Name
from agentroute.graph.yaml_model import mistake, model_schema, refuse, to_document_error
from agentroute.graph.yaml_source import load_yaml
from agentroute.routing.signals import SignalKind
from agentroute.testing.faults.fault import Fault
from agentroute.testing.scenario.expectations import Expectations
from agentroute.testing.scenario.fault_entry import FaultEntry
from agentroute.testing.scenario.record import Level
from agentroute.testing.scenario.values import Span
from agentroute.testing.scenario.variables import fill

MOST_RUNS = 10_000
MOST_FAULTS = 1_000

SHORTEST_LOOK_S = 0.1
"""Seconds between two looks of a monitor; more often would only take time."""

SCHEMA_ID = "urn:agentroute:schema:scenario:1"


def _kind(value: object) -> str:
    return "<mapping>" if isinstance(value, (Mapping, GraphDocument)) else "<name>"


Target = Annotated[Annotated[Name, Tag("<name>")] | Annotated[GraphDocument, Tag("<mapping>")], Discriminator(_kind)]


class HealthEntry(Entry):
    """How quickly trust is lost and regained; what is left out is as the agent has it."""

    trip_after: Annotated[int | None, Field(ge=1, le=1000), Given()] = None
    """Failures in a row that open a breaker."""

    cool_down_s: Annotated[Span | None, Given()] = None
    """How long an open breaker stays open the first time."""

    max_attempts: Annotated[int | None, Field(ge=1, le=1000), Given()] = None
    """Attempts of one tool within one run."""

    backoff_s: Annotated[Span | None, Given()] = None
    """How long to wait before the second attempt."""

    patience_s: Annotated[Span | None, Given()] = None
    """Longest wait for a tool that asks for one, when there is no other way."""


class SimulationEntry(Entry):
    """How a tool of a graph file behaves where no code is bound to it."""

    seconds: Annotated[Span | None, Given()] = None
    """How long a call takes; its expected latency if left out."""

    usd: Annotated[float | None, Field(ge=0, le=1e9), Given()] = None
    """What a call really costs; its expected price if left out."""

    honours_key: bool = False
    """A second request under the same idempotency key returns the first answer."""


class MonitorEntry(Entry):
    """A monitor that looks at simulated tools at intervals, and says truly whether a call would fail."""

    name: Name
    """Shown in traces; faults of monitors have it as their target."""

    kind: SignalKind = "outage"
    """What its signals are about; decides their priority."""

    about: Name = "*"
    """Which tools it looks at, with `*` and `?`."""

    every: Span = 1.0
    """How long from one look to the next."""


class ScenarioDocument(Entry):
    """A scenario file of agentroute: what an agent is asked, what goes wrong, and what must hold."""

    version: Literal["1"]
    """Version of this format: "1", in quotes."""

    title: Annotated[str, Field(min_length=1, max_length=500)]
    """What it shows, as a sentence: "Losing the primary carrier does not lose the trip"."""

    description: Annotated[str | None, Given()] = None
    """More, for people."""

    waits_for: Annotated[Name | None, Field(alias="waits-for"), Given()] = None
    """What agentroute does not have yet and this needs; it is not run, and counts as neither held nor deviated."""

    seed: Annotated[int, Field(ge=0, le=2**53)] = 0
    """What chance is drawn from."""

    variables: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")], Any] = Field(
        default_factory=dict[str, Any]
    )
    """Defaults of `${NAME}` in this file; `--var NAME=VALUE` sets others."""

    agent: Annotated[Target | None, Given()] = None
    """The agent: a graph file, `path/to/file.py:name` or `package.module:name`, seen from this file; or a graph,
    written out here. May be left out where a testbed makes it."""

    testbed: Annotated[Name | None, Given()] = None
    """`path/to/file.py:name` of a function that makes the agent's servers (a `Testbed`), seen from this file."""

    truth: Annotated[Name | None, Given()] = None
    """`path/to/file.py:name` of a function that is given the ids of the runs and returns what really happened: rows (as
    mappings) by table. For an agent without a testbed, whose tools keep a truth of their own."""

    level: Annotated[Level | None, Given()] = None
    """How real the faults are: virtual, call, wire or process. The highest that the target allows, if left out."""

    goal: Annotated[Name | None, Given()] = None
    """Goal to pursue; the agent's first if left out."""

    inputs: dict[Name, Any] = Field(default_factory=dict[str, Any])
    """Artifacts at hand by name. Of a graph whose tools have no code, those left out are made up."""

    runs: Annotated[int, Field(ge=1, le=MOST_RUNS)] = 1
    """How many runs there are, all of the same agent."""

    every: Span = 0.0
    """How long after one run the next one starts; all at once if left out."""

    cancel_at: Annotated[Span | None, Given()] = None
    """When the caller of the runs loses patience and cancels them."""

    budget: Annotated[BudgetEntry | None, Given()] = None
    """Limits of one run, in place of the agent's."""

    health: Annotated[HealthEntry | None, Given()] = None
    """In place of the agent's."""

    escalate: Annotated[Literal["policy", "model"] | None, Given()] = None
    """Who chooses where several goals are left: the policy, or a scripted model that takes the best one."""

    simulate: dict[Name, SimulationEntry] = Field(default_factory=dict[str, SimulationEntry])
    """How tools without code behave."""

    monitors: Annotated[tuple[MonitorEntry, ...], Strict(strict=False), Field(max_length=100)] = ()
    """What watches simulated tools, besides the agent's own monitors."""

    hypothesis: Annotated[Expectations, Field(alias="steady-state-hypothesis")] = Expectations()
    """What must hold without faults first, then with them."""

    method: Annotated[tuple[FaultEntry, ...], Strict(strict=False), Field(max_length=MOST_FAULTS)] = ()
    """What goes wrong. Of several faults that hit one call, the first counts; latencies come on top."""

    expect: Expectations = Expectations()
    """What must hold under the faults, where that differs from the hypothesis."""

    @model_validator(mode="after")
    def _holds_together(self) -> "ScenarioDocument":
        refuse(self._slips())
        return self

    def _slips(self) -> Iterator[InitErrorDetails]:
        real = self.level in ("wire", "process")
        if self.agent is None and self.testbed is None:
            yield mistake((), "needs an agent, or a testbed that makes one")
        if real and self.testbed is None:
            yield mistake(("level",), f"{self.level} needs a testbed: servers that can be broken")
        if isinstance(self.agent, GraphDocument) and (real or self.level == "call"):
            yield mistake(("level",), "a graph written out here is simulated, in virtual time only")
        for key, said in (("steady-state-hypothesis", self.hypothesis), ("expect", self.expect)):
            if said.truth is not None and self.testbed is None and self.truth is None:
                yield mistake((key, "truth"), "rows need somebody who has them: a testbed, or a function under truth:")
        if self.truth is not None and (self.testbed is not None or isinstance(self.agent, GraphDocument)):
            yield mistake(("truth",), "the testbed, or the simulation, knows the truth already")
        yield from self._slips_of_monitors()
        if self.hypothesis.triggered is not None:
            yield mistake(("steady-state-hypothesis", "triggered"), "nothing is triggered without faults")

    def _slips_of_monitors(self) -> Iterator[InitErrorDetails]:
        names = [monitor.name for monitor in self.monitors]
        for number, monitor in enumerate(self.monitors):
            if monitor.name in names[:number]:
                yield mistake(("monitors", number, "name"), f"two monitors are called {monitor.name!r}")
            if monitor.every < SHORTEST_LOOK_S:
                yield mistake(("monitors", number, "every"), f"must be at least {SHORTEST_LOOK_S:g} s")

    @property
    def faults(self) -> tuple[Fault, ...]:
        """As the injector takes them."""
        return tuple(entry.fault for entry in self.method)

    @property
    def expected(self) -> Expectations:
        """What must hold under the faults."""
        return self.hypothesis.where(self.expect)


def read_scenario(path: str, variables: Mapping[str, Any] | None = None) -> ScenarioDocument:
    """Read a scenario file. It may name agents and testbeds; none is imported or started.

    Args:
        path: YAML or JSON, in UTF-8.
        variables: Values for its ``${NAME}``, in place of the defaults it has.

    Raises:
        DocumentError: It cannot be read or is refused; one line ``file:line:column: why`` for each problem.
    """
    return parse_scenario(read_text(path), path, variables)


def parse_scenario(text: str, file: str, variables: Mapping[str, Any] | None = None) -> ScenarioDocument:
    """Read the text of a scenario file; see `read_scenario`."""
    data, positions = load_yaml(text, file=file)
    filled = fill(data, positions, variables or {})
    try:
        return ScenarioDocument.model_validate(filled)
    except ValidationError as error:
        raise to_document_error(error, positions, ScenarioDocument) from None


def scenario_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of scenario files, for editors.

    It cannot say everything that `parse_scenario` checks: which keys say something about which fault, that a truth
    needs a testbed, and what graph files are checked for.
    """
    return model_schema(ScenarioDocument, schema_id=SCHEMA_ID, title="agentroute scenario file", example=_EXAMPLE)


_EXAMPLE: dict[str, Any] = {
    "version": "1",
    "title": "Losing the primary carrier does not lose the trip",
    "agent": "../graphs/examples/travel.yaml",
    "steady-state-hypothesis": {"outcome": "succeeded", "llm_calls": {"max": 0}},
    "method": [{"type": "error", "target": "search_*", "status": 503, "until": "30s"}],
    "expect": {"reroutes": {"min": 1}},
}
