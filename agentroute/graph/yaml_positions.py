"""Where the parts of a file stand, and errors that say so: ``file:line:column: why``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from agentroute.errors import DocumentError, Problem

Place: TypeAlias = tuple[int, int]
"""Line and column, both counted from 1."""

Loc: TypeAlias = tuple[str | int, ...]
"""Way from the root of the data to a value: keys and indices."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a file may hold.

    Attributes:
        size: Bytes of the file, as UTF-8.
        depth: Mappings and lists within each other.
        values: Values of all kinds, keys not counted.
        text: Characters of one text or key.
        problems: How many problems are told.
    """

    size: int = 1 << 20
    depth: int = 32
    values: int = 250_000
    text: int = 65_536
    problems: int = 20


LIMITS = Limits()

ENOUGH = 1_000
"""Flaws after which no more are looked for: far more than are told, so that those are the file's first."""


class Flaw(NamedTuple):
    """Something wrong at a place, before it is put into words.

    Attributes:
        place: Where to look.
        loc: What it belongs to.
        why: The sentence, or a function that finds it: some take time, and not all are told.
    """

    place: Place
    loc: Loc
    why: str | Callable[[], str]


@dataclass(slots=True)
class Spot:
    """Where a value begins, and where its parts do."""

    place: Place
    keys: dict[str, Place] | None = None
    parts: dict[str | int, "Spot"] | None = None


@dataclass(frozen=True, slots=True)
class Positions:
    """Where each key and value of a file stands.

    Attributes:
        file: Name of the file, for messages.
        data: What was read.
        root: Where it stands.
        limits: Those it was read with; they also say how many problems are told.
    """

    file: str
    data: Any
    root: Spot
    limits: Limits = LIMITS

    def value(self, loc: Loc) -> Place:
        """Place of the value at `loc`, or of the nearest one around it that is there."""
        return self._spots(loc)[-1].place

    def key(self, loc: Loc) -> Place:
        """Place of the key of the value at `loc`; where it has none, of the value."""
        spots = self._spots(loc)
        keys = spots[-2].keys if len(spots) > 1 else None
        found = [keys[part] for part in loc if isinstance(part, str) and part in keys] if keys else []
        return found[-1] if found else spots[-1].place

    def _spots(self, loc: Loc) -> Sequence[Spot]:
        """Spots along `loc`; a part that leads nowhere (the name of a branch of a union) is passed over."""
        spots = [self.root]
        for part in loc:
            below = (spots[-1].parts or {}).get(part)
            if below is not None:
                spots.append(below)
        return spots

    def describe(self, loc: Loc) -> str:
        """`loc` for people, ending in a colon: the innermost thing with a name, and the way from there."""
        subject, rest, at = "", list[str | int](), self.data
        for part in loc:
            if (below := _part(at, part)) is _NOWHERE:
                continue
            at = below
            rest.append(part)
            if len(rest) > 1 and isinstance(part, int) and isinstance(name := _part(at, "name"), str):
                subject, rest = f"{str(rest[-2]).removesuffix('s')} {brief(name)}: ", []
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{unquoted(part)}" for part in rest)
        path = path.removeprefix(".") if len(path) <= 120 else f"...{path[-117:]}"
        return subject + (f"{path}: " if path else "")

    def refuse(self, flaws: Sequence[Flaw]) -> DocumentError:
        """Make the error that tells of all `flaws`, in order of place."""
        ordered = sorted(flaws, key=lambda flaw: flaw.place)
        told = ordered[: self.limits.problems]
        problems = [Problem(self.file, *flaw.place, self._sentence(flaw)) for flaw in told]
        if len(ordered) > len(told):
            problems.append(Problem(self.file, *ordered[len(told)].place, "... and more from here on"))
        first = problems[0]
        return DocumentError(self.file, first.line, first.column, first.why, more=problems[1:])

    def _sentence(self, flaw: Flaw) -> str:
        return self.describe(flaw.loc) + (flaw.why if isinstance(flaw.why, str) else flaw.why())


def brief(value: object) -> str:
    """`value` quoted for a message, cut to what one line can take."""
    return f"'{unquoted(value)}'" if isinstance(value, str) else repr(value)[:40]


def unquoted(text: str) -> str:
    """`text` in a message where quotes would be in the way: printable, and cut."""
    shown = repr(text[:41])[1:-1]
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


_NOWHERE = object()


def _part(data: Any, part: str | int) -> Any:
    """`data[part]`, or `_NOWHERE`: a branch of a union has a name in a `Loc`, but not in the data."""
    try:
        return data[part] if isinstance(data, (dict, list)) else _NOWHERE  # pyright: ignore[reportUnknownVariableType, reportArgumentType, reportCallIssue]
    except (LookupError, TypeError):
        return _NOWHERE
