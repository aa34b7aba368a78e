"""The moves of the shrinker: ways to make a scenario a little smaller. Pure; none changes what it is given."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from agentroute.graph.yaml_source import load_yaml
from agentroute.testing.scenario.values import span
from agentroute.testing.scenario.variables import fill
from agentroute.testing.scenario.writing import to_yaml

Data: TypeAlias = dict[str, Any]

Path: TypeAlias = tuple[str | int, ...]

KEPT = frozenset(
    {
        "version",
        "title",
        "name",
        "type",
        "target",
        "provider",
        "level",
        "effect",
        "steady-state-hypothesis",
        "expect",
        "testbed",
    }
)
"""Keys that are never left out, nor anything below them: without them it is another scenario, or asks for less, or a
fault hits others than it was meant for."""

UNTOUCHED = frozenset({"version", "seed", "status", "steady-state-hypothesis", "expect", "inputs", "set"})
"""Keys below which no number is made rounder: it is a name more than an amount."""

TOUCHED_BY_NAME = ("effects", "calls")
"""Expectations about single tools; those about tools that are gone go, too."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A list of a scenario whose parts can be left out.

    Attributes:
        items: The list; empty if there is none.
        without: A scenario without the parts at these places, nor what makes no sense without them.
    """

    items: Callable[[Data], Sequence[Any]]
    without: Callable[[Data, Sequence[int]], Data]

    def count(self, data: Data) -> int:
        """How many parts there are."""
        return len(self.items(data))


def with_variables_put_in(data: Data) -> Data:
    """A copy of a scenario that has no variables any more, with what they stand for in their place."""
    if not data.get("variables"):
        return copy.deepcopy(data)
    plain, positions = load_yaml(to_yaml(data), file="scenario")
    return {key: value for key, value in fill(plain, positions, {}).items() if key != "variables"}


def simpler(data: Data) -> Iterator[Data]:
    """Every scenario that is one move away: without one part, without one key, or with one value made plainer."""
    for removal in LISTS:
        yield from (removal.without(data, [place]) for place in reversed(range(removal.count(data))))
    paths = list(_paths(data, ()))
    yield from (_without(data, path) for path in paths if _may_go(path))
    for path in paths:
        yield from (_with(data, path, value) for value in _plainer(path, _at(data, path)))


# -------------------------------------------------------------------- lists


def _method(data: Data) -> list[Any]:
    return cast("list[Any]", data.get("method", []))


def _agent(data: Data) -> Data:
    """The graph, if it is written out in the scenario."""
    agent = data.get("agent")
    return cast("Data", agent) if isinstance(agent, dict) else {}


def _tools(data: Data) -> list[Data]:
    return _agent(data).get("tools", [])


def _goals(data: Data) -> list[Data]:
    return _agent(data).get("goals", [])


def _without_faults(data: Data, places: Sequence[int]) -> Data:
    return {**data, "method": _rest(_method(data), places)}


def _without_goals(data: Data, places: Sequence[int]) -> Data:
    return {**data, "agent": {**_agent(data), "goals": _rest(_goals(data), places)}}


def _without_tools(data: Data, places: Sequence[int]) -> Data:
    """Those who look after them, and after nobody else, go with them; so does what is said of them elsewhere."""
    tools = _tools(data)
    gone = {tools[place]["name"] for place in places}
    left = [tool for tool in tools if tool["name"] not in gone]
    gone |= _remedies(tools) - _remedies(left)
    kept = [_without_references(tool, gone) for tool in left if tool["name"] not in gone]
    found = {**data, "agent": {**_agent(data), "tools": kept}}
    if isinstance(data.get("simulate"), dict):
        found["simulate"] = {name: entry for name, entry in data["simulate"].items() if name not in gone}
    if isinstance(data.get("expect"), dict):
        found["expect"] = {
            key: {name: bound for name, bound in value.items() if name not in gone} if key in TOUCHED_BY_NAME else value
            for key, value in data["expect"].items()
        }
    return found


def _remedies(tools: Sequence[Data]) -> set[str]:
    return {tool[key] for tool in tools for key in ("verify", "compensate") if key in tool}


def _without_references(tool: Data, gone: set[str]) -> Data:
    return {key: value for key, value in tool.items() if key not in ("verify", "compensate") or value not in gone}


def _rest(items: Sequence[Any], places: Sequence[int]) -> list[Any]:
    return [item for place, item in enumerate(items) if place not in places]


LISTS: tuple[Removal, ...] = (
    Removal(_method, _without_faults),
    Removal(_tools, _without_tools),
    Removal(_goals, _without_goals),
)
"""What is thinned out in large bites: faults, tools, goals."""


# -------------------------------------------------------------------- keys and values


def _paths(value: Any, path: Path) -> Iterator[Path]:
    """Where everything stands, the outer before the inner."""
    if isinstance(value, dict):
        for key, inside in cast("Data", value).items():
            yield (*path, key)
            yield from _paths(inside, (*path, key))
    elif isinstance(value, list):
        for place, inside in enumerate(cast("list[Any]", value)):
            yield (*path, place)
            yield from _paths(inside, (*path, place))


def _may_go(path: Path) -> bool:
    """Whether a part can be left out alone; those of the large lists have their own way."""
    listed = isinstance(path[-1], int) and path[-2] in ("method", "tools", "goals")
    of_a_tool = path[-3:-2] == ("tools",) and path[-1] == "provider"
    kept = KEPT.intersection(part for part in path if isinstance(part, str))
    return not listed and (of_a_tool or not kept)


def _plainer(path: Path, value: Any) -> Iterator[Any]:
    """Values to try in place of one: toxicity 1, fewer runs, rounder numbers, times without their unit first."""
    if UNTOUCHED.intersection(part for part in path if isinstance(part, str)):
        return
    number = _number(value)
    if number is None:
        yield from _fewer_calls(path, value)
        return
    if path[-1] == "toxicity":
        yield from (1,) if number != 1 else ()
        return
    yield from (plainer for plainer in _rounder(number) if plainer != value)


def _rounder(number: float) -> Iterator[float]:
    """Rounder numbers, the roundest first; of small whole ones those below, as they count something."""
    less = [number - 1] if number == int(number) and 1 < number <= 20 else []
    half = math.floor(number / 2)
    for rounder in dict.fromkeys((0, 1, half, *less, math.floor(number), math.ceil(number), round(number, 1))):
        yield int(rounder) if rounder == int(rounder) else rounder


def _number(value: Any) -> float | None:
    """A number, or the seconds of a time; None if it is neither."""
    if isinstance(value, bool):
        return None
    try:
        seconds = span(value)
    except ValueError:
        return None
    return seconds if isinstance(seconds, (int, float)) else None


def _fewer_calls(path: Path, value: Any) -> Iterator[Any]:
    """``2-3`` may do with ``2``."""
    if path[-1] == "attempts" and isinstance(value, str):
        first = value.partition("-")[0].strip()
        yield from (1, int(first)) if first.isdecimal() else ()


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def _without(data: Data, path: Path) -> Data:
    found = copy.deepcopy(data)
    del _at(found, path[:-1])[path[-1]]
    return found


def _with(data: Data, path: Path, value: Any) -> Data:
    found = copy.deepcopy(data)
    _at(found, path[:-1])[path[-1]] = value
    return found
