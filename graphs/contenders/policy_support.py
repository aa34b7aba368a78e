"""How the scripted model refunds an order."""

from collections.abc import Mapping
from typing import Any, Final

from graphs.contenders.thought import Call, DoubtError, Finish, Plan, Step, first, once
from graphs.support.agent import LIMIT_CENTS, money

BEST, QUEUED, CREDITED = "refunded-and-notified", "refunded-notice-queued", "credit-promised"

PROVIDERS: Final = ("stripe", "razorpay")


def plan(task: Mapping[str, Any]) -> Plan:
    """Look the order up, refund it, tell the customer; work down the ladder where that cannot be."""
    found = yield from first(Call("look_up_order", {"order_id": task["order_id"]}))
    if found is None:
        return Finish("failed", BEST, "The order cannot be looked up.")
    order = found.data
    if order["amount_cents"] > LIMIT_CENTS and "Clearance" not in task:
        return Finish("escalated", BEST, f"{money(order['amount_cents'])} need a person's clearance.")
    try:
        return (yield from pay(order))
    except DoubtError as doubt:
        return Finish("escalated", BEST, f"A person has to look into this before anything is paid: {doubt}")


def pay(order: Mapping[str, Any]) -> Plan:
    """Refund, or grant credit, and tell."""
    body = {"order_id": order["id"], "amount_cents": order["amount_cents"]}
    ways = [(Call("refund", {"provider": at, **body}), Call("find_refund", {"provider": at})) for at in PROVIDERS]
    if (yield from once(*ways)) is not None:
        return (yield from tell_of_refund(order))
    if (yield from once((Call("grant_credit", body), Call("find_credit", {})))) is not None:
        return (yield from tell_of_credit(order))
    return Finish("escalated", BEST, "No payment provider works, and no credit can be granted.")


def tell_of_refund(order: Mapping[str, Any]) -> Plan:
    """Tell the customer, or have somebody tell them."""
    text = f"We refunded {money(order['amount_cents'])} for order {order['id']}."
    if (yield from tell(order, text)) is not None:
        return Finish("succeeded", BEST, "Refunded, and the customer knows.")
    if (yield from first(Call("queue_notice", {"order_id": order["id"], "text": text}))) is not None:
        return Finish("demoted", QUEUED, "Refunded; a colleague will tell the customer.")
    return Finish("escalated", BEST, "Refunded, but nobody can tell the customer.")


def tell_of_credit(order: Mapping[str, Any]) -> Plan:
    """Tell the customer of the credit."""
    text = f"We cannot refund order {order['id']} now; {money(order['amount_cents'])} are yours as store credit."
    if (yield from tell(order, text)) is not None:
        return Finish("demoted", CREDITED, "No payment provider works; credit granted, and the customer knows.")
    return Finish("escalated", BEST, "Credit granted instead of a refund, but the customer cannot be told.")


def tell(order: Mapping[str, Any], text: str) -> Step:
    """Write by e-mail, or else by SMS."""
    addresses = {"email": order["email"], "sms": order["phone"]}
    return first(
        *(
            Call("notify", {"channel": channel, "order_id": order["id"], "recipient": recipient, "text": text})
            for channel, recipient in addresses.items()
        )
    )
