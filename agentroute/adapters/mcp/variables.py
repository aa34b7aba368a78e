"""Fills environment variables into an MCP configuration, as other clients of the format do."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn, TypeAlias, cast

from agentroute.adapters.mcp.json_positions import Path
from agentroute.adapters.redaction import looks_secret

Refuse: TypeAlias = Callable[[Path, str], NoReturn]
"""Raises, saying what is wrong at a path of the document."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_REFERENCE = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class Filler:
    """Fills in ``${NAME}``, ``${env:NAME}`` and ``${NAME:-default}``, and remembers which values are secrets.

    Args:
        variables: Looked up before the environment.
        refuse: Told of a variable that is not set or not understood.
    """

    def __init__(self, variables: Mapping[str, str], refuse: Refuse) -> None:
        self._variables = variables
        self._refuse = refuse
        self._secrets: set[str] = set()

    @property
    def secrets(self) -> frozenset[str]:
        """Values that must appear in no log."""
        return frozenset(self._secrets)

    def text(self, text: str, *path: str | int) -> str:
        """Fill in one string; `path` says where it stands."""
        return _VARIABLE.sub(lambda match: self._value(match[1], path), text)

    def each(self, texts: Iterable[str], key: str) -> tuple[str, ...]:
        """Fill in a list of strings."""
        return tuple(self.text(text, key, index) for index, text in enumerate(texts))

    def named(self, texts: Mapping[str, str], key: str) -> dict[str, str]:
        """Fill in environment variables or headers; those with a secret-looking name hold secrets."""
        filled = {name: self.text(text, key, name) for name, text in texts.items()}
        for name, value in filled.items():
            if looks_secret(name):
                self._secrets.update((value, value.split()[-1]) if value.split() else ())  # "Bearer" is none
        return filled

    def _value(self, reference: str, path: Path) -> str:
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            why = f"${{{reference}}} is not understood; write ${{NAME}} or ${{NAME:-default}}"
            self._refuse(path, f"{why} for an environment variable")
        name, default = str(match[1]), cast("str | None", match[2])
        value = self._variables.get(name, os.environ.get(name, default))
        if value is None:
            why = f"the environment variable {name} is not set"
            self._refuse(path, f"{why}; set it, or write ${{{name}:-default}}")
        if looks_secret(name) and value != default:
            self._secrets.add(value)
        return value
