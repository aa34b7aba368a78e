"""Where each value of a JSON document stands, so that an error can point at it as compilers do."""

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, NoReturn

from agentroute.errors import DocumentError

Path = tuple[str | int, ...]
"""Keys and indexes from the top of the document down to a value."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


@dataclass(frozen=True, slots=True)
class Located:
    """A JSON document with the places of its values.

    Attributes:
        file: Its name, for messages.
        data: The document, as plain Python data.
        places: Line and column of each value, both counted from 1.
    """

    file: str
    data: Any
    places: dict[Path, tuple[int, int]]

    def refuse(self, path: Path, why: str) -> NoReturn:
        """Raise `DocumentError` at `path`, or at the nearest value above it that stands in the document."""
        raise DocumentError(self.file, *self.place(path), why)

    def place(self, path: Path) -> tuple[int, int]:
        """Line and column of the value at `path`, or of the nearest one above it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))


def read_json(file: str, text: str) -> Located:
    """Parse a JSON document and note where its values stand. Linear in the size of the text.

    Raises:
        DocumentError: It is not JSON, is nested too deeply, or names a key twice in one object.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise DocumentError(file, error.lineno, error.colno, f"not JSON: {error.msg}") from error
    except RecursionError:
        raise DocumentError(file, 1, 1, "nested too deeply") from None
    return Located(file, data, _Scanner(file, text).places())


@dataclass(slots=True)
class _Frame:
    """An object or array that is being read: the key or index of its next value."""

    path: Path
    key: str | int | None
    seen: set[str] = field(default_factory=set[str])


class _Scanner:
    """Walks the tokens of a text that is known to be JSON."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._stack: list[_Frame] = []

    def places(self) -> dict[Path, tuple[int, int]]:
        """Line and column of every value."""
        found: dict[Path, tuple[int, int]] = {}
        for match in _TOKEN.finditer(self._text):
            symbol, frame = match[0], self._stack[-1] if self._stack else None
            if symbol in "}]":
                self._stack.pop()
            elif symbol == "," and frame is not None:
                frame.key = frame.key + 1 if isinstance(frame.key, int) else None
            elif frame is not None and frame.key is None:
                self._read_key(frame, symbol, match.start())
            elif symbol != ":":
                path = () if frame is None or frame.key is None else (*frame.path, frame.key)
                found[path] = self._place(match.start())
                if symbol in "{[":
                    self._stack.append(_Frame(path, 0 if symbol == "[" else None))
        return found

    def _read_key(self, frame: _Frame, token: str, offset: int) -> None:
        frame.key = str(json.loads(token))
        if frame.key in frame.seen:
            why = f"the key {frame.key!r} stands twice in one object"
            raise DocumentError(self._file, *self._place(offset), why)
        frame.seen.add(frame.key)

    def _place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1
