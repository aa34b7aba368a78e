"""The parts of a graph file.

The docstrings of the models and fields below are what an editor shows while a file is written, so they speak to
its author.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function

from agentroute.errors import DefinitionError
from agentroute.graph.artifact import check_name
from agentroute.graph.cost import LARGEST, Cost, Rates
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import DEFAULT_TIMEOUT_S, Effect, KOfN, Need, ToolSpec
from agentroute.graph.yaml_model import mistake, refuse
from agentroute.graph.yaml_positions import Loc, brief, unquoted
from agentroute.ids import ArtifactId, GoalId, ToolId


def _named(text: str) -> str:
    try:
        return check_name("name", text)
    except DefinitionError as error:
        raise PydanticCustomError("name", "{why}", {"why": f"{error.why}, not {brief(text)}"}) from None


class Given:
    """Marks an optional key. Left out it is None, but ``usd:`` without a value is a slip, and not "no limit"."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_before_validator_function(self._refuse_none, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        branches = [branch for branch in handler(schema)["anyOf"] if branch != {"type": "null"}]
        return branches[0] if len(branches) == 1 else {"anyOf": branches}

    @staticmethod
    def _refuse_none(value: object) -> object:
        if value is None:
            raise PydanticCustomError("empty", "has no value: give it one, or leave the key out")
        return value


def _unique(items: tuple[Any, ...]) -> tuple[Any, ...]:
    seen: set[Any] = set()

    def doubles() -> Iterator[InitErrorDetails]:
        for index, item in enumerate(items):
            if item in seen:
                shown = str(item) if isinstance(item, JoinEntry) else brief(item)
                yield mistake((index,), f"{shown} is listed twice")
            seen.add(item)

    refuse(doubles())
    return items


def _kind(value: object) -> str:
    """Which branch of a union is meant, so that only its errors are told. The names stand in no file."""
    return "<mapping>" if isinstance(value, (Mapping, Entry)) else "<name>"


_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^\S(.*\S)?$"}

Name = Annotated[str, AfterValidator(_named), WithJsonSchema(_NAME_SCHEMA)]
Amount = Annotated[float, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=int(LARGEST))]
Doubtless = AfterValidator(_unique)
"""For lists in which nothing may be named twice."""

_AnyList = Strict(strict=False)
_UNIQUE = Field(json_schema_extra={"uniqueItems": True})

Names = Annotated[tuple[Name, ...], _AnyList, Doubtless, _UNIQUE]
SomeNames = Annotated[tuple[Name, ...], _AnyList, Field(min_length=1), Doubtless, _UNIQUE]


