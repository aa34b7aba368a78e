"""Starts the providers of a domain as processes, and takes them down in the ways that outages do."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import asdict
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal, Self

import anyio.to_thread

from graphs.providers import store
from graphs.providers.serve import load
from graphs.providers.server import Blow, Moment, strike

ROOT = Path(__file__).resolve().parents[2]

TIMEOUT_S = 20.0

PROMPT_S = 2.0
"""Seconds within which a provider that lives answers, also on a busy machine; one that does not is replaced."""

Way = Literal["kill", "hang", "cut"]

WAYS: Mapping[Way, int] = {"kill": signal.SIGKILL, "hang": signal.SIGSTOP, "cut": 0}


class Providers:
    """The providers of a domain, one process each.

    Each provider keeps its port for as long as this object lives, dead or alive: a socket of our own is bound to it
    and never listens, so that a killed provider refuses connections and no other process can take its place.

    Args:
        domain: ``"support"``, ``"travel"`` or ``"moderation"``.
        database: File to make anew.
        ignore_keys: Providers that do not honour Idempotency-Key.

    Example::

        with Providers("support", Path("truth.db")) as providers:
            providers.kill("stripe")
            assert providers.rows("refunds") == []
    """

    def __init__(self, domain: str, database: Path, *, ignore_keys: Collection[str] = ()) -> None:
        """Nothing is started yet."""
        self.domain = domain
        self.database = database
        self._definition = load(domain)
        self._ignore_keys = frozenset(ignore_keys)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._placeholders: dict[str, socket.socket] = {}

    @property
    def names(self) -> list[str]:
        """Every provider of the domain."""
        return list(self._definition.providers)

    @property
    def urls(self) -> Mapping[str, str]:
        """Address of every provider."""
        return {name: self.url(name) for name in self._placeholders}

    def url(self, name: str) -> str:
        """Address of one provider; stays the same when it is killed and started again."""
        return f"http://127.0.0.1:{self.port(name)}"

    def port(self, name: str) -> int:
        """Port of one provider on loopback, the same for as long as this object lives."""
        return self._placeholders[name].getsockname()[1]

    def pid(self, name: str) -> int:
        """Process id of a provider."""
        return self._processes[name].pid

    def __enter__(self) -> Self:
        """Make the database and start every provider; returns when all answer."""
        store.create(self.database, self._definition.schema)
        try:
            for name in self.names:
                self._placeholders[name] = _reserve_port()
                self._spawn(name)
            for name in self.names:
                self._await_ready(name)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End every provider."""
        self.close()

    async def __aenter__(self) -> Self:
        """Like ``with``, without holding up the event loop."""
        return await anyio.to_thread.run_sync(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        """End every provider."""
        self.close()

    def close(self) -> None:
        """End every provider and let go of the ports. May be called twice."""
        for name in list(self._processes):
            self.kill(name)
        for placeholder in self._placeholders.values():
            placeholder.close()
        self._processes.clear()
        self._placeholders.clear()

    def kill(self, name: str) -> None:
        """SIGKILL: the provider is down, connections are refused."""
        process = self._processes[name]
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def stop(self, name: str) -> None:
        """SIGSTOP: the provider hangs; connections are accepted by the system and nobody answers."""
        with closing(store.connect(self.database)) as db:
            strike(db, self.pid(name), self.port(name), signal.SIGSTOP)

    def cont(self, name: str) -> None:
        """SIGCONT: the provider goes on, with the requests that were waiting."""
        os.kill(self.pid(name), signal.SIGCONT)

    def start(self, name: str) -> None:
        """Start a killed provider again, at the same address."""
        self._spawn(name)
        self._await_ready(name)

    def heal(self) -> None:
        """Make every provider answer again, and forget what was armed.

        Whoever does not answer, being dead or stopped, is replaced at the same address. A stopped one is not continued:
        it would serve requests that waited in it, and nobody could say when it has served the last.
        """
        silent = [name for name in self.names if not self._answers(name)]
        for name in silent:
            self.kill(name)  # reaps it and closes its pipes
            self._spawn(name)
        for name in silent:
            self._await_ready(name)

    def arm(self, victim: str, *, by: str, endpoint: str, moment: Moment, how: Way = "kill") -> None:
        """Have a provider take another, or itself, down at an exact moment in the life of a request; once.

        Args:
            victim: Who is to suffer.
            by: Provider whose request sets it off; may be the victim.
            endpoint: Which of its endpoints, such as ``"POST /refunds"``.
            moment: ``"arrives"``: nothing has happened yet. ``"done"``: committed, and not answered yet.
            how: ``"kill"`` (SIGKILL), ``"hang"`` (SIGSTOP), or ``"cut"``: the victim, which must be `by`, hangs up
                without an answer and lives on.
        """
        if endpoint not in self._definition.providers[by]:
            raise ValueError(f"{by} has no {endpoint!r}: {', '.join(self._definition.providers[by])}")
        self._arm(by, [Blow(endpoint, moment, WAYS[how], self.pid(victim), self.port(victim))])

    def rows(self, table: str, **equals: Any) -> list[store.Row]:
        """Rows of the ground truth whose columns have these values."""
        with closing(store.connect(self.database)) as db:
            return store.rows(db, table, **equals)

    def reset(self) -> None:
        """Forget every effect, call and remembered answer; the reference data stays."""
        with closing(store.connect(self.database)) as db, store.transaction(db):
            for table in (*self._definition.effects, "calls", "answers"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608  # names come from this package

    def _answers(self, name: str) -> bool:
        """Whether a provider lives and could be told to forget what was armed."""
        process = self._processes[name]
        if process.poll() is not None or _is_stopped(process.pid):
            return False
        try:
            self._arm(name, [], timeout_s=PROMPT_S)
        except (OSError, HTTPException):  # killed so recently that it is not gone yet, or stopped and it cannot be told
            return False
        return True

    def _arm(self, name: str, blows: list[Blow], *, timeout_s: float = TIMEOUT_S) -> None:
        _post(self.url(name) + "/-/blows", {"blows": [asdict(blow) for blow in blows]}, timeout_s)

    def _spawn(self, name: str) -> None:
        command = [sys.executable, "-m", "graphs.providers.serve", self.domain, name]
        command += ["--db", str(self.database), "--port", str(self.port(name))]
        command += ["--ignore-keys"] if name in self._ignore_keys else []
        # A process group of its own: Ctrl-C is for us, and a stopped provider that we leave behind gets a hang-up.
        self._processes[name] = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )

    def _await_ready(self, name: str) -> None:
        process = self._processes[name]
        assert process.stdout is not None  # noqa: S101  # asked for above
        if not process.stdout.readline():
            raise RuntimeError(f"provider {name} ended before it was ready, with status {process.wait()}")


def _is_stopped(child: int) -> bool:
    """Whether a child was sent SIGSTOP; False where the system cannot tell without taking the child's end for one."""
    if not hasattr(os, "waitid"):
        return False
    return os.waitid(os.P_PID, child, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None


def _reserve_port() -> socket.socket:
    """Bind a free port without listening on it."""
    placeholder = socket.socket()
    placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    placeholder.bind(("127.0.0.1", 0))
    return placeholder


def _post(url: str, body: Mapping[str, Any], timeout_s: float) -> None:
    request = urllib.request.Request(url, data=json.dumps(body).encode(), method="POST")  # noqa: S310  # our own server
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=timeout_s) as response:
        response.read()
