"""Moderation as a testbed: ``testbed: ../../graphs/moderation/testbed.py:testbed`` in a scenario file."""

from collections.abc import Mapping
from typing import Any, Final

from graphs.moderation.agent import build_agent
from graphs.providers.testbed import Named, ProviderTestbed


def verdict(body: Mapping[str, Any]) -> str:
    """Tell the tools that act on a post apart by the kind of their verdict."""
    return "give_degraded_verdict" if body.get("kind") == "degraded" else "give_verdict"


TOOLS: Final[Mapping[str, Named]] = {
    "POST /classifications": "classify_{server}",
    "POST /verdicts": verdict,
    "POST /holds": "hold_for_review",
}
"""Which tool calls an endpoint."""


def testbed() -> ProviderTestbed:
    """Make a testbed; nothing runs before it is entered."""
    return ProviderTestbed("moderation", build_agent, TOOLS)
