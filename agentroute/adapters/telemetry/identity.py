"""Ids that follow from the run: whoever knows the run knows its trace, also after a crash and in another process.

The digest of a run id is spread evenly, so samplers that look at the trace id still work. Span ids of one run never
collide: they differ by an odd multiple of a large odd number, modulo 2**64.
"""

from hashlib import sha256

from agentroute.ids import AttemptId, RunId

_STRIDE = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio, made odd
_WORD = (1 << 64) - 1
_DECISIONS = 1 << 40
_SEGMENTS = 1 << 41


def trace_id(run: RunId) -> str:
    """The trace of a run that is no part of another trace, as 32 hex digits."""
    return f"{seeds(run)[0]:032x}"


def seeds(run: RunId) -> tuple[int, int]:
    """Trace id, and the number from which the ids of the run's spans are made."""
    digest = sha256(run.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:24])


def root_span(seed: int, segment: int) -> int:
    """Id of the run's own span; a run that was suspended continues in the next segment."""
    return _mixed(seed, _SEGMENTS + segment)


def attempt_span(seed: int, attempt: AttemptId) -> int:
    """Id of an attempt's span."""
    return _mixed(seed, 2 * attempt)


def step_span(seed: int, first: AttemptId) -> int:
    """Id of a step's span, by its first attempt."""
    return _mixed(seed, 2 * first + 1)


def decision_span(seed: int, number: int) -> int:
    """Id of the n-th short span (reroute, escalation, ...) of the run."""
    return _mixed(seed, _DECISIONS + number)


def _mixed(seed: int, number: int) -> int:
    return (seed + number * _STRIDE) & _WORD or 1
