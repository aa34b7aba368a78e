"""A small MCP server over stdio, of the handshake era, written by hand so that it can misbehave in every way.

Run as a program: ``python tiny_mcp_server.py [habit ...]``. Habits:

- ``silent``: never answers.
- ``dies``: says why on standard error and exits.
- ``strict``: hangs up when the first request is not ``initialize``.
- ``garbage``: prints lines that are no JSON between its answers, and writes to standard error.
- ``stubborn``: ignores the end of its input and SIGTERM.
- ``slow-start``: waits a second before it reads anything.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Arguments = dict[str, Any]
Answer = dict[str, Any]

HABITS = frozenset(sys.argv[1:])
INTEGER = {"type": "integer"}
PATH = {"type": "string"}

_write_lock = threading.Lock()
_cancelled: dict[Any, threading.Event] = {}


def text(said: str, **more: Any) -> Answer:
    return {"content": [{"type": "text", "text": said}], **more}


def append(path: str, line: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def constant(answer: Answer) -> Callable[[Arguments, threading.Event], Answer]:
    def function(_: Arguments, __: threading.Event) -> Answer:
        return answer

    return function


def note(arguments: Arguments, _: threading.Event) -> Answer:
    append(arguments["path"], arguments.get("line", "noted"))
    return text("noted")


def slow(arguments: Arguments, cancelled: threading.Event) -> Answer:
    append(arguments["path"], "started")
    append(arguments["path"], "cancelled" if cancelled.wait(arguments["seconds"]) else "done")
    return text("done")


def environment(_: Arguments, __: threading.Event) -> Answer:
    about = {"pid": os.getpid(), "cwd": str(Path.cwd()), "env": dict(os.environ)}
    return text(json.dumps(about))


def die(_: Arguments, __: threading.Event) -> Answer:
    os._exit(1)


def grow(_: Arguments, __: threading.Event) -> Answer:
    TOOLS["grown"] = (describe(), constant(text("grown")))
    return text("grown")


def describe(
    properties: Arguments | None = None,
    *,
    optional: tuple[str, ...] = (),
    output: Arguments | None = None,
    **hints: bool,
) -> Answer:
    properties = properties or {}
    required = [name for name in properties if name not in optional]
    described: Answer = {"inputSchema": {"type": "object", "properties": properties, "required": required}}
    if output is not None:
        described["outputSchema"] = {"type": "object", "properties": output, "required": list(output)}
    if hints:
        described["annotations"] = hints
    return described


def total(arguments: Arguments, _: threading.Event) -> Answer:
    return text("", structuredContent={"result": arguments["a"] + arguments["b"]})


TOOLS: dict[str, tuple[Answer, Callable[[Arguments, threading.Event], Answer]]] = {
    "add": (describe({"a": INTEGER, "b": INTEGER}, output={"result": INTEGER}, readOnlyHint=True), total),
    "note": (describe({"path": PATH, "line": PATH}, optional=("line",)), note),
    "put": (describe({"path": PATH}, idempotentHint=True), note),
    "slow": (describe({"path": PATH, "seconds": {"type": "number"}}), slow),
    "environment": (describe(readOnlyHint=True), environment),
    "die": (describe(), die),
    "grow": (describe(), grow),
    "fail": (describe(), constant(text("the disk\nis full", isError=True))),
    "wrong": (describe(output={"n": INTEGER}), constant(text("", structuredContent={"n": "many"}))),
    "unstructured": (describe(output={"n": INTEGER}), constant(text("3"))),
    "json": (describe(readOnlyHint=True), constant(text('{"n": 3, "unit": "s"}'))),
    "picture": (
        describe(readOnlyHint=True),
        constant({"content": [{"type": "image", "data": "AAAA", "mimeType": "image/png"}]}),
    ),
}


def send(message: dict[str, Any]) -> None:
    with _write_lock:
        if "garbage" in HABITS:
            sys.stdout.write("Listening ... {\n\n")
            sys.stderr.write("a word on standard error\n")
            sys.stderr.flush()
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def call(number: Any, params: dict[str, Any]) -> None:
    cancelled = _cancelled.setdefault(number, threading.Event())
    if trace := params.get("_meta", {}).get("traceparent"):
        append("traceparents", trace)
    _, function = TOOLS[params["name"]]
    answer = function(params.get("arguments") or {}, cancelled)
    if not cancelled.is_set():
        send({"id": number, "result": answer})


def handle(message: dict[str, Any]) -> None:
    method, number = message.get("method"), message.get("id")
    params: dict[str, Any] = message.get("params") or {}
    if method == "initialize":
        identity = {"name": "tiny", "version": "1"}
        result: dict[str, Any] = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": identity,
        }
        send({"id": number, "result": result})
    elif method == "tools/list":
        tools = [{"name": name, **described} for name, (described, _) in TOOLS.items()]
        send({"id": number, "result": {"tools": tools}})
    elif method == "tools/call":
        threading.Thread(target=call, args=(number, params), daemon=True).start()
    elif method == "notifications/cancelled":
        _cancelled.setdefault(params["requestId"], threading.Event()).set()
    elif number is not None:
        send({"id": number, "error": {"code": -32601, "message": "no such method"}})


def main() -> None:
    if "dies" in HABITS:
        sys.exit("cannot find my database")
    if "stubborn" in HABITS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "slow-start" in HABITS:
        time.sleep(1)
    for count, line in enumerate(sys.stdin):
        message = json.loads(line)
        if "strict" in HABITS and count == 0 and message.get("method") != "initialize":
            sys.exit("expected initialize")
        if "silent" not in HABITS:
            handle(message)
    while "stubborn" in HABITS:
        time.sleep(60)


if __name__ == "__main__":
    main()
