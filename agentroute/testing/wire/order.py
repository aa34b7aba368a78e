"""What the proxy is told to do to an exchange."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from agentroute.testing.faults import Fault

REWRITTEN: frozenset[str] = frozenset(
    {
        "renamed_field",
        "type_change",
        "empty",
        "error_in_200",
        "wrong",
        "stale",
        "secret_echo",
        "injection",
        "output_bomb",
    }
)
"""Faults that falsify the answer: what it says instead is up to the order's `rewrite`. A ``secret_echo`` can also be
an error."""

STRUCK: frozenset[str] = frozenset({"crash", "hang"})
"""Faults of a process: the order's `strike` does them. A ``hang`` can be made on the wire alone, too."""

WIRE: frozenset[str] = REWRITTEN | {
    "latency",
    "timeout",
    "reset",
    "down",
    "hang",
    "error",
    "rate_limit",
    "malformed",
    "truncated",
    "ack_lost",
    "late_success",
    "duplicate_delivery",
    "crash",
    "slice",
    "bandwidth",
}
"""Faults that can be made on the wire, or (``crash``) at an exact moment that only the wire knows. ``down`` is made
by `Proxy.refuse`, all others by an `Order`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the proxy is to do to one exchange.

    Attributes:
        fault: What, with concrete numbers; its target and its windows are not looked at.

            - ``error``: an answer with `status`; the server is not called. ``rate_limit``: the same with 429, and
              with ``Retry-After`` if `retry_after_s` is set.
            - ``reset``: the connection is reset instead of passing the request on.
            - ``timeout``: the request is swallowed; the client hears nothing until it hangs up.
            - ``late_success``: the same, and `latency_s` after the client has hung up, the server gets the request.
            - ``hang``: the server is called; its answer is held until the client hangs up, however long that takes
              (`latency_s` is not looked at). With `strike`: that is called at `point`, then everything is passed on.
            - ``crash``: `strike` is called at `point`, then the connection is reset. Nothing of the request is passed
              on if that is ``"arrives"``.
            - ``ack_lost``: the server is called; once it has answered, the connection is reset.
            - ``duplicate_delivery``: the server is called twice, one after the other; its first answer is passed on.
            - ``latency``: the answer is passed on `latency_s` later, give or take `jitter_s`.
            - ``slice``: the answer is sent in pieces of `bytes` bytes, `latency_s` apart. ``bandwidth``: at
              `bytes_per_s`.
            - ``truncated``: half of the answer's body is sent, then the connection is closed.
            - ``malformed``: the answer's body is replaced by text that is no JSON.
            - Those of `REWRITTEN`: the JSON of the answer is given to `rewrite`, and what it returns is sent. A
              ``secret_echo`` without `rewrite` is an ``error`` whose text gives the canary away.
        dice: For jitter.
        rewrite: For faults that falsify the answer: JSON data in, JSON data out. May be called for each event of a
            stream. If it returns an equal value, nothing is done.
        strike: For ``crash`` and ``hang`` of a process; called in the proxy's thread.
        point: When to strike: the request is read and not passed on yet, or the answer is.
        done: Called in the proxy's thread, once and only if the fault is really carried out, just before anybody else
            can notice (for ``late_success``, ``duplicate_delivery``, ``crash`` and a `strike`: just after it).
        first: Orders of ``latency`` that come on top: the request waits for them before anything else is done to it.
    """

    fault: Fault
    dice: Random
    rewrite: Callable[[Any], Any] | None = None
    strike: Callable[[], None] | None = None
    point: Literal["arrives", "answered"] = "arrives"
    done: Callable[[], None] = lambda: None
    first: Sequence["Order"] = ()

    def __post_init__(self) -> None:
        """Refuse what could not be carried out.

        Raises:
            ValueError: Saying why.
        """
        kind = self.fault.type
        if kind not in WIRE:
            raise ValueError(f"the wire cannot do {kind!r}; it can do {', '.join(sorted(WIRE))}")
        if kind == "down":
            raise ValueError("'down' is done by Proxy.refuse: no request ever arrives")
        if any(order.fault.type != "latency" for order in self.first):
            raise ValueError("first can only be orders of 'latency'")
        _check("rewrite", kind, given=self.rewrite is not None, taken=REWRITTEN, needed=REWRITTEN - {"secret_echo"})
        _check("strike", kind, given=self.strike is not None, taken=STRUCK, needed=frozenset({"crash"}))

    @property
    def seconds(self) -> float:
        """How long a ``latency`` takes this time."""
        return max(0.0, self.fault.latency_s + self.fault.jitter_s * (2 * self.dice.random() - 1))


def _check(name: str, kind: str, *, given: bool, taken: frozenset[str], needed: frozenset[str]) -> None:
    if kind in needed and not given:
        raise ValueError(f"{kind!r} needs {name}")
    if given and kind not in taken:
        raise ValueError(f"{kind!r} takes no {name}; it is for {', '.join(sorted(taken))}")
