"""Streams of events (text/event-stream), as MCP over HTTP answers with: cut into events, and what they say changed."""

import json
import re
from collections.abc import AsyncGenerator, Callable
from typing import TypeAlias

from agentroute.testing.wire.answer import Answer
from agentroute.testing.wire.passage import After, Passage
from agentroute.testing.wire.request import MOST_HELD

Change: TypeAlias = Callable[[bytes], bytes | None]
"""Gets the text of an answer and says what it is replaced by; None if it stays."""

END = re.compile(rb"\r\n\r\n|\n\n|\r\r(?!\n)|\n\r\n")
"""The empty line after an event. Lines end with CRLF, LF or CR."""

LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)?")

DATA = re.compile(rb"data(?:: ?|$)")


async def events(answer: Answer) -> AsyncGenerator[bytes, None]:
    """Take an answer apart as it comes: each event with the empty line after it, and at last what has no such line.

    Raises:
        LostError: The connection to the server broke.
    """
    held = answer.take_body()
    while True:
        while end := END.search(held):
            yield held[: end.end()]
            held = held[end.end() :]
        if answer.over:
            break
        if len(held) > MOST_HELD:
            yield held
            held = b""
        await answer.more()
        held += answer.take_body()
    if held:
        yield held


def text_of(event: bytes) -> bytes:
    """What the event says."""
    return b"\n".join(DATA.sub(b"", line, count=1).rstrip(b"\r\n") for line in _lines(event) if _is_data(line))


def says_json(event: bytes) -> bool:
    """Whether what the event says is JSON."""
    return is_json(text_of(event))


def is_json(text: bytes) -> bool:
    """Whether a text is JSON, as far as Python reads it."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def changed(event: bytes, change: Change) -> bytes | None:
    """Make an event say something else; None if it stays as it is."""
    text = change(text_of(event)) if says_json(event) else None
    if text is None:
        return None
    lines = _lines(event)
    first = next(number for number, line in enumerate(lines) if _is_data(line))
    said = b"".join(b"data: %s\n" % line for line in text.splitlines())
    return b"".join(said if number == first else b"" if _is_data(line) else line for number, line in enumerate(lines))


def chunk(data: bytes) -> bytes:
    """Frame a piece of a body that is sent in chunks; no bytes end it."""
    return b"%x\r\n%s\r\n" % (len(data), data)


async def end_chunks(passage: Passage, answer: Answer) -> After:
    """End a body that is sent in chunks as the server has ended its own."""
    if not answer.whole:
        return After.CLOSE
    await passage.client.send(chunk(b""))
    return After.NEXT


def _lines(event: bytes) -> list[bytes]:
    return LINE.findall(event)


def _is_data(line: bytes) -> bool:
    return DATA.match(line.rstrip(b"\r\n")) is not None
