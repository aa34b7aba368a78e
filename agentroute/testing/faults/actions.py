"""Which function does which fault to a call. One fault, one function."""

from collections.abc import Mapping

from agentroute.testing.faults.answers import empty, falsified, malformed, renamed_field, silent_noop, stale, truncated
from agentroute.testing.faults.delays import hang, late_success, latency, timeout
from agentroute.testing.faults.effects import ack_lost, crash, duplicate_delivery, price_change
from agentroute.testing.faults.fault import FaultType
from agentroute.testing.faults.passage import Action
from agentroute.testing.faults.refusals import down, error, rate_limit, reset, secret_echo

ACTIONS: Mapping[FaultType, Action] = {
    "error": error,
    "secret_echo": secret_echo,
    "rate_limit": rate_limit,
    "down": down,
    "reset": reset,
    "latency": latency,
    "timeout": timeout,
    "hang": hang,
    "late_success": late_success,
    "malformed": malformed,
    "truncated": truncated,
    "renamed_field": renamed_field,
    "type_change": falsified,
    "error_in_200": falsified,
    "wrong": falsified,
    "injection": falsified,
    "output_bomb": falsified,
    "empty": empty,
    "stale": stale,
    "silent_noop": silent_noop,
    "ack_lost": ack_lost,
    "duplicate_delivery": duplicate_delivery,
    "crash": crash,
    "price_change": price_change,
}
"""By the type of the resolved fault: ``flap``, ``ramp`` and ``tail`` come as ``down`` and ``latency``."""
