"""Plain functions: each runs in a thread, which can be left behind when it does not answer."""

from typing import Annotated

import anyio

from agentroute import Agent, Artifact, Budget, Goal, Health, tool

Query = Annotated[str, Artifact("query")]
Answer = Annotated[str, Artifact("answer")]
Summary = Annotated[str, Artifact("summary")]
Filed = Annotated[str, Artifact("filed")]


@tool(usd=0.002, latency_s=0.1, effect="read", timeout_s=2.0)
def look_up_primary(query: Query) -> Answer:
    """Look it up."""
    return f"primary: {query}"


@tool(usd=0.0028, latency_s=0.2, effect="read", timeout_s=2.0)
def look_up_backup(query: Query) -> Answer:
    """Look it up elsewhere."""
    return f"backup: {query}"


@tool(usd=0.001, latency_s=1.0, effect="read", timeout_s=5.0)
async def sum_up(answer: Answer) -> Summary:
    """Take a second, in which what was left behind may come back."""
    await anyio.sleep(1.0)
    return f"in short, {answer}"


@tool(usd=0.001, latency_s=0.1, effect="idempotent", timeout_s=2.0)
async def file_away(summary: Summary) -> Filed:
    """Keep it."""
    return summary


agent = Agent(
    name="left-behind",
    tools=[look_up_primary, look_up_backup, sum_up, file_away],
    goals=[Goal("filed", requires=[Filed])],
    budget=Budget(deadline_s=10.0),
    health=Health(max_attempts=1),
)
