"""Refund an order while providers die: ``python -m graphs.support.demo``.

Things to try:

    --kill stripe@after-lookup              Stripe dies before it is asked: Razorpay refunds
    --cut stripe@after-refund               the refund is made, its answer is lost: it is looked up, not made again
    --kill stripe@refund                    Stripe dies with the request in its hands: nobody can know, a person looks
    --kill email@after-refund --kill sms    nobody can be told: the notice is queued
    --kill stripe --kill razorpay           no money moves: store credit is promised
    --kill nothing --order 2001             $15,000: a person decides
"""

from graphs.providers.demonstration import Demonstration, main
from graphs.support.agent import build_agent

DEMONSTRATION = Demonstration(
    domain="support",
    build_agent=build_agent,
    option=("--order", "1042", "order to refund: 1042, 1043, 1044 or 2001"),
    inputs=lambda order: {"order_id": order},
    moments={
        "lookup": [("crm", "GET /orders/{id}")],
        "refund": [("stripe", "POST /refunds"), ("razorpay", "POST /refunds")],
        "notice": [("email", "POST /notices"), ("sms", "POST /notices")],
        "credit": [("store-credit", "POST /credits")],
    },
    kill=["stripe@after-lookup", "email@after-refund"],
    tables=["refunds", "credits", "notices", "queued_notices"],
)

if __name__ == "__main__":
    main(DEMONSTRATION, __doc__ or "")
