"""BFCL's executable APIs and the gold calls of its 200 multi-turn tasks, as the package ``bfcl-eval`` brings them.

The APIs are written by others: a file system, a ticket system, a messenger, a trading desk and so on, all in memory,
with state. What a method does to that state nobody here declares: `measure` replays the gold calls and looks.
"""

import ast
import copy
import importlib
import importlib.util
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

HOW_TO_GET_IT = "BFCL is not installed; to run this: pip install --no-deps bfcl-eval"

BACKEND = "bfcl_eval.constants.executable_backend_config"
TASKS = "data/BFCL_v4_multi_turn_base.json"
ANSWERS = "data/possible_answer/BFCL_v4_multi_turn_base.json"

NO_STATE = frozenset({"_api_description", "_last_modified"})
"""Attributes that say nothing of what was done: a text about the API, and by the real clock when a file changed."""


def installed() -> bool:
    """Whether the package is there."""
    return importlib.util.find_spec("bfcl_eval") is not None


@dataclass(frozen=True, slots=True)
class GoldCall:
    """One call of a task's gold answer. All arguments are literals.

    Attributes:
        number: Counts the calls of a task from 0.
        turn: The user's turn it belongs to, from 0.
        api: Name of the API's class.
        method: The method.
        positional: Arguments by position.
        named: Arguments by name.
    """

    number: int
    turn: int
    api: str
    method: str
    positional: tuple[Any, ...]
    named: Mapping[str, Any]

    def make(self, apis: Mapping[str, Any]) -> Any:
        """Make the call on the real object; arguments are copied, because some APIs keep and change them."""
        method = getattr(apis[self.api], self.method)
        return method(*copy.deepcopy(self.positional), **copy.deepcopy(dict(self.named)))


@dataclass(frozen=True, slots=True)
class Task:
    """One multi-turn task.

    Attributes:
        name: Its id.
        calls: The gold calls, over all turns in order, of those APIs that can be loaded.
        left_out: Calls that are missing in `calls`, as text.
        config: Initial state by API.
    """

    name: str
    calls: tuple[GoldCall, ...]
    left_out: tuple[str, ...]
    config: Mapping[str, Any]

    def open(self) -> dict[str, Any]:
        """Make the API objects that the calls need, in their initial state."""
        return {name: _loaded(name, self.config.get(name, {})) for name in sorted({call.api for call in self.calls})}


@dataclass(frozen=True, slots=True)
class Suite:
    """All tasks.

    Attributes:
        tasks: In the package's order.
        missing: APIs that cannot be imported, with the module they lack.
        effects: Methods of which some gold call changes the state of its object; all others only read.
    """

    tasks: tuple[Task, ...]
    missing: Mapping[str, str]
    effects: frozenset[tuple[str, str]]

    @property
    def calls(self) -> int:
        """Gold calls in all."""
        return sum(len(task.calls) for task in self.tasks)

    @property
    def left_out(self) -> int:
        """Gold calls of APIs that cannot be imported."""
        return sum(len(task.left_out) for task in self.tasks)


@dataclass(frozen=True, slots=True)
class Replay:
    """The calls made one after the other, without agentroute and without faults.

    Attributes:
        answers: What each call returned.
        states: State of all API objects before the first call, and after each.
    """

    answers: Sequence[Any] = field(default_factory=list[Any])
    states: Sequence[Any] = field(default_factory=list[Any])


def replay(task: Task, calls: Iterable[GoldCall] | None = None) -> Replay:
    """Make `calls` (all of the task's, by default) on fresh objects."""
    apis = task.open()
    answers: list[Any] = []
    states = [state_of(apis)]
    for call in task.calls if calls is None else calls:
        answers.append(copy.deepcopy(call.make(apis)))
        states.append(state_of(apis))
    return Replay(answers, states)


@cache
def load() -> Suite:
    """Read the tasks and find out which APIs can be imported and what their methods do."""
    package = Path(next(iter(_spec_locations())))
    classes, missing = _classes()
    gold = {entry["id"]: entry["ground_truth"] for entry in _lines(package / ANSWERS)}
    tasks = tuple(_task(entry, gold[entry["id"]], classes) for entry in _lines(package / TASKS))
    return Suite(tasks, missing, measure(tasks))


