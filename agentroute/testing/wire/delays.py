"""Faults under which the server does as it is asked, and the answer takes its time."""

from contextlib import suppress

import anyio

from agentroute.testing.wire.link import LostError
from agentroute.testing.wire.order import Order
from agentroute.testing.wire.passage import After, Passage

STEP_S = 0.05
"""Seconds between the pieces of an answer that is sent at a low bandwidth."""


async def latency(passage: Passage, order: Order) -> After:
    """Hold the answer for a while."""
    answer = await passage.pass_on()
    await answer.begin()
    if answer.head is not None:
        passage.carry_out()
        await anyio.sleep(order.seconds)
    return await passage.deliver(answer)


async def wait_first(passage: Passage, order: Order) -> None:
    """Let the latencies pass that come on top of an order."""
    for latency_on_top in order.first:
        passage.expect_client()
        latency_on_top.done()
        await anyio.sleep(latency_on_top.seconds)


async def hang(passage: Passage, order: Order) -> After:
    """Hold the answer until the client hangs up, which cancels this; or have a process hang."""
    if order.strike is not None:
        return await _struck(passage, order)
    answer = await passage.pass_on()
    await passage.passed_on.wait()
    passage.carry_out()
    with suppress(LostError):  # also of a server that breaks off nothing is heard
        await answer.discard()
    await anyio.sleep_forever()
    raise AssertionError


async def _struck(passage: Passage, order: Order) -> After:
    assert order.strike is not None  # noqa: S101  # looked at by the caller
    if order.point == "arrives":
        passage.expect_client()
        order.strike()
        passage.carried_out()
        return await passage.deliver(await passage.pass_on())
    answer = await passage.pass_on()
    await answer.hold()
    if answer.head is not None:
        passage.expect_client()
        order.strike()
        passage.carried_out()
    return await passage.deliver(answer)


async def slices(passage: Passage, order: Order) -> After:
    """Send the answer in small pieces."""
    size, begun = order.fault.bytes, False

    async def send(data: bytes) -> None:
        nonlocal begun
        for start in range(0, len(data), size):
            if begun:
                passage.carry_out()
                await anyio.sleep(order.fault.latency_s)
            begun = True
            await passage.client.send(data[start : start + size])

    return await passage.deliver(await passage.pass_on(), send)


async def bandwidth(passage: Passage, order: Order) -> After:
    """Send the answer slowly, but steadily."""
    rate = order.fault.bytes_per_s
    size = max(1, int(rate * STEP_S))

    async def send(data: bytes) -> None:
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            passage.carry_out()
            await anyio.sleep(len(piece) / rate)
            await passage.client.send(piece)

    return await passage.deliver(await passage.pass_on(), send)
