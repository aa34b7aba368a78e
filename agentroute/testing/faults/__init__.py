"""What goes wrong: rules of faults, when they hit, how they are done to a call, and what was really done.

The injector keeps a ledger of what it really triggered, and of every call that it saw. A run is judged by these and by
the ground truth, never by its own account.
"""

from agentroute.testing.faults.fault import (
    FAULT_TYPES,
    HARMLESS,
    NEVER_RUN,
    UNDETECTABLE,
    Fault,
    FaultType,
)
from agentroute.testing.faults.injector import FaultyCalls
from agentroute.testing.faults.ledger import Seen, Triggered
from agentroute.testing.faults.refusals import CANARY, StatusError
from agentroute.testing.faults.schedule import Schedule, Strike
from agentroute.testing.faults.spelling import parse_fault

__all__ = [
    "CANARY",
    "FAULT_TYPES",
    "HARMLESS",
    "NEVER_RUN",
    "UNDETECTABLE",
    "Fault",
    "FaultType",
    "FaultyCalls",
    "Schedule",
    "Seen",
    "StatusError",
    "Strike",
    "Triggered",
    "parse_fault",
]
