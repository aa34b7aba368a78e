"""Customer support for the ReAct loop: what the model is told, and its tools."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel

from agentroute.testing.scenario.testbed import Contender
from graphs.contenders.client import Client
from graphs.contenders.react import Job, React
from graphs.support.agent import GOALS, LIMIT_CENTS, Credit, Order, Refund, money

PROMPT: Final = f"""
You work at the customer support desk of a shop. You are given the id of an order to be refunded in full, once.

Goals, the best first: refunded-and-notified: the order is refunded and the customer told. refunded-notice-queued: the
order is refunded and a colleague will tell the customer, because no channel works. credit-promised: no payment provider
works, so store credit is granted instead, and the customer told.

Stripe is preferred to Razorpay, e-mail to SMS. More than {money(LIMIT_CENTS)} is a person's decision: unless you are
given a Clearance, move no money and hand over. Payments and credits must not happen twice.
"""

Provider: TypeAlias = Literal["stripe", "razorpay"]
Channel: TypeAlias = Literal["email", "sms"]


class Written(BaseModel):
    """A message that is on its way or on a colleague's list."""

    id: int
    order_id: str
    text: str
    status: str


def make(urls: Mapping[str, str], model_url: str) -> Contender:
    """Make the contender."""
    return React(urls, model_url, Job(PROMPT, tools, [goal.spec.name for goal in GOALS]))


def tools(client: Client) -> Sequence[Callable[..., Any]]:
    """Make the tools."""
    return [*payment_tools(client), *credit_tools(client), *message_tools(client)]


def payment_tools(client: Client) -> Sequence[Callable[..., Any]]:
    """Make the tools that look an order up and pay it back."""

    async def look_up_order(order_id: str) -> str:
        """Read an order: customer, addresses, amount."""
        return (await client.get("crm", f"/orders/{order_id}", Order, about={"id": order_id})).model_dump_json()

    async def refund(provider: Provider, order_id: str, amount_cents: int) -> str:
        """Pay the customer back. Must not happen twice."""
        body = {"order_id": order_id, "amount_cents": amount_cents}
        return (await client.post(provider, "/refunds", Refund, **body)).model_dump_json()

    async def find_refund(provider: Provider) -> str:
        """Look up the refund that you made with a provider; null if you made none there."""
        found = await client.made(provider, "refunds", Refund)
        return found.model_dump_json() if found else "null"

    return [look_up_order, refund, find_refund]


def credit_tools(client: Client) -> Sequence[Callable[..., Any]]:
    """Make the tools of the store's own credit."""

    async def grant_credit(order_id: str, amount_cents: int) -> str:
        """Grant store credit instead of money. Must not happen twice."""
        body = {"order_id": order_id, "amount_cents": amount_cents}
        return (await client.post("store-credit", "/credits", Credit, **body)).model_dump_json()

    async def find_credit() -> str:
        """Look up the store credit that you granted; null if you granted none."""
        found = await client.made("store-credit", "credits", Credit)
        return found.model_dump_json() if found else "null"

    return [grant_credit, find_credit]


def message_tools(client: Client) -> Sequence[Callable[..., Any]]:
    """Make the tools that reach the customer, or a colleague who does."""

    async def notify(channel: Channel, order_id: str, recipient: str, text: str) -> str:
        """Write to the customer; `recipient` is the address or number of that channel."""
        body = {"order_id": order_id, "recipient": recipient, "text": text}
        return (await client.post(channel, "/notices", Written, **body)).model_dump_json()

    async def queue_notice(order_id: str, text: str) -> str:
        """Have a colleague tell the customer what is in `text`."""
        body = {"order_id": order_id, "text": text}
        return (await client.post("crm", "/queued_notices", Written, **body)).model_dump_json()

    return [notify, queue_notice]
