"""Faults under which the server gets the request at another time than the client thinks, or twice."""

import anyio

from agentroute.testing.wire.answer import Answer
from agentroute.testing.wire.link import LostError
from agentroute.testing.wire.order import Order
from agentroute.testing.wire.passage import After, Passage


async def late_success(passage: Passage, order: Order) -> After:
    """Let the request arrive after the client has given up."""
    if not passage.request.complete:  # too long to be kept
        return await passage.deliver(await passage.pass_on())
    waiting = passage.postponed.clients
    passage.expect_client()
    passage.patient = True
    waiting.add(passage.client)
    try:
        await passage.gone.wait()
        with anyio.move_on_after(order.fault.latency_s):
            await passage.postponed.now.wait()
        if await _deliver_again(passage):
            passage.carried_out()
    finally:
        waiting.discard(passage.client)
    return After.CLOSE


async def duplicate_delivery(passage: Passage, _: Order) -> After:
    """Let the request arrive twice, and pass the first answer on."""
    answer = await passage.pass_on()
    if not passage.request.complete or not await answer.hold():
        return await passage.deliver(answer)
    passage.patient = True  # what has begun must be known to have happened, whoever hangs up
    if await _deliver_again(passage):
        passage.carried_out()
    return await passage.deliver(answer)


async def _deliver_again(passage: Passage) -> bool:
    """Send the request on a connection of its own; whether it was answered."""
    try:
        upstream = await passage.connect_anew()
    except LostError:
        return False
    try:
        await upstream.send(passage.request.raw)
        answer = Answer(upstream, passage.request.head)
        await answer.discard()
    except LostError:
        return False
    else:
        return answer.whole
    finally:
        upstream.close()
