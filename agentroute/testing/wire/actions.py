"""Which function carries out which fault."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from agentroute.testing.wire.delays import bandwidth, hang, latency, slices
from agentroute.testing.wire.deliveries import duplicate_delivery, late_success
from agentroute.testing.wire.falsehoods import malformed, rewritten
from agentroute.testing.wire.losses import ack_lost, crash, truncated
from agentroute.testing.wire.order import REWRITTEN, Order
from agentroute.testing.wire.passage import After, Passage
from agentroute.testing.wire.refusals import error, rate_limit, reset, timeout

Action: TypeAlias = Callable[[Passage, Order], Awaitable[After]]

ACTIONS: Mapping[str, Action] = {
    "error": error,
    "rate_limit": rate_limit,
    "reset": reset,
    "timeout": timeout,
    "latency": latency,
    "hang": hang,
    "slice": slices,
    "bandwidth": bandwidth,
    "ack_lost": ack_lost,
    "crash": crash,
    "truncated": truncated,
    "malformed": malformed,
    "late_success": late_success,
    "duplicate_delivery": duplicate_delivery,
    **dict.fromkeys(REWRITTEN, rewritten),
}
