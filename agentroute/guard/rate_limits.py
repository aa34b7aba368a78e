"""What the headers of an HTTP answer say of a rate limit, in the forms in use.

Here and not beside the HTTP tools, because `agentroute.guard.failures` reads the headers of errors, whichever client
raised them. Headers are whatever a stranger sends: what cannot be read is left out, and nothing said here lasts longer
than `LONGEST_WINDOW_S`.

| form | example |
|---|---|
| OpenAI, Groq, Azure | ``x-ratelimit-remaining-requests: 59``, ``...-limit-...: 60``, ``...-reset-...: 6m0s`` |
| Anthropic | ``anthropic-ratelimit-requests-remaining: 49``, ``...-reset: 2026-10-21T07:28:00Z`` |
| GitHub, OpenRouter, X | ``x-ratelimit-remaining: 4999``, ``x-ratelimit-reset: 1792567680`` (or in ms, or ``30``) |
| IETF drafts 0 to 6 | ``ratelimit-remaining: 50``, ``ratelimit-limit: 100, 100;w=60``, ``ratelimit-reset: 30`` |
| IETF draft 7 | ``ratelimit: limit=100, remaining=50, reset=30`` |
| IETF drafts from 8 on | ``ratelimit: "default";r=50;t=30``, ``ratelimit-policy: "default";q=100;w=60`` |
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

LONGEST_WINDOW_S = 3600.0
"""Seconds that a provider can shut itself off for at a time, by asking to wait or by saying that nothing is left.

Whoever really wants more can say so again when asked again, at the price of one call an hour. Whoever says ten years by
mistake is back in an hour. (What others allow: the OpenAI client two minutes, urllib3 six hours.)"""

USUAL_WINDOW_S = 60.0
"""Seconds until the next window where nothing readable is said of it: most limits are per minute."""

LONGEST_VALUE = 1_000
"""Characters of a header that are looked at."""

REFILLING = frozenset(
    {
        "x-ratelimit-requests",
        "x-ratelimit-tokens",
        "anthropic-ratelimit-requests",
        "anthropic-ratelimit-tokens",
        "anthropic-ratelimit-input-tokens",
        "anthropic-ratelimit-output-tokens",
    }
)
"""Limits that fill up again bit by bit. Their reset is when they are full, not when the next call may be made."""

EARLIEST_EPOCH_S = 1e9
"""From here on a number is no duration but a moment: seconds since 1970 ..."""

EARLIEST_EPOCH_MS = 1e11
"""... and from here on milliseconds."""

UNITS_S: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86_400}

_NUMBER = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(?:[,;].*)?")
_PERIOD = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ns|us|µs|ms|s|m|h|d)")
_PERIODS = re.compile(rf"(?:{_PERIOD.pattern})+")
_FIELD = re.compile(r"-(remaining|limit|reset)(?=-|$)")
_MEMBER = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+')
_PARAMETER = re.compile(r"\b([a-z]+)\s*=\s*([^\s,;]+)")

Said: TypeAlias = dict[str, dict[str, str]]
"""What was said of each limit, by the field's name: remaining, limit and reset."""


@dataclass(frozen=True, slots=True)
class Headroom:
    """What an answer said of a rate limit, for example in its ``x-ratelimit-*`` headers.

    Attributes:
        left: Calls that may still be made in this window (or tokens, where those are what is scarce).
        limit: Calls in a whole window; 0 if it was not said.
        resets_in_s: Seconds until the next window.
        refill_per_s: Calls that come back each second until then; 0 if they all come back at the end.
    """

    left: float
    limit: float = 0.0
    resets_in_s: float = USUAL_WINDOW_S
    refill_per_s: float = 0.0


def headroom_of(headers: Mapping[str, str], wall: float) -> Headroom | None:
    """Read how much may still be asked; of several limits, the one with the least left of the whole. Never raises.

    Args:
        headers: By name, in any case; a prefix ``llm_provider-``, as litellm puts it, does not matter.
        wall: Seconds since 1970.

    Returns:
        None if nothing readable was said. Else all figures are finite and not negative, and `Headroom.resets_in_s`
        is at most `LONGEST_WINDOW_S`.

    Example:
        >>> headroom_of({"X-RateLimit-Remaining": "7", "X-RateLimit-Limit": "60", "X-RateLimit-Reset": "30"}, wall=0)
        Headroom(left=7.0, limit=60.0, resets_in_s=30.0, refill_per_s=0.0)
    """
    found = [_headroom(name, fields, wall) for name, fields in _said(headers).items()]
    return min((each for each in found if each is not None), key=_scarcity, default=(None, False))[0]


