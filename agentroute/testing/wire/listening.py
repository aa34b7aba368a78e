"""What goes on in a proxy's thread: connections are accepted, or refused."""

import socket

import anyio
from anyio.abc import TaskGroup, TaskStatus
from anyio.lowlevel import checkpoint

from agentroute.testing.wire.conversation import Conversation, Surroundings
from agentroute.testing.wire.link import Link
from agentroute.testing.wire.port import Port

BUSY_S = 0.05
"""Seconds to wait when the system has no more connections to give."""

POLL_S = 0.005
"""Seconds between looks at whether late deliveries have been made."""


class Listening:
    """Accepts connections at a port and keeps their conversations. Everything is called in the proxy's thread.

    Attributes:
        mistakes: What functions that were given to us have raised.
    """

    def __init__(self, port: Port, surroundings: Surroundings) -> None:
        """Nobody listens yet."""
        self.mistakes = surroundings.mistakes
        self._port = port
        self._surroundings = surroundings
        self._conversations: set[Conversation] = set()
        self._listener: socket.socket | None = None
        self._tasks: TaskGroup | None = None

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Go on until `stop`."""
        try:
            async with anyio.create_task_group() as self._tasks:
                self.listen()
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._close_listener()

    def stop(self) -> None:
        """End everything."""
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()

    def listen(self) -> None:
        """Accept connections from now on, if it is not so already."""
        if self._listener is None and self._tasks is not None:
            self._listener = self._port.listen()
            self._tasks.start_soon(self._accept, self._listener)

    def refuse(self) -> None:
        """Refuse connections from now on, and reset those that are open."""
        self._close_listener()
        self.sever()

    def sever(self) -> None:
        """Reset the connections that are open."""
        for conversation in self._conversations:
            conversation.sever()

    async def settle(self, timeout_s: float) -> bool:
        """Make late deliveries now; whether all were made in time."""
        postponed = self._surroundings.postponed
        postponed.now.set()
        with anyio.move_on_after(timeout_s) as patience:
            while any(client.hung_up for client in postponed.clients):  # noqa: ASYNC110  # nothing tells that one left
                await anyio.sleep(POLL_S)
        postponed.now = anyio.Event()
        return not patience.cancelled_caught

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            anyio.notify_closing(listener)
            listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        while listener.fileno() >= 0:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                try:
                    await anyio.wait_readable(listener)
                except anyio.ClosedResourceError:
                    return
            except OSError:  # out of file descriptors, or the client has left again
                await anyio.sleep(BUSY_S)
            else:
                self._begin(connection)
                await checkpoint()

    def _begin(self, connection: socket.socket) -> None:
        conversation = Conversation(Link(connection), self._surroundings)
        self._conversations.add(conversation)
        if self._tasks is not None:
            self._tasks.start_soon(self._converse, conversation)

    async def _converse(self, conversation: Conversation) -> None:
        try:
            await conversation.run()
        finally:
            self._conversations.discard(conversation)