class Entry(BaseModel):
    """What the parts of a graph file have in common."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class JoinEntry(Entry):
    """Joins k of n: at least k of the artifacts listed are needed."""

    at_least: Annotated[int, Field(ge=1, le=int(LARGEST))]
    """How many of them (k)."""

    of: SomeNames
    """Names of the artifacts (n of them)."""

    @model_validator(mode="after")
    def _is_possible(self) -> "JoinEntry":
        if self.at_least > len(self.of):
            refuse([mistake(("at_least",), f"{self.at_least} of {len(self.of)} artifacts is impossible")])
        return self

    def __str__(self) -> str:
        return f"{self.at_least} of ({unquoted(', '.join(self.of))})"

    @property
    def need(self) -> KOfN:
        """As the router takes it."""
        return KOfN(self.at_least, tuple(map(ArtifactId, self.of)))


NeedEntry: TypeAlias = Annotated[
    Annotated[Name, Tag("<name>")] | Annotated[JoinEntry, Tag("<mapping>")], Discriminator(_kind)
]
"""The name of an artifact, or ``{at_least: k, of: [...]}``."""

Needs = Annotated[tuple[NeedEntry, ...], _AnyList, Doubtless, _UNIQUE]
SomeNeeds = Annotated[tuple[NeedEntry, ...], _AnyList, Field(min_length=1), Doubtless, _UNIQUE]


class CostEntry(Entry):
    """What one attempt is expected to cost. All zero by default."""

    usd: Amount = 0.0
    """Expected price of one attempt, in USD."""

    usd_max: Annotated[Amount | None, Given()] = None
    """Worst price of one attempt, in USD: reserved before the call. The same as `usd` if left out."""

    latency_s: Amount = 0.0
    """Expected duration of one attempt, in seconds."""

    risk: Share = 0.0
    """Expected share of attempts that go wrong, 0 to 1."""

    usd_least: Annotated[Amount | None, Given()] = None
    """Worst price that an attempt can keep to where the budget is short, in USD, for tools that are told what is
    reserved for them. The same as `usd_max` if left out."""

    wh: Amount = 0.0
    """Expected energy of one attempt, in watt-hours. It weighs at `rates.usd_per_wh`, and is not billed."""

    @model_validator(mode="after")
    def _worst_is_worse(self) -> "CostEntry":
        refuse(self._mistakes())
        return self

    def _mistakes(self) -> Iterator[InitErrorDetails]:
        if self.usd_max is not None and self.usd_max < self.usd:
            yield mistake(("usd_max",), f"{self.usd_max:g} is below usd ({self.usd:g}); it is the worst case")
        worst = self.usd if self.usd_max is None else self.usd_max
        if self.usd_least is not None and self.usd_least > worst:
            yield mistake(("usd_least",), f"{self.usd_least:g} is above the worst case ({worst:g})")


class McpEntry(Entry):
    """The MCP tool that is called. How its server is started stands in the user's own MCP configuration."""

    server: Name
    """Name of the server in the MCP configuration (`mcpServers`)."""

    tool: Name
    """Name of the tool at that server."""

    arguments: Annotated[
        dict[Name, Name],
        WithJsonSchema({"type": "object", "propertyNames": _NAME_SCHEMA, "additionalProperties": _NAME_SCHEMA}),
    ] = Field(default_factory=dict[str, str])
    """Which artifact fills which argument: `{argument: artifact}`. If left out, each fills the one of its name."""


class ToolEntry(Entry):
    """A tool as a contract: what it takes, returns and costs, and whether it may be called twice."""

    name: Name
    """How routes, traces and other tools name it; unique in the file."""

    description: Annotated[str | None, Given()] = None
    """What it does, for people."""

    requires: Needs = ()
    """Artifacts it needs, all of them; `{at_least: k, of: [...]}` joins k of n. What no tool produces is an
    input of the run."""

    produces: Names = ()
    """Artifacts it returns. Tools that produce the same artifact are alternatives."""

    cost: CostEntry = CostEntry()
    """What one attempt is expected to cost."""

    effect: Effect = "once"
    """What a second call would do. `read`: changes nothing. `idempotent`: twice is like once. `once`: a
    second call is a second effect, so where it is in doubt whether it took place, it is not repeated."""

    provider: Annotated[Name | None, Given()] = None
    """Tools of one provider fail together."""

    timeout_s: Seconds = DEFAULT_TIMEOUT_S
    """An attempt is given up after this many seconds."""

    verify: Annotated[Name | None, Given()] = None
    """Name of the tool (`effect: read`) that is asked, when in doubt, whether the effect has happened."""

    compensate: Annotated[Name | None, Given()] = None
    """Name of the tool that undoes the effect."""

    mcp: Annotated[McpEntry | None, Given()] = None
    """The MCP tool that is called. Without it the tool is bound from Python."""

    @model_validator(mode="after")
    def _makes_sense(self) -> "ToolEntry":
        refuse(self._mistakes())
        return self

    def _mistakes(self) -> Iterator[InitErrorDetails]:
        if self.effect == "read" and self.compensate is not None:
            yield mistake(("compensate",), "a read tool changes nothing, so it has nothing to compensate")
        known = dict.fromkeys(name for _, name in mentioned(self.requires))
        for argument, artifact in (self.mcp.arguments if self.mcp else {}).items():
            if artifact not in known:
                why = f"the tool does not require the artifact {brief(artifact)}"
                yield mistake(("mcp", "arguments", argument), why, near=(artifact, tuple(known)))

    @property
    def spec(self) -> ToolSpec:
        """As the router takes it."""
        return ToolSpec(
            name=ToolId(self.name),
            requires=_needs(self.requires),
            produces=tuple(map(ArtifactId, self.produces)),
            cost=Cost(**self.cost.model_dump()),
            effect=self.effect,
            timeout_s=self.timeout_s,
            provider=self.provider,
            verify=None if self.verify is None else ToolId(self.verify),
            compensate=None if self.compensate is None else ToolId(self.compensate),
        )


