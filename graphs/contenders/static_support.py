"""Customer support as a static workflow: look up, clear, refund, tell.

Stripe, else Razorpay; e-mail, else SMS. If neither pays, the customer is told that somebody will look at it, and a
person takes over; if the customer cannot be told, a person takes over.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NotRequired

from pydantic import BaseModel

from agentroute.testing.scenario.testbed import Contender
from graphs.contenders.client import Client
from graphs.contenders.insist import make_once
from graphs.contenders.library import END, START, ask, new_graph
from graphs.contenders.workflow import ONLY_ONE, Node, State, StaticWorkflow, add_once, add_step, hand_over
from graphs.support.agent import LIMIT_CENTS, Order, Refund, money

CHANNELS: Final = ("email", "sms")


class SupportState(State):
    """What is known of a refund."""

    order_id: str
    cleared_by: NotRequired[str]
    order: Order
    refund: Refund


class Sent(BaseModel):
    """A message that went out."""

    id: int
    order_id: str
    recipient: str
    text: str


def make(urls: Mapping[str, str], model_url: str) -> Contender:  # noqa: ARG001  # every contender's
    """Make the contender; it asks no model."""
    return StaticWorkflow(urls, begin, draw)


def begin(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Start from an order's id; a ``Clearance`` among the inputs clears any amount."""
    cleared = {"cleared_by": "a person, beforehand"} if "Clearance" in inputs else {}
    return {"order_id": inputs["order_id"], **cleared}


def draw(client: Client, goal: str) -> Any:
    """Draw the workflow."""
    graph = new_graph(SupportState)
    graph.add_node("look_up", look_up(client), retry_policy=ONLY_ONE)
    graph.add_node("clear", clear)
    pay = {provider: refund(client, provider) for provider in ("stripe", "razorpay")}
    add_once(graph, "refund", pay, then="notify", otherwise="apologize", in_doubt="hand_over")
    notify = {channel: tell(client, channel, good_news, reached=goal) for channel in CHANNELS}
    add_step(graph, "notify", notify, then=END, otherwise="hand_over")
    apologize = {channel: tell(client, channel, bad_news) for channel in CHANNELS}
    add_step(graph, "apologize", apologize, then="hand_over", otherwise="hand_over")
    graph.add_node("hand_over", hand_over)
    graph.add_edge(START, "look_up")
    graph.add_edge("look_up", "clear")
    graph.add_edge("clear", "refund")
    return graph


def look_up(client: Client) -> Node:
    """Make the node that reads the order."""

    async def node(state: SupportState) -> dict[str, Any]:
        order_id = state["order_id"]
        return {"order": await client.get("crm", f"/orders/{order_id}", Order, about={"id": order_id})}

    return node


def clear(state: SupportState) -> dict[str, Any]:
    """Node that lets small amounts pass, and waits for a person's word on others."""
    if "cleared_by" in state or state["order"].amount_cents <= LIMIT_CENTS:
        return {}
    return {"cleared_by": ask({"question": "May this be refunded?", "order": state["order"]})}


def refund(client: Client, provider: str) -> Node:
    """Make the node that pays by one provider."""

    async def node(state: SupportState) -> dict[str, Any]:
        order = state["order"]
        body = {"order_id": order.id, "amount_cents": order.amount_cents}
        return {"refund": await make_once(client, provider, "refunds", Refund, **body)}

    return node


def good_news(state: SupportState) -> str:
    """What a customer reads who has been paid."""
    return f"We refunded {money(state['refund'].amount_cents)} for order {state['order'].id}."


def bad_news(state: SupportState) -> str:
    """What a customer reads who has not."""
    return f"We could not refund order {state['order'].id} yet. A colleague is looking into it."


def tell(client: Client, channel: str, text: Callable[[SupportState], str], **update: str) -> Node:
    """Make the node that writes to the customer by one channel, and then knows `update`."""

    async def node(state: SupportState) -> dict[str, Any]:
        order = state["order"]
        recipient = order.email if channel == "email" else order.phone
        await client.post(channel, "/notices", Sent, order_id=order.id, recipient=recipient, text=text(state))
        return update

    return node
