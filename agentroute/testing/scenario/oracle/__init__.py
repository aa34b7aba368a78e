"""The oracle: it knows every fault beforehand, and says what could have been reached at what least cost."""

from agentroute.testing.scenario.oracle.calls import Foresight
from agentroute.testing.scenario.oracle.foresee import foresee

__all__ = ["Foresight", "foresee"]
