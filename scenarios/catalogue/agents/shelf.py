"""Two stores. What was stored is read back before it counts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from agentroute import Agent, Artifact, Budget, Goal, ToolError, current, tool
from agentroute.graph.artifact import ArtifactType, artifact_type
from agentroute.graph.tool import Guard, ToolSpec
from agentroute.ids import ArtifactId, ToolId
from agentroute.ports import Tool, Values

PARCEL: Final = ArtifactId("parcel")

SHELVES: dict[tuple[str, str], str] = {}
"""What is really there, by run and store."""


def text(name: str) -> Any:
    """A text under this name."""
    return Annotated[str, Artifact(name)]


@dataclass(frozen=True)
class Store:
    """A tool that stores a parcel, and that can be made not to have done it (see ``silent_noop``)."""

    spec: ToolSpec
    when: Guard | None = None
    ensure: Callable[[Any], bool] | None = None
    auxiliaries: Sequence[Tool] = ()

    @property
    def types(self) -> Mapping[ArtifactId, ArtifactType]:
        """A parcel and a receipt are text."""
        return {name: artifact_type(text(name)) for name in (PARCEL, *self.spec.produces)}

    async def call(self, inputs: Values) -> Values:
        """Store it."""
        SHELVES[current().run_id, self.spec.name] = inputs[PARCEL]
        return dict.fromkeys(self.spec.produces, f"receipt of {self.spec.name}")

    def never_happened(self, run: str) -> bool:
        """Take the parcel off the shelf, as if it had never been there."""
        return SHELVES.pop((run, self.spec.name), None) is not None


def store(side: str, usd: float) -> list[Tool]:
    """A store, how to read back what is in it, and how to take it out again."""
    name, receipt = f"store_{side}", f"receipt_{side}"

    async def read_back(receipt: str) -> str:
        found = SHELVES.get((current().run_id, name))
        if found is None:
            raise ToolError(f"{receipt}, and there is nothing", kind="contract")
        return found

    async def take_out(receipt: str) -> None:
        del receipt
        SHELVES.pop((current().run_id, name), None)

    for function in (read_back, take_out):
        function.__annotations__["receipt"] = text(receipt)
    read_back.__annotations__["return"] = text("stored")
    spec = ToolSpec(
        ToolId(name),
        requires=(PARCEL,),
        produces=(ArtifactId(receipt),),
        effect="idempotent",
        compensate=ToolId(f"take_out_{side}"),
    )
    return [
        Store(spec),
        tool(name=f"read_back_{side}", usd=usd, effect="read")(read_back),
        tool(name=f"take_out_{side}", effect="idempotent")(take_out),
    ]


agent = Agent(
    name="shelf",
    tools=[*store("primary", 0.001), *store("backup", 0.002)],
    goals=[Goal("stored", requires=[text("stored")])],
    budget=Budget(deadline_s=30),
)
