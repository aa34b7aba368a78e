"""Customer support: look an order up, refund it once, tell the customer.

The ladder: refunded and notified, else refunded with the notice queued for a person, else store credit promised, else a
person takes over. Refunds above `LIMIT_CENTS` need a person's clearance, which a run takes as an input.

Refunds and credits are ``once`` although each provider honours Idempotency-Key: the key is known to one provider only,
so a second try *elsewhere* would pay twice. A doubt is settled by asking the provider, never by trying again.
Messages are ``idempotent``: within a provider the key holds, and to hear the same news by e-mail and by SMS is better
than not to hear it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel

from agentroute import Agent, Artifact, Budget, FunctionTool, Goal, Health, tool
from graphs.providers.client import Client

LIMIT_CENTS: Final = 10_000_00
"""Refunds above this amount are a person's decision."""

TIMEOUT_S: Final = 2.0

OrderId = Annotated[str, Artifact("order_id")]


class Order(BaseModel):
    """An order as the shop knows it."""

    id: str
    customer: str
    email: str
    phone: str
    amount_cents: int


class Clearance(BaseModel):
    """Somebody's word that the money may go out."""

    by: str


class Refund(BaseModel):
    """Money paid back."""

    id: int
    provider: str
    order_id: str
    amount_cents: int


class Credit(BaseModel):
    """Store credit promised."""

    id: int
    order_id: str
    amount_cents: int


class RefundNotice(BaseModel):
    """The customer was told of the refund."""

    id: int
    provider: str


class CreditNotice(BaseModel):
    """The customer was told of the credit."""

    id: int
    provider: str


class QueuedNotice(BaseModel):
    """A person will tell the customer of the refund."""

    id: int


GOALS = (
    Goal("refunded-and-notified", requires=[RefundNotice]),
    Goal("refunded-notice-queued", requires=[QueuedNotice], utility=0.6),
    Goal("credit-promised", requires=[CreditNotice], utility=0.3),
)


def needs_nobody(order: Order) -> bool:
    """Guard: the amount is one that a rule may clear."""
    return order.amount_cents <= LIMIT_CENTS


def orders(client: Client) -> list[FunctionTool]:
    """Tools that look an order up and clear small amounts."""

    @tool(usd=0.0005, latency_s=0.1, effect="read", timeout_s=TIMEOUT_S, provider="crm")
    async def look_up_order(order_id: OrderId) -> Order:
        """Read the order from the CRM."""
        return Order.model_validate(await client.get("crm", f"/orders/{order_id}"))

    @tool(effect="read", when=needs_nobody)
    def clear_by_policy(order: Order) -> Clearance:  # noqa: ARG001  # the guard has looked at the order
        """Clear an amount that no person needs to look at."""
        return Clearance(by="policy")

    return [look_up_order, clear_by_policy]


def refunds(client: Client, provider: str, *, usd: float, latency_s: float) -> list[FunctionTool]:
    """Tools of one payment provider: refund, find a refund, void it."""

    @tool(name=f"find_refund_{provider}", effect="read", latency_s=0.1, timeout_s=TIMEOUT_S)
    async def find_refund() -> Refund | None:
        """Look up whether this run's refund was made after all."""
        found = await client.made(provider, "refunds")
        return Refund.model_validate(found) if found else None

    @tool(name=f"void_refund_{provider}", effect="idempotent", timeout_s=TIMEOUT_S)
    async def void_refund(refund: Refund) -> None:
        """Take a refund back before it is settled."""
        await client.post(provider, f"/refunds/{refund.id}/void")

    @tool(
        name=f"refund_{provider}",
        usd=usd,
        latency_s=latency_s,
        risk=0.01,
        effect="once",
        timeout_s=TIMEOUT_S,
        provider=provider,
        verify=find_refund,
        compensate=void_refund,
    )
    async def refund_order(order: Order, clearance: Clearance) -> Refund:  # noqa: ARG001  # no money without clearance
        """Pay the customer back."""
        paid = await client.post(provider, "/refunds", order_id=order.id, amount_cents=order.amount_cents)
        return Refund.model_validate(paid)

    return [refund_order]


