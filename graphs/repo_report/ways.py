"""The ways there are to read a repository, and which one is preferred.

Reading costs no money, so what is weighed here is trust and time: the share of calls that is expected to go wrong, and
the seconds a call takes. One failure makes a way half as dear again. The three lie closer together than that, so a run
turns to the next way at once instead of trying the same one again.
"""

from typing import TypedDict

from agentroute import Rates
from agentroute.graph.tool import Effect


class Way(TypedDict):
    """Options of every tool that goes this way."""

    risk: float
    latency_s: float
    effect: Effect
    provider: str


RATES = Rates(usd_per_second=0.001, usd_per_risk=0.1)

GIT_SERVER = Way(risk=0.010, latency_s=0.1, effect="read", provider="git server")
"""First: it is meant for agents, and can do nothing but what it offers."""

GIT_PROGRAM = Way(risk=0.012, latency_s=0.05, effect="read", provider="git program")
"""Next: it can do anything, and what it prints depends on what is installed."""

GIT_READER = Way(risk=0.014, latency_s=0.1, effect="read", provider="git reader")
"""Last: dulwich, pure Python. Needs nothing else, but is slow on long histories and does not know every format."""