def reset_of(headers: Mapping[str, str], wall: float) -> float | None:
    """Seconds until a call that was refused for its limit may be made again; None if that was not said. Never raises.

    A limit of which something is left is not the one that was hit. The others are waited for to the end, even if they
    refill: some servers use the names of those that do for limits that do not.

    Args:
        headers: As for `headroom_of`.
        wall: Seconds since 1970.
    """
    hit = [each for each in _said(headers).values() if (_number(each.get("remaining")) or 0.0) < 1]
    waits = [wait for each in hit if (wait := _until(each.get("reset"), wall)) is not None]
    return min(max(waits), LONGEST_WINDOW_S) if waits else None


def _scarcity(found: tuple[Headroom, bool]) -> tuple[float, bool, float]:
    """Sorts the least share first; among equals those whose end was said, what takes longest to come back first."""
    said, ends = found
    return said.left / max(said.limit, said.left, 1.0), not ends, -said.resets_in_s


def _headroom(name: str, fields: Mapping[str, str], wall: float) -> tuple[Headroom, bool] | None:
    """What was said of one limit, and whether its end was."""
    left, limit = _number(fields.get("remaining")), _number(fields.get("limit"))
    if left is None or limit == 0:  # a limit of nothing would have refused this very call: it means "no limit"
        return None
    limit, wait = limit or 0.0, _until(fields.get("reset"), wall)
    refill_per_s = max(limit - left, 0.0) / wait if wait and name in REFILLING else 0.0
    resets_in_s = min(USUAL_WINDOW_S if wait is None else wait, LONGEST_WINDOW_S)
    return Headroom(left, limit, resets_in_s, refill_per_s), wait is not None


# ---------------------------------------------------------------- which limits are spoken of


def _said(headers: Mapping[str, str]) -> Said:
    """Sort headers by the limit they speak of."""
    said: Said = {}
    lists: dict[str, str] = {}
    for name, value in headers.items():
        plain = name.lower().removeprefix("llm_provider-").replace("rate-limit", "ratelimit")
        if "ratelimit" not in plain or len(value) > LONGEST_VALUE:
            continue
        if plain in {"ratelimit", "ratelimit-policy"}:
            lists[plain] = value
        elif (field := _FIELD.search(plain)) is not None:
            said.setdefault(plain.replace(field[0], "", 1), {})[field[1]] = value
    said.update(_listed(lists.get("ratelimit", ""), lists.get("ratelimit-policy", "")))
    return said


def _listed(limits: str, policies: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Read the one header of the later drafts, together with the policies that it names.

    Only the shape is read that the drafts give; a parser of all structured fields (RFC 9651) would drop a header whole
    for one wrong letter in it.
    """
    if "remaining" in (pairs := dict(_PARAMETER.findall(limits))):
        yield "ratelimit", pairs
        return
    known = dict(_members(policies))
    for name, said in _members(limits):
        policy = known.get(name, {})
        fields = {"remaining": said.get("r"), "limit": policy.get("q"), "reset": said.get("t", policy.get("w"))}
        yield f"ratelimit {name}", {field: value for field, value in fields.items() if value is not None}


def _members(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Read the members of a list, each a name with parameters."""
    for member in _MEMBER.findall(text):
        name, _, parameters = member.strip().partition(";")
        yield name, dict(_PARAMETER.findall(parameters))


# ---------------------------------------------------------------- what they say


def _number(text: str | None) -> float | None:
    """Read a number from 0 up; what follows it in a list or as a parameter does not count."""
    match = None if text is None else _NUMBER.fullmatch(text)
    return None if match is None else float(match[1])


def _until(text: str | None, wall: float) -> float | None:
    """Seconds until a moment, however it is written; 0 if it is past, None if it cannot be read."""
    if text is None:
        return None
    if (number := _number(text)) is not None:
        if number >= EARLIEST_EPOCH_MS:
            number /= 1000
        return max(0.0, number - wall) if number >= EARLIEST_EPOCH_S else number
    if _PERIODS.fullmatch(text.strip()):
        return sum(float(amount) * UNITS_S[unit] for amount, unit in _PERIOD.findall(text))
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - wall)