def credit(client: Client) -> list[FunctionTool]:
    """Tools of the store's own credit."""

    @tool(effect="read", timeout_s=TIMEOUT_S)
    async def find_credit() -> Credit | None:
        """Look up whether this run's credit was granted after all."""
        found = await client.made("store-credit", "credits")
        return Credit.model_validate(found) if found else None

    @tool(effect="idempotent", timeout_s=TIMEOUT_S)
    async def revoke_credit(credit: Credit) -> None:
        """Take a credit back."""
        await client.post("store-credit", f"/credits/{credit.id}/revoke")

    @tool(
        usd=0.05,
        latency_s=0.2,
        effect="once",
        timeout_s=TIMEOUT_S,
        provider="store-credit",
        verify=find_credit,
        compensate=revoke_credit,
    )
    async def promise_credit(order: Order, clearance: Clearance) -> Credit:  # noqa: ARG001  # no credit without clearance
        """Grant store credit instead of money."""
        granted = await client.post("store-credit", "/credits", order_id=order.id, amount_cents=order.amount_cents)
        return Credit.model_validate(granted)

    return [promise_credit]


def messages(client: Client, provider: str, *, usd: float, latency_s: float) -> list[FunctionTool]:
    """Tools that reach the customer by one channel."""
    contract: dict[str, Any] = {
        "usd": usd,
        "latency_s": latency_s,
        "risk": 0.01,
        "effect": "idempotent",
        "timeout_s": TIMEOUT_S,
        "provider": provider,
    }

    async def send(order: Order, text: str) -> dict[str, Any]:
        recipient = order.email if provider == "email" else order.phone
        return await client.post(provider, "/notices", order_id=order.id, recipient=recipient, text=text)

    @tool(name=f"notify_by_{provider}", **contract)
    async def tell_of_refund(order: Order, refund: Refund) -> RefundNotice:
        """Tell the customer of the refund."""
        text = f"We refunded {money(refund.amount_cents)} for order {order.id}."
        return RefundNotice.model_validate(await send(order, text))

    @tool(name=f"promise_by_{provider}", **contract)
    async def tell_of_credit(order: Order, credit: Credit) -> CreditNotice:
        """Tell the customer of the credit."""
        text = f"We cannot refund order {order.id} now; {money(credit.amount_cents)} are yours as store credit."
        return CreditNotice.model_validate(await send(order, text))

    return [tell_of_refund, tell_of_credit]


def desk(client: Client) -> list[FunctionTool]:
    """Tools that leave work for a person."""

    @tool(usd=0.8, latency_s=0.1, effect="idempotent", timeout_s=TIMEOUT_S, provider="crm")
    async def queue_notice(order: Order, refund: Refund) -> QueuedNotice:
        """Have a person tell the customer of the refund."""
        text = f"Tell {order.customer} that {money(refund.amount_cents)} were refunded for order {order.id}."
        return QueuedNotice.model_validate(await client.post("crm", "/queued_notices", order_id=order.id, text=text))

    return [queue_notice]


def money(cents: int) -> str:
    """Cents as people write them."""
    return f"${cents / 100:,.2f}"


def build_agent(urls: Mapping[str, str] | None = None, **options: Any) -> Agent:
    """Make the agent.

    Args:
        urls: Addresses of the providers; by default those in ``$SUPPORT_PROVIDERS`` (JSON) when a tool is called.
        **options: Passed on to `Agent`.
    """
    client = Client("SUPPORT_PROVIDERS", urls)
    tools = [
        *orders(client),
        *refunds(client, "stripe", usd=0.30, latency_s=0.5),
        *refunds(client, "razorpay", usd=0.35, latency_s=0.7),
        *messages(client, "email", usd=0.0004, latency_s=0.3),
        *messages(client, "sms", usd=0.0075, latency_s=0.2),
        *credit(client),
        *desk(client),
    ]
    settings: dict[str, Any] = {
        "budget": Budget(usd=3.0, deadline_s=30.0, llm_calls=1),
        "health": Health(patience_s=2.0),  # a lesser goal now is worth more than waiting for a dead provider
    }
    return Agent(name="support", tools=tools, goals=GOALS, **{**settings, **options})


agent = build_agent()
