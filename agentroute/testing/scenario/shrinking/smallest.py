"""Makes a scenario that does not hold as small as it can be and still not hold, by playing smaller ones."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from agentroute.adapters.files import read_text
from agentroute.errors import AgentrouteError, InputError
from agentroute.graph.yaml_source import load_yaml
from agentroute.testing.scenario.document import ScenarioDocument
from agentroute.testing.scenario.record import ScenarioRecord
from agentroute.testing.scenario.shrinking.shrink import shrink
from agentroute.testing.scenario.theatre import Theatre
from agentroute.testing.scenario.writing import to_yaml

_RUN = re.compile(r"^run-\d+\S*: ")
"""Which of several runs a deviation is about."""


_SEEN_FROM_FILE = ("agent", "testbed", "truth")
"""What a scenario names by a path that is seen from its own folder."""


def smallest(file: str, theatre: Theatre, steps: int, *, folder: Path, told: Callable[[str], object]) -> str:
    """Shrink a scenario file; returns the text of the smaller one.

    What still counts as "does not hold" is the same verdict, and the same invariant or expectation in first place: a
    scenario that fails for another reason is another scenario.

    Args:
        file: The scenario.
        theatre: Plays.
        steps: Scenarios to try at the most.
        folder: Where the smaller one is going to lie: the files that it names are named from there.
        told: Told, in a sentence, how it goes.

    Raises:
        DocumentError: It is refused.
        InputError: It holds as it is.
    """
    data = cast("dict[str, Any]", load_yaml(read_text(file), file=file)[0])
    first = theatre.run(file)
    if first.verdict != "deviated":
        raise InputError(f"{file}: {first.verdict.replace('_', ' ')}, so there is nothing to shrink. {first.reason}")
    wrong = _signature(first)
    told(f"does not hold: {first.reason}")

    def fails(candidate: dict[str, Any]) -> bool:
        try:
            record = theatre.judged(ScenarioDocument.model_validate(candidate), file)
        except (AgentrouteError, ValueError):
            return False
        return record.verdict == "deviated" and _signature(record) == wrong

    small = shrink(data, fails, steps=steps)
    told(f"{_size(data)} made {_size(small)}")
    small = _seen_from(folder, small, Path(file).parent)
    return to_yaml(small, comment=f"Made smaller from {file.rsplit('/', 1)[-1]}, which did not hold: {first.reason}")


def _seen_from(folder: Path, data: dict[str, Any], before: Path) -> dict[str, Any]:
    """The same scenario for another folder. Names of modules are the same from everywhere."""
    moved = dict(data)
    for key in _SEEN_FROM_FILE:
        place, colon, name = str(data.get(key)).partition(".py:")
        path = before / (f"{place}.py" if colon else place)
        if isinstance(data.get(key), str) and path.is_file() and not Path(place).is_absolute():
            moved[key] = Path(os.path.relpath(path, folder)).as_posix() + (f":{name}" if colon else "")
    return moved


def _signature(record: ScenarioRecord) -> str:
    """What is wrong with it, without the particulars: ``[4]``, ``outcome``, ``effects.book``."""
    for trial in record.trials:
        for line in (*trial.violations, *(_RUN.sub("", deviation) for deviation in trial.deviations)):
            return line[: line.index("]") + 1] if line.startswith("[") else line.partition(":")[0]
    return record.verdict


def _size(data: dict[str, Any]) -> str:
    agent = data.get("agent")
    tools = len(cast("dict[str, Any]", agent).get("tools", ())) if isinstance(agent, dict) else 0
    return f"{len(data.get('method', ()))} faults and {tools} tools"
