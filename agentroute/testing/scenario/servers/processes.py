"""Signals to the servers of a testbed, and the proxies before them that agree with what the signals did."""

import os
import signal
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress

from agentroute.testing.scenario.testbed import Testbed
from agentroute.testing.wire import Proxy

AGENT = "agent"
"""Victim of a fault that befalls the agent itself."""


MOST_LOOKS, LOOK_EVERY_S = 500, 0.002
"""How often, and how many seconds apart, a port is looked at that is to refuse connections."""


class Processes:
    """The processes behind the proxies. Safe to be called from any thread, also from a proxy's."""

    def __init__(self, testbed: Testbed, proxies: Mapping[str, Proxy]) -> None:
        """Nothing is done yet."""
        self._testbed = testbed
        self._proxies = proxies
        self._timers: list[threading.Timer] = []
        self._pause = threading.Event()
        self.agent: int | None = None
        """Process id of the agent, if it has a process of its own."""

    def refuse(self, server: str, *, yes: bool) -> None:
        """Have a server's proxy refuse connections, or listen again; the process is left alone."""
        self._proxies[server].refuse(yes=yes)

    def kill(self, server: str) -> None:
        """SIGKILL a server. Its port refuses connections, as that of a dead process does."""
        with suppress(ProcessLookupError):
            os.kill(self._pid(server), signal.SIGKILL)
        if server != AGENT:
            self.refuse(server, yes=True)
            self._await_refusal(server)

    def _await_refusal(self, server: str) -> None:
        """Wait until connections are refused: from another proxy's thread, `refuse` only sets it going."""
        for _ in range(MOST_LOOKS):
            with socket.socket() as probe:
                if probe.connect_ex(self._proxies[server].address) != 0:
                    return
            self._pause.wait(LOOK_EVERY_S)

    def _pid(self, server: str) -> int:
        if server != AGENT:
            return self._testbed.pid(server)
        assert self.agent is not None  # noqa: S101  # set before its first request can arrive
        return self.agent

    def revive(self, server: str) -> None:
        """Start a dead server again."""
        self._testbed.restart(server)
        self.refuse(server, yes=False)

    def stop(self, server: str, seconds: float) -> None:
        """SIGSTOP a server, and SIGCONT it after so many seconds; 0 leaves it stopped."""
        pid = self._pid(server)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        if seconds > 0:
            timer = threading.Timer(seconds, _continue, [pid])
            timer.daemon = True
            self._timers.append(timer)
            timer.start()

    def close(self) -> None:
        """Wait for nothing any more; let every proxy listen again. The testbed's `reset` does the rest."""
        for timer in self._timers:
            timer.cancel()
        for proxy in self._proxies.values():
            proxy.refuse(yes=False)


def _continue(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
