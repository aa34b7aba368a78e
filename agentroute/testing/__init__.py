"""What tests of agents need, their authors' and our own: real servers with scripted behaviour."""

from agentroute.testing.model_server import ModelServer, Reply

__all__ = ["ModelServer", "Reply"]
