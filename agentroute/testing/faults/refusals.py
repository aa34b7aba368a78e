"""Faults under which the provider says no, or cannot be reached: nothing happens."""

import math
from collections.abc import Mapping

from agentroute.ports import Values
from agentroute.testing.faults.passage import Passage
from agentroute.testing.faults.schedule import Strike

CANARY = "sk-canary-0000000000000000"
"""A secret that faults give away on purpose. It must appear in no output."""


class StatusError(Exception):
    """An HTTP answer with an error status, as clients raise it."""

    def __init__(self, status: int, headers: Mapping[str, str] | None = None, text: str = "") -> None:
        """Keep what classification looks at."""
        super().__init__(text or f"the server answered {status}")
        self.status_code = status
        self.headers = dict(headers or {})


async def error(strike: Strike, passage: Passage) -> Values:
    """Answer with a status."""
    passage.trigger(strike)
    raise StatusError(strike.fault.status)


async def secret_echo(strike: Strike, passage: Passage) -> Values:
    """Answer with a status, and give a secret away."""
    passage.trigger(strike)
    raise StatusError(strike.fault.status, text=f"invalid key {CANARY} for account 42")


async def rate_limit(strike: Strike, passage: Passage) -> Values:
    """Ask to wait."""
    passage.trigger(strike)
    wait = strike.fault.retry_after_s
    raise StatusError(429, None if wait is None else {"retry-after": str(math.ceil(wait))})


async def down(strike: Strike, passage: Passage) -> Values:
    """Refuse the connection."""
    passage.trigger(strike)
    raise ConnectionRefusedError("connection refused")


async def reset(strike: Strike, passage: Passage) -> Values:
    """Break the connection before anything happens."""
    passage.trigger(strike)
    raise ConnectionResetError("connection reset by peer")
