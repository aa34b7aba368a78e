"""Faults under which the server never gets the request."""

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import NoReturn

import anyio

from agentroute.testing.faults import CANARY
from agentroute.testing.wire.order import Order
from agentroute.testing.wire.passage import After, Passage

BODYLESS = frozenset({204, 304})
"""Statuses of answers that have no body."""


async def error(passage: Passage, order: Order) -> After:
    """Answer with a status."""
    return await _answer(passage, order.fault.status, {})


async def secret_echo(passage: Passage, order: Order) -> After:
    """Answer with a status, and give a secret away."""
    return await _answer(passage, order.fault.status, {}, text=f"invalid key {CANARY} for account 42")


async def rate_limit(passage: Passage, order: Order) -> After:
    """Ask to wait."""
    wait = order.fault.retry_after_s
    return await _answer(passage, 429, {} if wait is None else {"Retry-After": str(math.ceil(wait))})


async def reset(passage: Passage, _: Order) -> After:
    """Break the connection."""
    passage.carry_out()
    passage.client.reset()
    return After.CLOSE


async def timeout(passage: Passage, _: Order) -> NoReturn:
    """Say nothing until the client hangs up; that cancels this."""
    passage.carry_out()
    await passage.swallow()
    await anyio.sleep_forever()
    raise AssertionError


async def _answer(passage: Passage, status: int, headers: Mapping[str, str], *, text: str = "") -> After:
    await passage.swallow()
    request = passage.request
    said = {"error": {"code": status, "message": text or f"injected: {_reason(status)}"}}
    body = b"" if status in BODYLESS else json.dumps(said).encode()
    lines = [f"HTTP/1.1 {status} {_reason(status)}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if not request.persistent:
        lines += ["Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    passage.carry_out()
    await passage.client.send("\r\n".join((*lines, "", "")).encode() + (b"" if request.wants_no_body else body))
    return After.NEXT if request.persistent else After.CLOSE


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
