"""What an exception says about an attempt: did it happen, and may it be tried again?

Only what is *known* not to have happened is called transient, rate-limited or permanent. Everything else is
ambiguous; for a tool that changes nothing that is as good as transient (see `Failure.for_effect`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import cast

from pydantic import ValidationError

from agentroute.errors import ConfigurationError, FailureKind, ToolError
from agentroute.graph.tool import Effect
from agentroute.guard.rate_limits import LONGEST_WINDOW_S, Headroom, headroom_of, reset_of

LONGEST_TEXT = 20_000
"""Characters of an exception's text that are looked at."""

LONGEST_MESSAGE = 500
"""Characters of it that are recorded, once secrets are masked: a cut through a secret could hide it from the mask."""

NOT_SENT = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "NewConnectionError", "ConnectTimeoutError", "ProxyError"}
)
"""Errors of HTTP clients (httpx, httpcore, urllib3, aiohttp, requests) raised before a request left."""

CLIENTS = frozenset({"httpx", "httpcore", "urllib3", "aiohttp", "requests"})

REFUSED_STATUS: Mapping[int, FailureKind] = {408: "ambiguous", 425: "transient", 429: "rate_limited", 503: "transient"}
"""Status codes that say more than their class: 503 and 429 are answers of a server that did not serve."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt, classified.

    Attributes:
        kind: What is known about it.
        error: Name of the exception's type.
        message: What it said, in one line, neither redacted nor cut to `LONGEST_MESSAGE` yet.
        retry_after_s: Seconds the provider asked to wait, if it did; at most `LONGEST_WINDOW_S`.
        headroom: What the headers of its answer said of a rate limit, if they did.
    """

    kind: FailureKind
    error: str
    message: str
    retry_after_s: float | None = None
    headroom: Headroom | None = None

    def for_effect(self, effect: Effect) -> "Failure":
        """Read an ambiguous failure in the light of what a second call would do.

        A tool that changes nothing, or whose second call is like its first, can simply be asked again.
        """
        if self.kind == "ambiguous" and effect != "once":
            return replace(self, kind="transient")
        return self

    def unsure(self, effect: Effect) -> bool:
        """Whether an effect that may safely be repeated may have happened: the same call is, another tool's is not."""
        return effect == "idempotent" and self.kind in ("ambiguous", "contract")

    def in_doubt(self, effect: Effect) -> bool:
        """Whether an effect that must happen once may have happened.

        An answer that breaks the contract counts: the tool ran, and nobody can say what it did.
        """
        return effect == "once" and self.kind in ("ambiguous", "contract")


def classify(error: BaseException, *, wall: float = 0.0) -> Failure:
    """Say what `error` means for the attempt that raised it. Never raises; what cannot be read is ambiguous.

    Args:
        error: As raised by the tool; causes are looked at where the error itself says nothing.
        wall: Seconds since 1970, to read headers that name a moment.
    """
    try:
        return _classified(_innermost(error), wall)
    except Exception as broken:  # noqa: BLE001  # an error whose own attributes or text raise
        name = type(error).__name__
        return Failure("ambiguous", name, f"{name}, which cannot be read: {type(broken).__name__}")


def _classified(error: BaseException, wall: float) -> Failure:
    kind, asked_s = _kind(error, wall)
    retry_after_s = None if asked_s is None else min(asked_s, LONGEST_WINDOW_S)
    text = " ".join(str(error)[:LONGEST_TEXT].split())
    said = headroom_of(_headers(error), wall)
    return Failure(kind, type(error).__name__, text or type(error).__name__, retry_after_s, said)


def _innermost(error: BaseException) -> BaseException:
    """The one failure that task groups wrapped, if it is only one."""
    while isinstance(error, BaseExceptionGroup):
        inner = cast("tuple[BaseException, ...]", error.exceptions)
        if len(inner) != 1:
            break
        error = inner[0]
    return cast("BaseException", error)


def _kind(error: BaseException, wall: float) -> tuple[FailureKind, float | None]:
    if isinstance(error, ToolError):
        return error.kind, error.retry_after_s
    if isinstance(error, (ValidationError, json.JSONDecodeError)):
        return "contract", None
    if isinstance(error, ConfigurationError):
        return "permanent", None
    if (status := _status(error)) is not None:
        kind = _kind_of_status(status)
        return kind, _retry_after(_headers(error), wall, limited=kind == "rate_limited")
    if isinstance(error, ConnectionRefusedError) or _never_sent(error):
        return "transient", None
    return "ambiguous", None


def _status(error: BaseException) -> int | None:
    """Status code of an HTTP error, whichever client raised it."""
    response = getattr(error, "response", None)
    for holder in (response, error):
        for name in ("status_code", "status"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and 100 <= status <= 599:  # the range of HTTP status codes
                return status
    return None


def _kind_of_status(status: int) -> FailureKind:
    if status in REFUSED_STATUS:
        return REFUSED_STATUS[status]
    return "permanent" if 400 <= status < 500 else "ambiguous"  # client errors


def _never_sent(error: BaseException) -> bool:
    """Whether an HTTP client gave up before it sent anything."""
    return any(kind.__name__ in NOT_SENT and kind.__module__.split(".")[0] in CLIENTS for kind in type(error).__mro__)


def _headers(error: BaseException) -> dict[str, str]:
    """Headers of the HTTP answer behind an error, by name in lower case, whichever client raised it."""
    headers = getattr(getattr(error, "response", None), "headers", None) or getattr(error, "headers", None)
    if not hasattr(headers, "items"):
        return {}
    pairs = cast("Mapping[object, object]", headers).items()
    return {name.lower(): value for name, value in pairs if isinstance(name, str) and isinstance(value, str)}


def _retry_after(headers: Mapping[str, str], wall: float, *, limited: bool) -> float | None:
    """Seconds to wait by the ``Retry-After`` header (RFC 9110: seconds or a date); None if absent or nonsense.

    A date is read by the clock of whoever wrote it, if the answer says what that showed: ours may be wrong by hours.
    Without the header, a rate limit lasts as long as the provider's own headers say.
    """
    value = headers.get("retry-after")
    if value is None:
        return reset_of(headers, wall) if limited else None
    if value.strip().isdecimal() and value.isascii():
        return float(value)
    when, theirs = _date(value), _date(headers.get("date"))
    if when is None:
        return None
    return max(0.0, when - (wall if theirs is None else theirs))


def _date(value: object) -> float | None:
    """A date of an HTTP header, in seconds since 1970; None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
