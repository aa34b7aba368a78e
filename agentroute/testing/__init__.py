"""What tests of agents need, their authors' and our own: fakes, injected faults, virtual time, a checker, real servers.

Names are loaded when first used: the checker must not draw in the runtime that it checks.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentroute.testing.fakes import FakeModel, ScriptedTools, fake_compensator, fake_tool, fake_verifier
    from agentroute.testing.faults import Fault, FaultyCalls, parse_fault
    from agentroute.testing.invariants import Case, Violation, check_breakers, check_run
    from agentroute.testing.model_server import ModelServer, Reply
    from agentroute.testing.virtual_time import VirtualClock, run_virtual
    from agentroute.testing.world import World

_WHERE = {
    "Case": "agentroute.testing.invariants",
    "FakeModel": "agentroute.testing.fakes",
    "Fault": "agentroute.testing.faults",
    "FaultyCalls": "agentroute.testing.faults",
    "ModelServer": "agentroute.testing.model_server",
    "Reply": "agentroute.testing.model_server",
    "ScriptedTools": "agentroute.testing.fakes",
    "Violation": "agentroute.testing.invariants",
    "VirtualClock": "agentroute.testing.virtual_time",
    "World": "agentroute.testing.world",
    "check_breakers": "agentroute.testing.invariants",
    "check_run": "agentroute.testing.invariants",
    "fake_compensator": "agentroute.testing.fakes",
    "fake_tool": "agentroute.testing.fakes",
    "fake_verifier": "agentroute.testing.fakes",
    "parse_fault": "agentroute.testing.faults",
    "run_virtual": "agentroute.testing.virtual_time",
}

__all__ = [
    "Case",
    "FakeModel",
    "Fault",
    "FaultyCalls",
    "ModelServer",
    "Reply",
    "ScriptedTools",
    "Violation",
    "VirtualClock",
    "World",
    "check_breakers",
    "check_run",
    "fake_compensator",
    "fake_tool",
    "fake_verifier",
    "parse_fault",
    "run_virtual",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
