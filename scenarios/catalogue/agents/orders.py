"""An order is looked up, and held against the number that was asked for before anybody uses it."""

from typing import Annotated

from pydantic import BaseModel

from agentroute import Agent, Artifact, Budget, Goal, ToolError, tool

OrderId = Annotated[str, Artifact("order_id")]


class Order(BaseModel):
    """What a lookup says."""

    id: str
    amount_cents: int


class Accepted(Order):
    """An order that is the one in question."""


Found = Annotated[Order, Artifact("found_order")]
FoundElsewhere = Annotated[Order, Artifact("order_found_elsewhere")]


@tool(usd=0.002, effect="read")
async def look_up_primary(order_id: OrderId) -> Found:
    """Look the order up."""
    return Order(id=order_id, amount_cents=8640)


@tool(usd=0.004, effect="read")
async def look_up_backup(order_id: OrderId) -> FoundElsewhere:
    """Look it up in the other system."""
    return Order(id=order_id, amount_cents=8640)


def own(order_id: str, order: Order) -> Accepted:
    """Take an order that is the one in question.

    Raises:
        ToolError: It is somebody else's.
    """
    if order.id != order_id:
        raise ToolError("the order is not the one that was asked for", kind="contract")
    return Accepted(**order.model_dump())


@tool(effect="read")
async def accept_primary(order_id: OrderId, order: Found) -> Accepted:
    """Hold the first lookup against the question."""
    return own(order_id, order)


@tool(effect="read")
async def accept_backup(order_id: OrderId, order: FoundElsewhere) -> Accepted:
    """Hold the other lookup against the question."""
    return own(order_id, order)


agent = Agent(
    name="orders",
    tools=[look_up_primary, look_up_backup, accept_primary, accept_backup],
    goals=[Goal("accepted", requires=[Accepted])],
    budget=Budget(deadline_s=30),
)
