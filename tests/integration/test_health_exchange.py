"""Health shared by real processes over a real socket, with peers that die and lie, and a hub that dies."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.socket_exchange import Hub

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("sharing_worker.py")


class Provider(ThreadingHTTPServer):
    """A provider that is well or not, and knows who has asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Provider  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self.server.asked.append(self.headers["x-who"])
        self.send_response(self.server.status)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"sunny")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Write no access log."""


class Worker:
    """A child process with an agent."""

    def __init__(self, name: str, hub: Hub, near: Provider, far: Provider) -> None:
        ports = [str(port) for port in (hub.port, near.server_port, far.server_port)]
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), name, *ports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"},
        )
        assert self._answer() == "ready"

    def ask(self, word: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> str:
        """Let it end; returns its log."""
        with suppress(subprocess.TimeoutExpired, ValueError):
            return self.process.communicate(timeout=20)[1]
        self.process.kill()
        return self.process.communicate()[1]

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for something; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture
def providers() -> Iterator[tuple[Provider, Provider]]:
    both = Provider(), Provider()
    yield both
    for provider in both:
        provider.shutdown()
        provider.server_close()


@pytest.fixture
def workers(providers: tuple[Provider, Provider]) -> Iterator[tuple[Hub, Worker, Worker]]:
    hub = Hub()
    both = Worker("a", hub, *providers), Worker("b", hub, *providers)
    until(lambda: len(hub.connections) == 2, 10)
    yield hub, *both
    for worker in both:
        if worker.process.poll() is None:
            worker.process.kill()
        worker.process.communicate()
    hub.die()


def test_what_one_process_meets_another_avoids_and_a_killed_one_is_soon_forgotten(
    providers: tuple[Provider, Provider], workers: tuple[Hub, Worker, Worker]
) -> None:
    near, _ = providers
    _, a, b = workers
    near.status = 503
    assert a.ask("run")["route"] == ["far"]
    until(lambda: b.ask("look")["tools"] == ["far"], 5)
    assert b.ask("look")["monitor"] == "shared by a: its calls failed"
    assert b.ask("run") == {"outcome": "succeeded", "route": ["far"], "attempts": 1}
    assert set(near.asked) == {"a"}, "b never called it"
    a.process.kill()  # SIGKILL: nothing is taken back
    near.status = 200
    until(lambda: b.ask("look")["tools"] == ["near"], 10)
    assert b.ask("run") == {"outcome": "succeeded", "route": ["near"], "attempts": 1}
    assert near.asked[-1] == "b"


def test_an_exchange_that_dies_takes_nothing_down_and_is_taken_up_again(
    providers: tuple[Provider, Provider], workers: tuple[Hub, Worker, Worker]
) -> None:
    near, _ = providers
    hub, a, b = workers
    hub.die()
    near.status = 503
    for worker in (a, b):
        assert worker.ask("run")["outcome"] == "succeeded"
    assert set(near.asked) == {"a", "b"}, "nobody could tell them"
    near.status = 200
    until(lambda: a.ask("run")["route"] == ["near"] and b.ask("run")["route"] == ["near"], 15)
    again = Hub(hub.port)
    until(lambda: len(again.connections) == 2, 30)
    near.status, near.asked[:] = 503, []
    assert a.ask("run")["route"] == ["far"]
    until(lambda: b.ask("look")["tools"] == ["far"], 70)
    assert b.ask("run")["attempts"] == 1
    again.die()
    assert "exchange a (telling) failed" in a.end()
    assert "exchange b (hearing) failed" in b.end()


def test_what_a_stranger_says_on_the_line_takes_nothing_down(
    providers: tuple[Provider, Provider], workers: tuple[Hub, Worker, Worker]
) -> None:
    hub, a, b = workers
    word = '{"of":"tool","subject":"near","kind":"outage","number":1,"age_s":%s,"lasts_s":3600}'
    report = '{"version":"1","sender":"' + "e" * 24 + '","name":"%s","number":%d,"words":[%s]}\n'
    wrong = report % ("x", 1, word % "-1"), report % ("x y", 1, "")
    for line in ("\n", "null\n", "\x00\xff\n", "[" * 9_000 + "\n", *wrong):
        hub.say(line.encode())
    time.sleep(0.5)
    assert a.ask("run")["route"] == ["near"]
    hub.say((report % ("liar", 9, word % "0")).encode())
    until(lambda: b.ask("look")["tools"] == ["far"], 5)
    assert b.ask("look")["monitor"].startswith("shared by liar")
    assert b.ask("run")["outcome"] == "succeeded"
