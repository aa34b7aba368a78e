"""JSON files that the program itself keeps: checked when they are read, replaced whole when they are written."""

import json
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from agentroute.errors import ConfigurationError, DefinitionError, DocumentError

MOST_PROBLEMS = 5
"""Problems of a file that are told at once."""


def read_json(path: str | os.PathLike[str], *, largest: int) -> Any:
    """Read a file of at most `largest` bytes.

    Raises:
        DefinitionError: It cannot be read, or is no JSON; a `DocumentError` where the place is known.
    """
    from agentroute.adapters.files import read_text  # brings YAML, which agents without files do not need

    file = str(path)
    text = read_text(path, largest=largest)
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        raise DocumentError(file, error.lineno, error.colno, f"is not JSON: {error.msg}") from None
    except RecursionError:
        raise DefinitionError(file, "is nested too deeply") from None
    except ValueError as error:
        raise DefinitionError(file, str(error)) from None


def parse_json(text: str) -> Any:
    """Read JSON, and nothing that JSON does not have.

    Raises:
        ValueError: NaN, numbers of thousands of digits, a name that is there twice; a `JSONDecodeError` otherwise.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_constant=_no_number, object_pairs_hook=_each_once)


def told(error: ValidationError) -> str:
    """What is wrong, and where: ``tools.search.failed: Input should be ...``."""
    problems = [f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors()]
    more = len(problems) - MOST_PROBLEMS
    return "; ".join([*problems[:MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])])


def write_json(path: str | os.PathLike[str], document: Any, *, what: str, indent: int | None = 1) -> None:
    """Write a file, readable by its owner only.

    It is written beside the old one and takes its place at once. So whoever reads sees one or the other, never half
    of one; and of two that write at the same time, the last one's is kept.

    Args:
        path: A symbolic link stays one, and the file behind it is replaced.
        document: What JSON can hold.
        what: What it is, for the message.
        indent: Spaces to indent by; None: one line.

    Raises:
        ConfigurationError: It cannot be written; the old one is left as it was.
    """
    text = as_text(document, indent=indent)
    try:
        _replace(Path(os.path.realpath(path)), text.encode())
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ConfigurationError(f"{path}: {what} cannot be written: {reason(error)}") from error


def as_text(document: Any, *, indent: int | None = 1) -> str:
    """What `write_json` writes: ASCII, so that it has as many bytes as characters."""
    return json.dumps(document, indent=indent, allow_nan=False) + "\n"


def reason(error: OSError | ValueError) -> str:
    """Why a file cannot be had, without its name."""
    return getattr(error, "strerror", None) or str(error)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is there twice")
        found[name] = value
    return found


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
