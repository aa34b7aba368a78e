"""Finds the servers that were started here, among the processes of this machine."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def child_running(module: str) -> int | None:
    """Return the process id of our own child that runs ``python -m module``."""
    for pid, parent, command in _processes():
        if parent == os.getpid() and f"-m {module}" in command:
            return pid
    return None


def _processes() -> Iterator[tuple[int, int, str]]:
    """Yield the id, the parent's id and the command line of every process."""
    if not (PROC / "self/stat").exists():
        yield from _listed_by_ps()
        return
    for folder in PROC.glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        yield int(folder.name), int(parent), command


def _listed_by_ps() -> Iterator[tuple[int, int, str]]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        pid, parent, command = line.split(maxsplit=2)
        yield int(pid), int(parent), command
