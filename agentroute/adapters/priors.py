"""What was learned, kept in a file: JSON, checked when it is read, replaced whole when it is written."""

import logging
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentroute.adapters.json_file import as_text, read_json, reason, told, write_json
from agentroute.errors import ConfigurationError, DefinitionError
from agentroute.graph.cost import LARGEST
from agentroute.ids import GoalId, ToolId
from agentroute.routing.knowledge import LONGEST_S, SHORTEST_S, Calls, Knowledge, bucket, middle

LARGEST_FILE = 4 * 1024 * 1024
"""Bytes of a file of priors; a tool takes a kilobyte or so, and as much again for each goal."""

MOST_CALLS = 1e12
"""Largest count that is believed."""

PATIENCE_S = 30.0
"""Seconds that others may hold the lock of a file before it is given up: they need milliseconds."""

WHAT = "what was learned"
"""What the file holds, for messages."""

_LOGGER = logging.getLogger("agentroute.priors")

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
        file = str(path)
        if missing_ok and not os.path.lexists(path):
            return cls()
        data = read_json(path, largest=LARGEST_FILE)
        try:
            document = _File.model_validate(data)
        except ValidationError as error:
            raise DefinitionError(file, told(error)) from None
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

        What is too much for a file is forgotten, as by `save`.

        Blocks while others add, for milliseconds each, and half a minute at most.

        Raises:
            DefinitionError: The file cannot be read or is refused, as by `load`.
            ConfigurationError: It cannot be locked or written; it is left as it was.
        """
        with _alone(path):
            known = _fitting(cls.load(path, missing_ok=True).merged(newer), path)
            write_json(path, _document(known), what=WHAT)
        return known

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, readable by its owner only. Whatever it held is gone: to add to it, there is `add`.

        It is written beside the old one and takes its place at once. So whoever reads sees one or the other, never
        half of one; and of two that write at the same time, the last one's is kept.

        What would be too much to be read again (`LARGEST_FILE`) is not written: the least used goals are left out
        first, then the least used tools. A warning says so.

        Raises:
            ConfigurationError: It cannot be written; the old one is left as it was.
        """
        write_json(path, _document(_fitting(self, path)), what=WHAT)


_AnyPriors = TypeVar("_AnyPriors", bound=Priors)


def _document(known: Priors) -> dict[str, Any]:
    return {
        "version": "1",
        "calls": known.calls,
        "tools": _as_json(known.tools),
        "goals": {goal: _as_json(tools) for goal, tools in sorted(known.goals.items())},
    }


def _fitting(known: _AnyPriors, path: str | os.PathLike[str]) -> _AnyPriors:
    """As much as a file holds: without the least used goals, and if need be tools."""
    beyond = len(as_text(_document(known))) - LARGEST_FILE
    if beyond <= 0:
        return known
    goals, beyond = _without_the_least_used({goal: _as_json(tools) for goal, tools in known.goals.items()}, beyond)
    tools, _ = _without_the_least_used({tool: {tool: calls} for tool, calls in _as_json(known.tools).items()}, beyond)
    _LOGGER.warning(
        "%s: what was learned is more than a file holds; %d goals and %d tools, the least used, are forgotten",
        path,
        len(known.goals) - len(goals),
        len(known.tools) - len(tools),
    )
    return replace(
        known,
        tools={tool: calls for tool, calls in known.tools.items() if tool in tools},
        goals={goal: calls for goal, calls in known.goals.items() if goal in goals},
    )


def _without_the_least_used(entries: dict[Any, dict[str, Any]], beyond: int) -> tuple[set[Any], int]:
    """What is left without as many of the least used as take `beyond` bytes, and how many bytes are still too many.

    In the file an entry is indented more deeply, so that it takes no less than by itself.
    """
    left = set(entries)
    for name in sorted(
        entries, key=lambda name: (sum(c["failed"] + c["worked"] for c in entries[name].values()), name)
    ):
        if beyond <= 0:
            break
        left.remove(name)
        beyond -= len(as_text(entries[name]))
    return left, beyond


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
        raise ConfigurationError(f"{path}: what was learned cannot be written: {reason(error)}") from error
    try:
        yield
    finally:
        lock.release()
