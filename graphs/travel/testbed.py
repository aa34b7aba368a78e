"""Travel as a testbed: ``testbed: ../../graphs/travel/testbed.py:testbed`` in a scenario file."""

import re
from collections.abc import Mapping
from typing import Any, Final

from graphs.providers.testbed import Named, ProviderTestbed
from graphs.travel.agent import build_agent

BOOKING: Final = re.compile(r"\b(flight|hotel|car)\b", re.IGNORECASE)

CONFIRMED: Final[Mapping[int, str]] = {1: "flight", 2: "stay", 3: "trip"}
"""What a confirmation is of, by the number of kinds of booking that it names."""


def confirmation(body: Mapping[str, Any]) -> str:
    """Tell the tools that confirm apart by what they confirm."""
    kinds = {kind.lower() for kind in BOOKING.findall(str(body.get("text")))}
    return f"confirm_{CONFIRMED.get(len(kinds), 'trip')}_by_{{server}}"


TOOLS: Final[Mapping[str, Named]] = {
    **{f"GET /offers/{leg}s": "price_{server}" for leg in ("flight", "hotel", "car")},
    **{f"POST /{leg}s": "book_{server}" for leg in ("flight", "hotel", "car")},
    **{f"GET /{leg}s": "find_{server}" for leg in ("flight", "hotel", "car")},
    **{f"POST /{leg}s/{{id}}/cancel": "cancel_{server}" for leg in ("flight", "hotel", "car")},
    "POST /confirmations": confirmation,
}
"""Which tool calls an endpoint. Servers are named like ``hotel-a``, and their tools like ``book_hotel_a``."""


def testbed() -> ProviderTestbed:
    """Make a testbed; nothing runs before it is entered."""
    return ProviderTestbed("travel", build_agent, TOOLS)
