"""Files that people write: read whole, and only if they are ordinary, small and text."""

import os
import stat
from pathlib import Path

from agentroute.errors import DocumentError
from agentroute.graph.document import GraphDocument, parse_graph
from agentroute.graph.yaml_positions import LIMITS, Limits, Place

_NEVER_WAIT = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_OTHER_ENCODINGS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x00\x00": "UTF-32",
}


def read_graph(path: str | os.PathLike[str], *, limits: Limits = LIMITS) -> GraphDocument:
    """Read a graph file. It may name tools and MCP servers; none is imported, started or called.

    Args:
        path: YAML or JSON, in UTF-8.
        limits: How much the file may hold.

    Raises:
        DocumentError: It cannot be read or is refused; one line ``file:line:column: why`` for each problem.
    """
    return parse_graph(read_text(path, largest=limits.size), str(path), limits=limits)


def read_text(path: str | os.PathLike[str], *, largest: int = LIMITS.size) -> str:
    """Text of an ordinary file of at most `largest` bytes.

    Never waits: a pipe or a device is refused instead of opened, and reading ends at the limit.

    Raises:
        DocumentError: No such file, no permission, not an ordinary file, too large, or not UTF-8 (with the
            place of the first byte that is wrong).
    """
    file = str(path)
    try:
        data = _read(Path(path), file, largest)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or str(error)
        raise DocumentError(file, 1, 1, f"cannot be read: {why}") from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        why = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        if (other := _OTHER_ENCODINGS.get(data[:2])) is not None:
            why = f"the file looks like {other}; save it as UTF-8"
        raise DocumentError(file, *_place(data, error.start), why) from None


def _read(path: Path, file: str, largest: int) -> bytes:
    _check(path.stat(), file, largest)  # before opening: that alone can block, or rewind a tape
    descriptor = os.open(path, _NEVER_WAIT)
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - a descriptor, not a path
        _check(os.fstat(descriptor), file, largest)  # again, as another file may have taken the name
        data = stream.read(largest + 1)
    if len(data) > largest:  # files that are made up while they are read (/proc) say they are empty
        raise _too_large(file, largest)
    return data


def _check(status: os.stat_result, file: str, largest: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise DocumentError(file, 1, 1, "is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise DocumentError(file, 1, 1, "is not an ordinary file")
    if status.st_size > largest:
        raise _too_large(file, largest)


def _too_large(file: str, largest: int) -> DocumentError:
    return DocumentError(file, 1, 1, f"the file is larger than {largest:,} bytes")


def _place(data: bytes, index: int) -> Place:
    """Line and column of the first byte that is wrong; those before it can be read."""
    start = data.rfind(b"\n", 0, index) + 1
    return data.count(b"\n", 0, index) + 1, len(data[start:index].decode()) + 1
