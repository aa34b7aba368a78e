"""What tests of agents need, their authors' and our own: injected faults, and real servers with scripted behaviour."""

from agentroute.testing.faults import Fault, FaultyCalls, parse_fault
from agentroute.testing.model_server import ModelServer, Reply

__all__ = ["Fault", "FaultyCalls", "ModelServer", "Reply", "parse_fault"]
