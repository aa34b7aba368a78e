"""A price from several sources: two are compared, and if they disagree a third one decides."""

from typing import Annotated

from pydantic import BaseModel

from agentroute import Agent, Artifact, Budget, Goal, tool

TOLERANCE = 0.02
"""Share by which two sources may differ."""


class Item(BaseModel):
    """What is asked for."""

    name: str = "kettle"


class Price(BaseModel):
    """What one source says."""

    cents: int


class Quote(BaseModel):
    """What they say together, and how far apart they are."""

    cents: int
    spread: float


First = Annotated[Price, Artifact("first_price")]
Second = Annotated[Price, Artifact("second_price")]
Third = Annotated[Price, Artifact("third_price")]


@tool(usd=0.001, effect="read")
async def ask_primary(item: Item) -> First:
    """Ask one source."""
    del item  # there is only one
    return Price(cents=1000)


@tool(usd=0.001, effect="read")
async def ask_backup(item: Item) -> Second:
    """Ask another."""
    del item  # there is only one
    return Price(cents=1000)


@tool(usd=0.005, effect="read")
async def ask_arbiter(item: Item) -> Third:
    """Ask a third, which is dearer."""
    del item  # there is only one
    return Price(cents=1000)


@tool(effect="read", ensure=lambda quote: quote.spread <= TOLERANCE)
async def compare(first: First, second: Second) -> Quote:
    """Two sources that agree are believed."""
    low, high = sorted((first.cents, second.cents))
    return Quote(cents=low, spread=(high - low) / low)


@tool(effect="read")
async def take_median(first: First, second: Second, third: Third) -> Quote:
    """Of three sources, the one in the middle is believed."""
    low, middle, high = sorted((first.cents, second.cents, third.cents))
    return Quote(cents=middle, spread=(high - low) / middle)


agent = Agent(
    name="quotes",
    tools=[ask_primary, ask_backup, ask_arbiter, compare, take_median],
    goals=[Goal("quoted", requires=[Quote])],
    budget=Budget(deadline_s=30),
)
