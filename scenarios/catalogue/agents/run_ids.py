"""An agent that starts another one under a name that it was given: the name may be hostile."""

from typing import Annotated

from agentroute import Agent, AgentrouteError, Artifact, Budget, Goal, tool

WantedId = Annotated[str, Artifact("wanted_id")]
Word = Annotated[str, Artifact("word")]
Verdict = Annotated[str, Artifact("verdict")]


@tool(effect="read")
async def say() -> Word:
    """Something to do."""
    return "done"


inner = Agent(name="inner", tools=[say], goals=[Goal("said", requires=[Word])], trace=False)


@tool(effect="read")
async def start(wanted_id: WantedId) -> Verdict:
    """Start a run under this name, and say what came of it."""
    try:
        result = await inner.run(run_id=wanted_id)
    except AgentrouteError as error:
        return type(error).__name__
    return result.outcome


agent = Agent(
    name="starter",
    tools=[start],
    goals=[Goal("tried", requires=[Verdict])],
    budget=Budget(deadline_s=10),
)
