"""Virtual time: an hour of backoff passes in a millisecond, and the same seed gives the same run to the byte."""

import importlib
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio

from agentroute.errors import AgentrouteError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""Wall time at virtual second 0: 14 November 2023."""

PATIENCE = 100_000
"""Looks at a clock that does not move before it says that time stands still."""


class TimeStandsStillError(AgentrouteError):
    """Something looks at the clock again and again without letting time pass: in real time it would spin."""

    def __init__(self, now: float) -> None:
        """Name the moment, in virtual seconds."""
        super().__init__(
            f"the clock was read again and again at {now!r} s; something waits for a moment without sleeping"
        )
        self.now = now


class VirtualClock:
    """The event loop's time, with a wall clock that starts at `EPOCH` and goes with it.

    Give it to the agent (``Agent(clock=VirtualClock())``), so that nothing in a journal depends on when a test ran.
    """

    def __init__(self, *, patience: int = PATIENCE) -> None:
        """Start at the event loop's time, and give up after `patience` looks at the same moment."""
        self._patience = patience
        self._last = float("nan")
        self._looks = 0

    def now(self) -> float:
        """Seconds of the event loop's clock.

        Raises:
            TimeStandsStillError: It was read too often without having moved.
        """
        now = anyio.current_time()
        if now != self._last:
            self._last, self._looks = now, 0
        self._looks += 1
        if self._looks > self._patience:
            raise TimeStandsStillError(now)
        return now

    def wall(self) -> float:
        """Seconds since 1970, UTC, as if virtual second 0 were `EPOCH`."""
        return EPOCH + self.now()


def run_virtual(main: Callable[..., Awaitable[T]], *args: object, seed: int = 0) -> T:
    """Run an async function on trio, with a clock that jumps ahead whenever every task waits.

    Worker threads and sockets do not mix with it: a task that waits for one counts as waiting, and time jumps past it.
    Create agents inside `main`, or at least call them only there: health is kept by the loop's time.

    Args:
        main: What to run.
        *args: Given to `main`.
        seed: Order in which tasks that could run at the same moment do run; the same seed, the same order.

    Returns:
        What `main` returns.

    Raises:
        ConfigurationError: trio is not installed.
    """
    try:
        from trio.testing import MockClock
    except ImportError:
        raise ConfigurationError("virtual time needs trio; install it with: pip install trio") from None
    options = {"clock": MockClock(autojump_threshold=0)}
    with _same_order(seed):
        return anyio.run(partial(main, *args), backend="trio", backend_options=options)


@contextmanager
def sockets_refused() -> "Generator[list[str]]":
    """Refuse sockets inside of virtual time, where waiting for one looks like waiting for nothing.

    Yields:
        What was tried, for whoever wants to know why a tool failed.
    """
    from trio import socket

    refusals = _NoSockets()
    before = socket.set_custom_socket_factory(cast("Any", refusals))
    try:
        yield refusals.tried
    finally:
        socket.set_custom_socket_factory(before)


class _NoSockets:
    """Hands out no sockets (a `trio.abc.SocketFactory`, without importing trio for everybody)."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def socket(self, *_: object) -> Any:
        self.tried.append("socket")
        raise OSError("sockets do not mix with virtual time")


@contextmanager
def _same_order(seed: int) -> "Generator[None]":
    """Let trio draw the order of its tasks from `seed`: by a private switch that pytest-trio and Hypothesis use too."""
    scheduler: Any = importlib.import_module("trio._core._run")
    before, state = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()  # noqa: SLF001
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # noqa: SLF001
    scheduler._r.seed(seed)  # noqa: SLF001
    try:
        yield
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before  # noqa: SLF001
        scheduler._r.setstate(state)  # noqa: SLF001