class GoalEntry(Entry):
    """Artifacts a run should end up with."""

    name: Name
    """How runs ask for it; unique in the file."""

    description: Annotated[str | None, Given()] = None
    """What is reached with it, for people."""

    requires: SomeNeeds
    """Artifacts, all of them; `{at_least: k, of: [...]}` asks for any k. A tool must mention each."""

    utility: Amount = 1.0
    """What reaching it is worth, against the other goals. A run that cannot reach its goal settles for the
    best that is left."""

    @property
    def spec(self) -> GoalSpec:
        """As the router takes it."""
        return GoalSpec(GoalId(self.name), _needs(self.requires), self.utility)


class RatesEntry(Entry):
    """Exchange rates that turn time, risk and energy into money. All 0 if left out: a tool's weight is its price."""

    usd_per_second: Amount = 0.0
    """USD paid to be one second faster."""

    usd_per_risk: Amount = 0.0
    """USD paid to avoid one certain failure."""

    usd_per_wh: Amount = 0.0
    """USD paid to use one watt-hour less."""

    @property
    def rates(self) -> Rates:
        """As the router takes them."""
        return Rates(self.usd_per_second, self.usd_per_risk, self.usd_per_wh)


class BudgetEntry(Entry):
    """Limits of one run; what is left out is not limited."""

    usd: Annotated[Amount | None, Given()] = None
    """Money, in USD."""

    deadline_s: Annotated[Seconds | None, Given()] = None
    """Seconds from the start of the run."""

    llm_calls: Annotated[Count | None, Given()] = None
    """Model calls, of steps and of escalations together."""

    tokens: Annotated[Count | None, Given()] = None
    """Tokens that models read and write."""

    tool_calls: Annotated[Count | None, Given()] = None
    """Calls of tools, of models among them; retries, and calls to verify or undo, included."""

    finish_share: Share = 1.0
    """Share of the worst case of the rest of a route that must be affordable before a step is begun. With 1, a run
    is never out of money in the middle of what it began, unless tools fail."""

    @property
    def given(self) -> dict[str, Any]:
        """What is said, by the names of the fields of `Budget`."""
        return self.model_dump(exclude_none=True)


class QuotaEntry(Entry):
    """Limits of all runs together, in one process; what is left out is not limited."""

    usd: Annotated[Amount | None, Given()] = None
    """Money, in USD."""

    llm_calls: Annotated[Count | None, Given()] = None
    """Model calls."""

    tokens: Annotated[Count | None, Given()] = None
    """Tokens that models read and write."""

    tool_calls: Annotated[Count | None, Given()] = None
    """Calls of tools."""

    per_s: Annotated[Seconds | None, Given()] = None
    """Within any stretch of so many seconds; for as long as the agent lives, if left out."""

    @model_validator(mode="after")
    def _limits_something(self) -> "QuotaEntry":
        if not self.given.keys() - {"per_s"}:
            refuse([mistake((), "limits nothing: give usd, llm_calls, tokens or tool_calls")])
        return self

    @property
    def given(self) -> dict[str, Any]:
        """What is said, by the names of the fields of `Quota`."""
        return self.model_dump(exclude_none=True)


def _needs(entries: Sequence[str | JoinEntry]) -> tuple[Need, ...]:
    return tuple(entry.need if isinstance(entry, JoinEntry) else ArtifactId(entry) for entry in entries)


def mentioned(entries: Sequence[str | JoinEntry]) -> Iterator[tuple[Loc, str]]:
    """Every artifact of a list of needs, and where it stands."""
    for index, entry in enumerate(entries):
        if isinstance(entry, JoinEntry):
            yield from (((index, "of", place), name) for place, name in enumerate(entry.of))
        else:
            yield (index,), entry
