"""Faults under which the server does as it is asked, and the client is told something else.

Only what was a success is falsified: an error says all that it has to say with its status.
"""

import json
from contextlib import aclosing
from typing import Any

from agentroute.testing.wire.answer import Answer
from agentroute.testing.wire.events import Change, changed, chunk, end_chunks, events
from agentroute.testing.wire.framing import head_of
from agentroute.testing.wire.order import Order
from agentroute.testing.wire.passage import After, Passage
from agentroute.testing.wire.refusals import secret_echo

MALFORMED = b"<html><body>502 Bad Gateway</body></html>"


async def malformed(passage: Passage, _: Order) -> After:
    """Answer with text that is no JSON."""
    return await _falsify(passage, lambda text: MALFORMED if text.strip() else None)


async def rewritten(passage: Passage, order: Order) -> After:
    """Answer with what the order makes of the answer."""
    if order.rewrite is None:
        return await secret_echo(passage, order)
    rewrite = order.rewrite

    def change(text: bytes) -> bytes | None:
        try:
            true, given = json.loads(text), json.loads(text)
        except (ValueError, RecursionError):
            return None
        false = _dump(rewrite(given))
        return None if false == _dump(true) else false

    return await _falsify(passage, change)


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


async def _falsify(passage: Passage, change: Change) -> After:
    passage.request.ask_for_plain_text()
    answer = await passage.pass_on()
    await answer.begin()
    if answer.head is None or not 200 <= answer.head.status_code < 300 or answer.is_compressed:
        return await passage.deliver(answer)
    if answer.is_stream:
        return await _falsify_stream(passage, answer, change)
    body = change(answer.body) if await answer.hold() else None
    if body is None:
        return await passage.deliver(answer)
    passage.carry_out()
    await passage.client.send(head_of(answer.head, (b"Content-Length", b"%d" % len(body))) + body)
    return After.NEXT


async def _falsify_stream(passage: Passage, answer: Answer, change: Change) -> After:
    assert answer.head is not None  # noqa: S101  # looked at by the caller
    await passage.client.send(head_of(answer.head, (b"Transfer-Encoding", b"chunked")))
    async with aclosing(events(answer)) as said:
        async for event in said:
            false = changed(event, change)
            if false is not None:
                passage.carry_out()
            await passage.client.send(chunk(event if false is None else false))
    return await end_chunks(passage, answer)
