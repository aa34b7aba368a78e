"""Progress of ``scenario run``, on standard error only: results go to standard output."""

import sys
from collections import Counter
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from agentroute.testing.scenario.record import ScenarioRecord, Verdict
from agentroute.testing.scenario.reports.words import (
    LONGEST_TITLE,
    VERDICTS,
    count,
    counts,
    cut,
    duration,
    reason,
    title,
)

STYLES: Final[dict[Verdict, str]] = {
    "held": "green",
    "deviated": "bold red",
    "invalid": "bold magenta",
    "baseline_not_met": "bold yellow",
    "waiting": "dim",
}
"""Colour of a verdict, which is always spelled out too."""


class SessionProgress:
    """A bar with counts and the time left on a terminal; in a pipe, a line for each scenario that did not hold.

    A context manager. Scenarios may overlap: several may have started before one finishes.

    Args:
        total: Scenarios that will be run.
        console: Where to write; standard error if left out.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        """Prepare; nothing is written yet."""
        self._console = console or Console(file=sys.stderr, highlight=False, emoji=False, markup=False)
        self._total = total
        self._verdicts = Counter[Verdict]()
        self._running = list[str]()
        self._stack = ExitStack()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._began = 0.0

    def __enter__(self) -> Self:
        """Show the bar, where there is a terminal for it."""
        self._began = self._console.get_time()
        if self._console.file.isatty() and not self._console.is_dumb_terminal:
            # Standard output is left alone: rich would send it through the console, which is on standard error.
            self._bar = self._stack.enter_context(
                Progress(
                    BarColumn(bar_width=24),
                    MofNCompleteColumn(),
                    TextColumn("{task.fields[counts]}", markup=False),
                    TimeRemainingColumn(compact=True),
                    TextColumn("{task.description}", style="dim", markup=False),
                    console=self._console,
                    transient=True,
                    redirect_stdout=False,
                )
            )
            self._task = self._bar.add_task("", total=self._total, counts="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away and say how it went."""
        self._stack.close()
        self._bar = None
        done = self._verdicts.total()
        what = (
            count(done, "scenario") if done == self._total else f"stopped after {done:,} of {self._total:,} scenarios"
        )
        said = self._counts()
        seconds = duration(self._console.get_time() - self._began)
        self._line(Text(f"{what} in {seconds}{': ' if said else ''}{said}"))

    def started(self, name: str) -> None:
        """Say that a scenario begins; `name` is its file or its title."""
        self._running.append(name)
        self._draw()

    def finished(self, record: ScenarioRecord) -> None:
        """Count a scenario; one that did not hold gets a line. It need not have been `started`."""
        self._verdicts[record.verdict] += 1
        known = [name for name in (record.file, record.title) if name in self._running]
        if known:
            self._running.remove(known[0])
        if record.verdict not in {"held", "waiting"}:
            line = Text(VERDICTS[record.verdict], STYLES[record.verdict]).append(
                f"  {title(record)}", "not bold default"
            )
            self._line(line.append(f": {reason(record)}" if record.reason else "", "not bold default"))
        self._draw(advance=1)

    def _draw(self, *, advance: int = 0) -> None:
        if self._bar is not None:
            name = cut(self._running[-1], LONGEST_TITLE) if self._running else ""
            self._bar.update(self._task, advance=advance, description=name, counts=self._counts())

    def _counts(self) -> str:
        return counts(self._verdicts) if self._verdicts else ""

    def _line(self, text: Text) -> None:
        # In a pipe a line stays one line, however long: programs read it.
        self._console.print(text, soft_wrap=not self._console.file.isatty())
