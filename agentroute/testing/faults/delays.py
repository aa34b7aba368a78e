"""Faults that take time."""

import anyio

from agentroute.ports import Values
from agentroute.testing.faults.passage import Passage
from agentroute.testing.faults.schedule import Strike


async def latency(strike: Strike, passage: Passage) -> Values:
    """Hold back what comes: done, and told too late for whoever has no patience. A failure takes as long."""
    passage.trigger(strike)
    fault = strike.fault
    seconds = max(0.0, fault.latency_s + fault.jitter_s * (2 * passage.dice.random() - 1))
    try:
        answer = await passage.onwards()
    except Exception:
        await anyio.sleep(seconds)
        raise
    await anyio.sleep(seconds)
    return answer


async def timeout(strike: Strike, passage: Passage) -> Values:
    """Never answer."""
    passage.trigger(strike)
    await anyio.sleep_forever()
    raise AssertionError


async def hang(strike: Strike, passage: Passage) -> Values:
    """Never answer, and do not listen to being given up. A plain function's thread can be left behind all the same."""
    passage.trigger(strike)
    if getattr(passage.tool, "runs_in_thread", False):
        passage.attempt.still_running = True
        try:
            await anyio.sleep_forever()
        finally:
            passage.leave(passage, strike.fault.latency_s)
    with anyio.CancelScope(shield=True):
        await anyio.sleep(strike.fault.latency_s)
    await anyio.sleep_forever()
    raise AssertionError


async def late_success(strike: Strike, passage: Passage) -> Values:
    """Never answer, and do it after the caller has given up."""
    passage.trigger(strike)
    try:
        await anyio.sleep_forever()
    finally:
        passage.postpone(passage, strike.fault.latency_s)
    raise AssertionError
