"""Customer support as a testbed: ``testbed: ../../graphs/support/testbed.py:testbed`` in a scenario file."""

from collections.abc import Mapping
from typing import Any, Final

from graphs.providers.testbed import Named, ProviderTestbed
from graphs.support.agent import build_agent


def notice(body: Mapping[str, Any]) -> str:
    """Tell the tools that send apart by what they say."""
    return "promise_by_{server}" if "store credit" in str(body.get("text")) else "notify_by_{server}"


TOOLS: Final[Mapping[str, Named]] = {
    "GET /orders/{id}": "look_up_order",
    "POST /refunds": "refund_{server}",
    "GET /refunds": "find_refund_{server}",
    "POST /refunds/{id}/void": "void_refund_{server}",
    "POST /credits": "promise_credit",
    "GET /credits": "find_credit",
    "POST /credits/{id}/revoke": "revoke_credit",
    "POST /notices": notice,
    "POST /queued_notices": "queue_notice",
}
"""Which tool calls an endpoint."""


def testbed() -> ProviderTestbed:
    """Make a testbed; nothing runs before it is entered."""
    return ProviderTestbed("support", build_agent, TOOLS)
