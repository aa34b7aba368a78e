"""Prices that are no prices, each offered to an agent of its own. All of them have to be refused."""

import math

from agentroute import Agent, AgentrouteError, DefinitionError, Goal, tool

PRICES = (math.nan, -0.01, math.inf)


def offer(usd: float) -> str:
    """Build an agent with this price, and say what came of it."""
    try:

        @tool(usd=usd, effect="read")
        async def ask(query: str) -> bytes:
            """Never called."""
            return query.encode()

        Agent(name="dear", tools=[ask], goals=[Goal("answered", requires=[bytes])], trace=False)
    except AgentrouteError as error:
        return f"{usd}: {type(error).__name__}"
    return f"{usd}: taken"


raise DefinitionError("prices", ", ".join(map(offer, PRICES)))
