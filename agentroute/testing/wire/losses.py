"""Faults under which the server does as it is asked, and its answer is lost, or half of it."""

from collections.abc import Callable
from contextlib import aclosing

from agentroute.testing.wire.answer import Answer
from agentroute.testing.wire.events import chunk, end_chunks, events, says_json
from agentroute.testing.wire.framing import head_of
from agentroute.testing.wire.order import Order
from agentroute.testing.wire.passage import After, Passage


async def ack_lost(passage: Passage, _: Order) -> After:
    """Break the connection instead of passing the answer on."""
    return await _lose_answer(passage, passage.carry_out)


async def crash(passage: Passage, order: Order) -> After:
    """Have a process die, and break the connection."""

    def strike() -> None:
        assert order.strike is not None  # noqa: S101  # an order to crash has one
        passage.expect_client()
        order.strike()
        passage.carried_out()

    if order.point == "answered":
        return await _lose_answer(passage, strike)
    strike()
    passage.client.reset()
    return After.CLOSE


async def _lose_answer(passage: Passage, happen: Callable[[], None]) -> After:
    answer = await passage.pass_on()
    await answer.begin()
    if answer.head is None:  # the server broke off by itself
        return await passage.deliver(answer)
    await answer.discard()
    if answer.whole:
        happen()
    passage.client.reset()
    return After.CLOSE


async def truncated(passage: Passage, _: Order) -> After:
    """Close the connection in the middle of the answer's body: of a stream, of the first event that says something."""
    answer = await passage.pass_on()
    await answer.begin()
    if answer.head is not None and answer.is_stream:
        return await _truncate_stream(passage, answer)
    await answer.hold()
    if answer.head is None or not answer.body:
        return await passage.deliver(answer)
    body = answer.body
    passage.carry_out()
    await passage.client.send(head_of(answer.head, (b"Content-Length", b"%d" % len(body))) + body[: len(body) // 2])
    return After.CLOSE


async def _truncate_stream(passage: Passage, answer: Answer) -> After:
    assert answer.head is not None  # noqa: S101  # looked at by the caller
    await passage.client.send(head_of(answer.head, (b"Transfer-Encoding", b"chunked")))
    async with aclosing(events(answer)) as said:
        async for event in said:
            if says_json(event):
                passage.carry_out()
                await passage.client.send(chunk(event[: len(event) // 2]))
                return After.CLOSE
            await passage.client.send(chunk(event))
    return await end_chunks(passage, answer)
