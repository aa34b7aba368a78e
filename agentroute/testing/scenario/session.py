"""Plays many scenarios: those on real servers one after the other here, the others in processes beside."""

import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentroute.errors import InputError
from agentroute.ports import Clock
from agentroute.testing.scenario.lines import RECORD
from agentroute.testing.scenario.record import OURS, ScenarioRecord, Session
from agentroute.testing.scenario.theatre import Settings, Theatre
from agentroute.testing.scenario.worker import SETTINGS

ENDINGS = (".yaml", ".yml", ".json")

NO_SCENARIOS = ("agents", "graphs", "node_modules", "__pycache__")
"""Names of folders that hold what scenarios are about, and no scenarios."""

_TESTBED = re.compile(rb"^\s*[\"']?testbed[\"']?\s*:", re.MULTILINE)


def scenario_files(paths: Iterable[str]) -> list[str]:
    """List the scenario files that paths name: files themselves, and of folders the files in them, in order of name.

    Folders within a folder are looked into; hidden ones, links, and those of `NO_SCENARIOS` are not.

    Raises:
        InputError: There is no such file, or a folder has no scenario in it.
    """
    found: list[str] = []
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112  # what does not exist is told by whoever reads it
            found.append(path)
            continue
        inside = sorted(_files_below(Path(path)))
        if not inside:
            raise InputError(f"{path}: no scenario files ({', '.join(ENDINGS)}) in this folder")
        found += inside
    return list({os.path.realpath(path): path for path in reversed(found)}.values())[::-1]


def _files_below(folder: Path) -> Iterable[str]:
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not entry.is_symlink() and entry.name not in NO_SCENARIOS:  # a link could lead round in circles
                yield from _files_below(entry)
        elif entry.suffix in ENDINGS and entry.is_file():
            yield str(entry)


@dataclass(slots=True)
class Rehearsal:
    """Plays scenarios and collects their records, in the order in which they were given.

    Attributes:
        settings: How.
        clock: Times it.
        jobs: Processes beside this one.
        started: Told the title (or file) of each that begins.
        finished: Told the record of each that ends.
    """

    settings: Settings
    clock: Clock
    jobs: int = 1
    started: Callable[[str], None] = lambda _: None
    finished: Callable[[ScenarioRecord], None] = lambda _: None
    _records: dict[str, ScenarioRecord] = field(default_factory=dict[str, ScenarioRecord])
    _told: threading.Lock = field(default_factory=threading.Lock)

    def run(self, files: Sequence[str]) -> tuple[Session, bool]:
        """Play all of them.

        Returns:
            The session, and whether it was interrupted (Ctrl-C): then it has what was played by then.
        """
        began, wall = self.clock.now(), self.clock.wall()
        interrupted = False
        try:
            self._play(files)
        except KeyboardInterrupt:
            interrupted = True
        session = Session(
            scenarios=[self._records[file] for file in files if file in self._records],
            systems=(OURS, *self.settings.compare),
            seed=self.settings.seed,
            repeat=self.settings.repeat,
            started=wall,
            took_s=self.clock.now() - began,
        )
        return session, interrupted

    def _play(self, files: Sequence[str]) -> None:
        here = [file for file in files if _needs_servers(file)]
        beside = [file for file in files if not _needs_servers(file)]
        workers = _Workers(beside, self) if beside else None
        try:
            with Theatre(self.settings, self.clock) as theatre:
                for file in here:
                    self.started(file)
                    self.take(file, theatre.run(file))
            if workers is not None:
                workers.join()
        finally:
            if workers is not None:
                workers.close()

    def take(self, file: str, record: ScenarioRecord) -> None:
        """Keep a record and tell of it; called from several threads."""
        with self._told:
            self._records[file] = record
            self.finished(record)


def _needs_servers(file: str) -> bool:
    """Whether a scenario has a testbed; only a hint to where it is played."""
    try:
        return _TESTBED.search(Path(file).read_bytes()[:1_000_000]) is not None
    except OSError:
        return False


class _Workers:
    """Processes that take files from one queue, each looked after by a thread."""

    def __init__(self, files: Sequence[str], rehearsal: Rehearsal) -> None:
        self._files: queue.SimpleQueue[str] = queue.SimpleQueue()
        for file in files:
            self._files.put(file)
        self._rehearsal = rehearsal
        self._closing = False
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        jobs = min(rehearsal.jobs, len(files))
        self._threads = [threading.Thread(target=self._serve, args=(n,), daemon=True) for n in range(jobs)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until every file has its record; Ctrl-C gets through."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.2)

    def close(self) -> None:
        """End the processes, finished or not."""
        self._closing = True
        for process in list(self._processes.values()):
            process.kill()
        for thread in self._threads:
            thread.join()

    def _serve(self, number: int) -> None:
        while not self._closing:
            try:
                file = self._files.get_nowait()
            except queue.Empty:
                break
            self._rehearsal.started(file)
            try:
                record = self._ask(number, file)
            except Exception as error:  # noqa: BLE001  # no file may vanish with its thread
                why = f"no answer that could be read: {type(error).__name__}: {error}"
                record = ScenarioRecord(title=file, file=file, verdict="invalid", reason=why)
            if not self._closing:
                self._rehearsal.take(file, record)
        self._end(number)

    def _ask(self, number: int, file: str) -> ScenarioRecord:
        process = self._processes.get(number) or self._start(number)
        assert process.stdin is not None  # noqa: S101  # asked for when it was started
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(json.dumps(file).encode() + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = b""
        if answer:
            return RECORD.validate_json(answer)
        status = self._end(number)
        why = f"the process that played it ended with status {status}: a tool or its agent's code ended it"
        return ScenarioRecord(title=file, file=file, verdict="invalid", reason=why)

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "agentroute.testing.scenario.worker"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)  # noqa: S603
        self._processes[number] = process
        assert process.stdin is not None  # noqa: S101  # asked for above
        process.stdin.write(SETTINGS.dump_json(self._rehearsal.settings) + b"\n")
        process.stdin.flush()
        return process

    def _end(self, number: int) -> int | None:
        process = self._processes.pop(number, None)
        if process is None:
            return None
        with process:
            if process.stdin is not None:
                process.stdin.close()
            return process.wait()
