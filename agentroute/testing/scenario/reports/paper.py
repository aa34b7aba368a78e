"""The totals that the Self-Healing Router paper (arXiv 2603.01548) reports of its 19 scenarios, to go beside ours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agentroute.testing.scenario.record import OURS, Session


@dataclass(frozen=True, slots=True)
class Reported:
    """A row of the paper's totals.

    Attributes:
        name: What the paper calls the system.
        correct: Scenarios that it counts as correct, of 19.
        llm_calls: Model calls of the control plane.
        tool_calls: Calls of tools.
        silent: Silent failures; None where it gives none.
        recoveries: Recoveries; None where it gives none.
    """

    name: str
    correct: int
    llm_calls: int
    tool_calls: int
    silent: int | None = None
    recoveries: int | None = None


SCENARIOS: Final = 19

REPORTED: Final[Mapping[str, Reported]] = {
    OURS: Reported("router", 19, 9, 66, silent=0, recoveries=13),
    "react": Reported("ReAct", 19, 123, 93),
    "static": Reported("static", 16, 0, 87, silent=3),
}
"""By the name of our system that is of the same kind."""

_ID: Final = re.compile(r"(S[1-7]|T[1-6]|M[1-6])(?!\w)")


def ids(session: Session) -> set[str]:
    """Which of the paper's scenarios a session holds; empty if it also holds others."""
    found = [_ID.match(record.title) for record in session.scenarios]
    return {match.group(1) for match in found if match is not None} if all(found) else set()
