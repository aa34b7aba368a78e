"""Variables of scenario files: ``${NAME}`` in any text, with defaults in the file and values from the command line."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from agentroute.errors import InputError
from agentroute.graph.yaml_model import suggestion
from agentroute.graph.yaml_positions import LIMITS, Flaw, Loc, Positions, brief
from agentroute.graph.yaml_scalars import plain

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,63})\}")


def parse_variable(text: str) -> tuple[str, Any]:
    """Read ``NAME=VALUE``; the value is what it would be in the file: a number, true, or text.

    Raises:
        InputError: It has no ``=`` or no name.
    """
    name, equals, value = text.partition("=")
    if not equals or not _PLACEHOLDER.fullmatch(f"${{{name}}}"):
        raise InputError(f"--var {text!r} must be NAME=VALUE, such as --var order=1042")
    try:
        return name, plain(value)
    except ValueError:  # words that YAML's versions read differently are text here
        return name, value


def fill(data: Any, positions: Positions, given: Mapping[str, Any]) -> Any:
    """Put variables into the texts of a file's data. A text that is nothing but one variable becomes its value.

    Args:
        data: As `load_yaml` gives it; a mapping may hold defaults under ``variables``.
        positions: Where its parts stand.
        given: Values in place of the defaults.

    Raises:
        DocumentError: A variable is used and not known.
    """
    if not isinstance(data, dict):
        return data
    document = cast("dict[str, Any]", data)
    defaults: object = document.get("variables")
    known = {**(cast("dict[str, Any]", defaults) if isinstance(defaults, dict) else {}), **given}
    filler = _Filler(known, positions)
    filled = {key: value if key == "variables" else filler.walk(value, (key,)) for key, value in document.items()}
    if filler.flaws:
        raise positions.refuse(filler.flaws)
    return filled


def refuse_unused(given: Iterable[str], texts: Iterable[str]) -> None:
    """Refuse a variable that is given and used by none of the files; a misspelt name would change nothing, in silence.

    Args:
        given: Names of the variables.
        texts: What the files hold.

    Raises:
        InputError: One is not used.
    """
    used = {name for text in texts for name in _PLACEHOLDER.findall(text)}
    for name in sorted(set(given) - used):
        raise InputError(f"--var {name}: no scenario here has ${{{name}}}{suggestion(name, sorted(used))}")


class _Filler:
    """Walks through a file's data; as deep as the reader lets files be."""

    def __init__(self, known: Mapping[str, Any], positions: Positions) -> None:
        self.flaws: list[Flaw] = []
        self._known = known
        self._positions = positions

    def walk(self, value: Any, loc: Loc) -> Any:
        if isinstance(value, str):
            return self._text(value, loc)
        if isinstance(value, dict):
            entries = cast("dict[str, Any]", value)
            return {key: self.walk(inside, (*loc, key)) for key, inside in entries.items()}
        if isinstance(value, list):
            return [self.walk(inside, (*loc, index)) for index, inside in enumerate(cast("list[Any]", value))]
        return value

    def _text(self, value: str, loc: Loc) -> Any:
        names = _PLACEHOLDER.findall(value)
        for name in names:
            if name not in self._known:
                hint = suggestion(name, list(self._known)) or "; give it with --var, or a default under variables:"
                self._flaw(loc, f"no variable {brief(name)}{hint}")
                return value
        if len(names) == 1 and value == f"${{{names[0]}}}":
            return self._known[names[0]]
        filled = _PLACEHOLDER.sub(lambda found: str(self._known[found[1]]), value)
        if len(filled) > LIMITS.text:
            self._flaw(loc, "is too long with its variables put in")
            return value
        return filled

    def _flaw(self, loc: Loc, why: str) -> None:
        self.flaws.append(Flaw(self._positions.value(loc), loc, why))
