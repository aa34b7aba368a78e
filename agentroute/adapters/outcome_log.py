"""The log of outcomes: JSON lines, one for each answer to a model step. Words are hashed before they are written.

What turns out later about a run is a line of its own, a judgement: logs are appended to, never rewritten.
"""

import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agentroute.adapters.json_file import parse_json, reason, told
from agentroute.errors import ConfigurationError, DefinitionError, DocumentError
from agentroute.graph.cost import LARGEST
from agentroute.routing.tiers.outcome import Judgement, Outcome
from agentroute.routing.tiers.situation import WORD_BUCKETS, Situation, Sketch

LONGEST_LINE = 256 * 1024
"""Bytes of a line; the most words that are looked at take some twenty kilobytes."""

MOST_RECORDS = 2_000_000
"""Records that are read: so many still fit into memory."""

LEAST_PROPENSITY = 1e-6
"""Smallest propensity that is believed: a record counts for its inverse."""

Count = Annotated[int, Field(ge=0, le=2**53)]
Usd = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Chance = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Bucket = Annotated[int, Field(ge=0, lt=WORD_BUCKETS, strict=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Text(_Strict):
    words: Annotated[dict[Bucket, Count], Field(max_length=WORD_BUCKETS)] = {}
    characters: Count = 0
    lines: Count = 0
    digits: Count = 0
    symbols: Count = 0


class _Record(_Strict):
    version: Literal["1"]
    run: Name
    step: Annotated[str, Field(max_length=200)]
    tier: Name
    right: Chance | None
    verified: bool = True
    usd: Usd
    propensity: Annotated[float, Field(ge=LEAST_PROPENSITY, le=1, allow_inf_nan=False)] = 1.0
    tiers: Annotated[dict[Name, Usd], Field(max_length=256)]
    detection: Chance = 0.0
    error: Annotated[str, Field(max_length=200)] = ""
    tried: Annotated[dict[Name, Count], Field(max_length=256)] = {}
    depth: Count = 0
    context: Count = 0
    text: _Text = _Text()

    @model_validator(mode="after")
    def _own_tier(self) -> Self:
        if self.tier not in self.tiers:
            raise ValueError(f"tier {self.tier!r} is not one of tiers")
        return self

    @property
    def outcome(self) -> Outcome:
        """As training and replay take it."""
        text = self.text
        sketch = Sketch(text.words, text.characters, text.lines, text.digits, text.symbols)
        situation = Situation(self.step, sketch, self.error, self.tried, self.depth, self.context)
        return Outcome(
            run=self.run,
            situation=situation,
            tier=self.tier,
            usd=self.usd,
            right=self.right,
            verified=self.verified,
            propensity=self.propensity,
            tiers=self.tiers,
            detection=self.detection,
        )


class _Judgement(_Strict):
    version: Literal["1"]
    run: Name
    judged: Chance
    step: Annotated[str, Field(max_length=200)] | None = None


def read_outcomes(path: str | os.PathLike[str]) -> Iterator[Outcome]:
    """Read a log, one record after the other, each as it was judged last.

    A run that was right was right in all of its steps. One that was wrong says so of its only step; of several, nobody
    knows which one it was: `right` is left as it was logged, and `Outcome.together` says what is known. What was
    refused when it came stays wrong. A last line without an end is left out if it cannot be read: whoever wrote it was
    interrupted, or is not done.

    Raises:
        DocumentError: It cannot be read, or a line is refused; ``file:line:column: why``.
    """
    verdicts = _Verdicts(path)
    for entry in _entries(path):
        if isinstance(entry, _Record):
            yield verdicts.applied(entry.outcome)


def steps_of(path: str | os.PathLike[str], run: str) -> set[str]:
    """Names of the model steps that a run took, by its records; the log is read once.

    Raises:
        DocumentError: As with `read_outcomes`.
    """
    return {entry.step for entry in _entries(path) if isinstance(entry, _Record) and entry.run == run}


class _Verdicts:
    """Every judgement of a log, and of how many steps the runs consist that were judged as a whole."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.steps: dict[tuple[str, str], float] = {}
        self.runs: dict[str, float] = {}
        self._of: dict[str, set[str]] = {}
        if not any(b'"judged"' in line for _, line, _ in _lines(Path(path), str(path))):
            return
        for entry in _entries(path):
            if isinstance(entry, _Record):
                self._of.setdefault(entry.run, set()).add(entry.step)
            elif entry.step is None:
                self.runs[entry.run] = entry.judged
            else:
                self.steps[entry.run, entry.step] = entry.judged

    def applied(self, outcome: Outcome) -> Outcome:
        run, step = outcome.run, outcome.situation.step
        right = self.steps.get((run, step), self.runs.get(run))
        if right is None:
            return outcome
        if outcome.right == 0.0:
            return replace(outcome, verified=True)
        if (run, step) in self.steps or len(self._of[run]) == 1:
            return replace(outcome, right=right, verified=True, judged=True)
        found = replace(outcome, judged=True, together=right)
        return replace(found, right=1.0, verified=True) if right == 1.0 else found


def _entries(path: str | os.PathLike[str]) -> "Iterator[_Record | _Judgement]":
    file = str(path)
    for number, line, whole in _lines(Path(path), file):
        if not line.strip():
            continue
        if number > MOST_RECORDS:
            raise DocumentError(file, number, 1, f"the log has more than {MOST_RECORDS:,} lines; split it")
        try:
            data = parse_json(line.decode().strip())
            judged = isinstance(data, dict) and "judged" in data
            yield (_Judgement if judged else _Record).model_validate(data)
        except ValidationError as error:
            raise DocumentError(file, number, 1, told(error)) from None
        except (ValueError, RecursionError) as error:  # no JSON, or no UTF-8
            if not whole:
                return
            column = error.colno if isinstance(error, json.JSONDecodeError) else 1
            why = f"is not a line of JSON: {error}; if a write was cut off here, take the line out"
            why = "is nested too deeply" if isinstance(error, RecursionError) else why
            raise DocumentError(file, number, column, why) from None


def write_outcomes(path: str | os.PathLike[str], outcomes: Iterable[Outcome | Judgement]) -> int:
    """Append records and judgements to a log, readable by its owner only; each line goes out whole.

    Returns:
        How many were written.

    Raises:
        ConfigurationError: It cannot be written.
    """
    written = 0
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        with open(descriptor, "a+b", buffering=0) as stream:  # noqa: PTH123  # a descriptor, not a path
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigurationError(f"{path}: outcomes cannot be written: it is not an ordinary file")
            _end_line(stream)
            for outcome in outcomes:
                _append(stream, (_verdict(outcome) if isinstance(outcome, Judgement) else line_of(outcome)).encode())
                written += 1
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ConfigurationError(f"{path}: outcomes cannot be written: {reason(error)}") from error
    return written


def check_log(path: str | os.PathLike[str]) -> None:
    """Refuse what no log can be written to, as far as can be told before anything is.

    Raises:
        DefinitionError: It is no path, or there is something else under that name.
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DefinitionError("log of outcomes", f"must be a path, not {path!r}")
    try:
        kind = Path(path).stat().st_mode
    except (OSError, ValueError):
        return  # it is not there yet, or cannot be looked at: who writes will say so
    if not stat.S_ISREG(kind):
        raise DefinitionError("log of outcomes", f"{path} is not an ordinary file")


def _end_line(stream: IO[bytes]) -> None:
    """Begin a line of one's own after one that somebody who was interrupted has left without an end."""
    size = stream.seek(0, os.SEEK_END)
    if size and os.pread(stream.fileno(), 1, size - 1) != b"\n":
        stream.write(b"\n")


def _append(stream: IO[bytes], line: bytes) -> None:
    """Write a line, or nothing of it.

    Raises:
        OSError: There is no room for it.
    """
    written = stream.write(line)
    if written < len(line):
        end = stream.seek(0, os.SEEK_END)
        with suppress(OSError):  # nobody has written since, or else it stays: whoever reads says where
            stream.truncate(end - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _verdict(judgement: Judgement) -> str:
    record = {"version": "1", "run": judgement.run, "judged": judgement.right}
    record |= {} if judgement.step is None else {"step": judgement.step}
    return json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n"


def line_of(outcome: Outcome) -> str:
    """A record as it stands in the log, with the end of the line."""
    known, text = outcome.situation, outcome.situation.text
    record: dict[str, Any] = {
        "version": "1",
        "run": outcome.run,
        "step": known.step,
        "tier": outcome.tier,
        "right": outcome.right,
        "verified": outcome.verified,
        "usd": outcome.usd,
        "propensity": outcome.propensity,
        "tiers": dict(outcome.tiers),
        "detection": outcome.detection,
        "error": known.error,
        "tried": dict(known.tried),
        "depth": known.depth,
        "context": known.context,
        "text": {
            "words": {str(bucket): count for bucket, count in text.words.items()},
            "characters": text.characters,
            "lines": text.lines,
            "digits": text.digits,
            "symbols": text.symbols,
        },
    }
    return json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n"


def _lines(path: Path, file: str) -> Iterator[tuple[int, bytes, bool]]:
    """Number, text and completeness of each line; none is longer than it may be."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DocumentError(file, 1, 1, "is not an ordinary file")
        with path.open("rb") as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise DocumentError(file, number, 1, f"the line is longer than {LONGEST_LINE:,} bytes")
                yield number, line, line.endswith(b"\n")
    except (OSError, ValueError) as error:
        raise DocumentError(file, 1, 1, f"cannot be read: {reason(error)}") from error
