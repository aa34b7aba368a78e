"""Ids and money as types, so that one kind cannot be passed where another is meant."""

from typing import NewType

ArtifactId = NewType("ArtifactId", str)
"""Name of an artifact: a typed value that tools take and return."""

ToolId = NewType("ToolId", str)
"""Name of a tool."""

GoalId = NewType("GoalId", str)
"""Name of a goal of the ladder."""

RunId = NewType("RunId", str)
"""Identifies one run. Safe as a file name: letters, digits and dashes only."""

AttemptId = NewType("AttemptId", int)
"""Number of an attempt within its run, counted from 1."""

NanoUsd = NewType("NanoUsd", int)
"""Money as whole nano-dollars, so that sums and comparisons are exact."""

NANOS_PER_USD = 1_000_000_000


def nanos(usd: float) -> NanoUsd:
    """Round an amount in USD to whole nano-dollars."""
    return NanoUsd(round(usd * NANOS_PER_USD))


def dollars(amount: int) -> float:
    """Turn nano-dollars back into USD, for people and for JSON."""
    return amount / NANOS_PER_USD
