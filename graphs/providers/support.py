"""Customer support: orders, two payment providers, two ways to reach a customer, store credit."""

import sqlite3

from graphs.providers.domain import Domain, ledger
from graphs.providers.store import RefusedError, Request, Row, effect_table, insert, one

SCHEMA = (
    effect_table("refunds", "order_id TEXT, amount_cents INTEGER")
    + effect_table("credits", "order_id TEXT, amount_cents INTEGER")
    + effect_table("notices", "order_id TEXT, recipient TEXT, text TEXT", status="sent")
    + effect_table("queued_notices", "order_id TEXT, text TEXT", status="waiting")
    + """
CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT, email TEXT, phone TEXT, amount_cents INTEGER);
INSERT INTO orders VALUES
  ('1042', 'Ada Park',   'ada@example.org',   '+15550001042', 8640),
  ('1043', 'Ben Okafor', 'ben@example.org',   '+15550001043', 2495),
  ('1044', 'Chen Li',    'chen@example.org',  '+15550001044', 120000),
  ('2001', 'Dora Weiss', 'dora@example.org',  '+15550002001', 1500000);
"""
)


def get_order(db: sqlite3.Connection, request: Request) -> Row:
    """Return the order as the shop knows it."""
    return one(db, "orders", id=request["id"])


def refund(db: sqlite3.Connection, request: Request) -> Row:
    """Pay money back. Like a real payment provider, this one does not know what another has paid."""
    return insert(db, "refunds", request, **_payment(db, request))


def credit(db: sqlite3.Connection, request: Request) -> Row:
    """Grant store credit."""
    return insert(db, "credits", request, **_payment(db, request))


def _payment(db: sqlite3.Connection, request: Request) -> Row:
    """Order and amount, if the customer has paid at least as much for it."""
    order, amount = one(db, "orders", id=request["order_id"]), request["amount_cents"]
    if not isinstance(amount, int) or not 0 < amount <= order["amount_cents"]:
        raise RefusedError(422, f"an amount from 1 to {order['amount_cents']} cents, please, not {amount!r}")
    return {"order_id": order["id"], "amount_cents": amount}


def send(db: sqlite3.Connection, request: Request) -> Row:
    """Deliver a message to the customer."""
    columns = {name: request[name] for name in ("order_id", "recipient", "text")}
    return insert(db, "notices", request, **columns)


def queue(db: sqlite3.Connection, request: Request) -> Row:
    """Put a message on the list of a person who writes or calls."""
    return insert(db, "queued_notices", request, order_id=request["order_id"], text=request["text"])


PAYMENT = ledger("refunds", refund, undo_by="void", undone="voided")

DOMAIN = Domain(
    SCHEMA,
    {
        "crm": {"GET /orders/{id}": get_order, "POST /queued_notices": queue},
        "stripe": PAYMENT,
        "razorpay": PAYMENT,
        "email": {"POST /notices": send},
        "sms": {"POST /notices": send},
        "store-credit": ledger("credits", credit, undo_by="revoke", undone="revoked"),
    },
    effects=("refunds", "credits", "notices", "queued_notices"),
)
