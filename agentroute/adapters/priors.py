"""What was learned, kept in a file: JSON, checked when it is read, replaced whole when it is written."""

import json
import os
import stat
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentroute.errors import ConfigurationError, DefinitionError, DocumentError
from agentroute.graph.cost import LARGEST
from agentroute.ids import GoalId, ToolId
from agentroute.routing.knowledge import LONGEST_S, SHORTEST_S, Calls, Knowledge, bucket, middle

LARGEST_FILE = 4 * 1024 * 1024
"""Bytes of a file of priors; a tool takes a kilobyte or so, and as much again for each goal."""

MOST_CALLS = 1e12
"""Largest count that is believed."""

MOST_PROBLEMS = 5
"""Problems of a file that are told at once."""

PATIENCE_S = 30.0
"""Seconds that others may hold the lock of a file before it is given up: they need milliseconds."""

Count = Annotated[float, Field(ge=0, le=MOST_CALLS, allow_inf_nan=False)]
Usd = Annotated[float, Field(ge=0, le=LARGEST * MOST_CALLS, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=SHORTEST_S / 2, le=2 * LONGEST_S, allow_inf_nan=False, strict=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Calls(_Strict):
    failed: Count = 0.0
    worked: Count = 0.0
    usd: Usd = 0.0
    declared_usd: Usd = 0.0
    seconds: dict[Seconds, Count] = {}

    @property
    def calls(self) -> Calls:
        took: dict[int, float] = {}
        for seconds, count in self.seconds.items():
            took[bucket(seconds)] = took.get(bucket(seconds), 0.0) + count
        return Calls(self.failed, self.worked, self.usd, self.declared_usd, took)


class _File(_Strict):
    version: Literal["1"]
    calls: Annotated[int, Field(ge=0, le=MOST_CALLS)] = 0
    tools: dict[Name, _Calls] = {}
    goals: dict[Name, dict[Name, _Calls]] = {}


@dataclass(frozen=True)
class Priors(Knowledge):
    """What earlier runs have shown of an agent's tools: how often they fail, how long they take, what they cost.

    Made by `Agent.learned`, given to ``Agent(priors=...)``, and kept in a file in between.
    """

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, missing_ok: bool = False) -> Self:
        """Read a file.

        Args:
            path: What `save` has written.
            missing_ok: Begin with nothing where there is no such file yet.

        Raises:
            DefinitionError: It cannot be read or is refused; ``file: what and why``. A `DocumentError`, with line and
                column, if it is not a small file with JSON in UTF-8.
        """
        from agentroute.adapters.files import read_text  # brings YAML, which agents without files do not need

        file = str(path)
        if missing_ok and not os.path.lexists(path):
            return cls()
        data = _parse(read_text(path, largest=LARGEST_FILE), file)
        try:
            document = _File.model_validate(data)
        except ValidationError as error:
            raise DefinitionError(file, _told(error)) from None
        return cls(
            calls=document.calls,
            tools=_by_tool(document.tools),
            goals={GoalId(goal): _by_tool(tools) for goal, tools in document.goals.items()},
        )

    @classmethod
    def add(cls, path: str | os.PathLike[str], newer: Knowledge) -> Self:
        """Add what came after to a file, which need not be there yet, and return what is in it now.

        Of several processes that add to a file at the same time none loses what another has added: each reads it anew
        and replaces it while it holds a lock on a file beside it, which the system takes from a process that dies.

        Blocks while others add, for milliseconds each, and half a minute at most.

        Raises:
            DefinitionError: The file cannot be read or is refused, as by `load`.
            ConfigurationError: It cannot be locked or written; it is left as it was.
        """
        with _alone(path):
            known = cls.load(path, missing_ok=True).merged(newer)
            known.save(path)
        return known

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, readable by its owner only. Whatever it held is gone: to add to it, there is `add`.

        It is written beside the old one and takes its place at once. So whoever reads sees one or the other, never
        half of one; and of two that write at the same time, the last one's is kept.

        Raises:
            ConfigurationError: It cannot be written; the old one is left as it was.
        """
        document = {
            "version": "1",
            "calls": self.calls,
            "tools": _as_json(self.tools),
            "goals": {goal: _as_json(tools) for goal, tools in sorted(self.goals.items())},
        }
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
        try:
            _replace(Path(os.path.realpath(path)), text.encode())
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise ConfigurationError(f"{path}: what was learned cannot be written: {_reason(error)}") from error


def _by_tool(tools: Mapping[str, _Calls]) -> dict[ToolId, Calls]:
    return {ToolId(name): entry.calls for name, entry in tools.items()}


def _as_json(tools: Mapping[ToolId, Calls]) -> dict[str, Any]:
    return {
        name: {
            "failed": calls.failed,
            "worked": calls.worked,
            "usd": calls.usd,
            "declared_usd": calls.declared_usd,
            "seconds": {f"{middle(number):.4g}": count for number, count in sorted(calls.took.items())},
        }
        for name, calls in sorted(tools.items())
    }


# ---------------------------------------------------------------- reading


def _parse(text: str, file: str) -> Any:
    """Read JSON, and nothing that JSON does not have.

    Raises:
        DocumentError: With the place; or without one for NaN, numbers of thousands of digits and the like.
    """
    try:
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        raise DocumentError(file, error.lineno, error.colno, f"is not JSON: {error.msg}") from None
    except RecursionError:
        raise DefinitionError(file, "is nested too deeply") from None
    except ValueError as error:
        raise DefinitionError(file, str(error)) from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is there twice")
        found[name] = value
    return found


def _told(error: ValidationError) -> str:
    """What is wrong, and where: ``tools.search.failed: Input should be ...``."""
    problems = [f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors()]
    more = len(problems) - MOST_PROBLEMS
    return "; ".join([*problems[:MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])])


# ---------------------------------------------------------------- writing


@contextmanager
def _alone(path: str | os.PathLike[str]) -> Generator[None]:
    """Hold the lock that all who add to a file take in turn.

    The lock is on a file beside it, which stays there: the file itself is replaced, and a lock on it would be one on
    something that is gone. It is the system's, and not a note that somebody was here, which a process that is killed
    would leave behind for ever; a file system that has no such locks is refused.

    Raises:
        ConfigurationError: It cannot be had.
    """
    from filelock import FileLock, Timeout  # not worth 0.1 s for those who keep nothing

    try:
        target = Path(os.path.realpath(path))
        target.parent.stat()  # a folder that is not there would be made
        lock = FileLock(target.with_name(f".{target.name}.lock"), PATIENCE_S, 0o600, fallback_to_soft=False)
        lock.acquire()
    except Timeout:
        why = f"another process has held its lock for {PATIENCE_S:g} s"
        raise ConfigurationError(f"{path}: what was learned cannot be written: {why}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name, or none
        raise ConfigurationError(f"{path}: what was learned cannot be written: {_reason(error)}") from error
    try:
        yield
    finally:
        lock.release()


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _replace(target: Path, data: bytes) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(target.stat().st_mode):
            raise OSError(None, "there is something else than an ordinary file")
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    beside = Path(name)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123  # a descriptor, not a path
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(target)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