def measure(tasks: Iterable[Task]) -> frozenset[tuple[str, str]]:
    """Methods that change something, by what their gold calls did: ``(api, method)``."""
    found: set[tuple[str, str]] = set()
    for task in tasks:
        states = replay(task).states
        for call, before, after in zip(task.calls, states, states[1:], strict=False):
            if before != after:
                found.add((call.api, call.method))
    return frozenset(found)


# -------------------------------------------------------------------- reading the package


def _spec_locations() -> Sequence[str]:
    spec = importlib.util.find_spec("bfcl_eval")
    return () if spec is None else spec.submodule_search_locations or ()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


@cache
def _classes() -> tuple[Mapping[str, type], Mapping[str, str]]:
    """The APIs' classes, and for those that cannot be imported the module that they lack."""
    modules = cast("Mapping[str, str]", importlib.import_module(BACKEND).CLASS_FILE_PATH_MAPPING)
    package = Path(next(iter(_spec_locations())))
    wanted = {name for entry in _lines(package / TASKS) for name in entry["involved_classes"]}
    classes: dict[str, type] = {}
    missing: dict[str, str] = {}
    for name in sorted(wanted):
        try:
            classes[name] = getattr(importlib.import_module(modules[name]), name)
        except ModuleNotFoundError as error:
            missing[name] = error.name or str(error)
    return classes, missing


def _loaded(name: str, config: Mapping[str, Any]) -> Any:
    api = _classes()[0][name]()
    if hasattr(api, "_load_scenario"):  # one of the APIs has no state to load
        api._load_scenario(copy.deepcopy(config))
    return api


def _task(entry: Mapping[str, Any], turns: Sequence[Sequence[str]], classes: Mapping[str, type]) -> Task:
    calls: list[GoldCall] = []
    left_out: list[str] = []
    for turn, texts in enumerate(turns):
        for text in texts:
            call = _gold_call(
                len(calls), turn, text, {n: classes[n] for n in entry["involved_classes"] if n in classes}
            )
            if call is None:
                left_out.append(text)
            else:
                calls.append(call)
    return Task(entry["id"], tuple(calls), tuple(left_out), entry["initial_config"])


def _gold_call(number: int, turn: int, text: str, classes: Mapping[str, type]) -> GoldCall | None:
    """Read a call such as ``cd(folder='temp')`` without evaluating it; None if no API at hand has such a method.

    Raises:
        TypeError: It is no call of a function by name.
        ValueError: An argument is no literal.
    """
    parsed = ast.parse(text, mode="eval").body
    if not isinstance(parsed, ast.Call) or not isinstance(parsed.func, ast.Name):
        raise TypeError(f"{text!r} is no plain call")
    owners = [name for name, kind in classes.items() if hasattr(kind, parsed.func.id)]
    if not owners:
        return None
    positional = tuple(ast.literal_eval(argument) for argument in parsed.args)
    named = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in parsed.keywords}
    return GoldCall(number, turn, owners[-1], parsed.func.id, positional, named)


# -------------------------------------------------------------------- the state of an object


def state_of(value: Any, above: tuple[int, ...] = ()) -> Any:
    """A value's state as plain data that can be compared: attributes of objects, their random numbers to come included.

    What contains itself (a directory knows its parent) is cut off where it comes round again.
    """
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    if id(value) in above:
        return "..."
    inside = (*above, id(value))
    match value:
        case dict():
            entries = cast("dict[Any, Any]", value)
            return {str(state_of(name, inside)): state_of(part, inside) for name, part in entries.items()}
        case list() | tuple():
            return [state_of(part, inside) for part in cast("Sequence[Any]", value)]
        case set() | frozenset():
            return sorted(repr(state_of(part, inside)) for part in cast("Iterable[Any]", value))
        case random.Random():
            return repr(value.getstate())
        case _ if hasattr(value, "__dict__"):
            attributes = cast("dict[str, Any]", vars(value))
            return {name: state_of(part, inside) for name, part in attributes.items() if name not in NO_STATE}
        case _:
            return repr(value)
