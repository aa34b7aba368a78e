"""A session in the terminal: a row for each scenario, what there is to say against it, and the totals in words."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from agentroute.testing.scenario.record import ScenarioRecord, Session, Verdict
from agentroute.testing.scenario.reports.progress import STYLES
from agentroute.testing.scenario.reports.totals import Totals, totals, worst_run
from agentroute.testing.scenario.reports.words import (
    LONGEST_TITLE,
    VERDICTS,
    Line,
    Tone,
    count,
    cut,
    findings,
    headline,
    outcomes,
    run_figures,
    summary,
    title,
)

MOST_ROWS: Final = 40
"""Scenarios that are listed one by one; of more, only those that did not hold."""

MOST_FINDINGS: Final = 5
"""Sentences below a scenario that did not hold."""

HEADINGS: Final = (
    "verdict",
    "scenario",
    "level",
    "outcome",
    "faults",
    "retries",
    "reroutes",
    "model\ncalls",
    "cost USD",
    "seconds",
)
TITLE: Final = HEADINGS.index("scenario")
LEVEL: Final = HEADINGS.index("level")
TO_THE_RIGHT: Final = frozenset(HEADINGS[HEADINGS.index("faults") :])

WIDEST: Final = {"verdict": 8, "outcome": 24}
"""Columns that wrap sooner than they must: their words are short, and titles need the room."""

ROOMY: Final = 120
"""Width of a terminal from which on columns stand well apart, and even one that says the same in every row is shown."""

READABLE_TITLE: Final = 24
"""Width that a title gets at least, while there are columns that can be left out for it."""

FIRST_TO_GO: Final = ("cost USD", "level", "seconds", "retries", "outcome")
"""Columns that are left out where there is no room for them, in this order."""

TONES: Final[dict[Tone, str]] = {"good": "green", "bad": "bold red", "note": "yellow", "": ""}


def session_table(session: Session, *, all_rows: bool = False) -> RenderableType:
    """Draw a session. Whatever a file or a tool said, it cannot act on the terminal.

    Args:
        session: What was run.
        all_rows: Also list what held when there are more than `MOST_ROWS` scenarios.
    """
    figures = totals(session)
    listed = session.scenarios
    short = len(listed) > MOST_ROWS and not all_rows
    if short:
        listed = [record for record in listed if record.verdict not in {"held", "waiting"}]
    parts: list[RenderableType] = []
    if listed:
        repeated = any(len(record.of()) > 1 for record in listed)
        parts += [_Rows([_row(record) for record in listed], repeated=repeated), ""]
    if short:
        parts += [Text(_left_out(figures), "dim"), ""]
    return Group(*parts, _headline(figures), _lines(summary(session, figures)))


# ---------------------------------------------------------------- rows


@dataclass(frozen=True, slots=True)
class _Row:
    """A scenario: a cell for each heading, and sentences that go below."""

    verdict: Verdict
    cells: tuple[str, ...]
    below: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class _Rows:
    """Tables of one set of widths, so that sentences between the rows may be as wide as the terminal."""

    rows: Sequence[_Row]
    repeated: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        gap = 2 if options.max_width >= ROOMY else 1
        widths = self._widths(options.max_width, gap)
        yield _table(widths, gap, [[Text(HEADINGS[column], "bold") for column in widths]])
        for quiet, rows in groupby(self.rows, key=lambda row: row.verdict == "held"):
            if quiet:
                yield _table(widths, gap, [[_cell(row, column) for column in widths] for row in rows])
                continue
            for row in rows:
                yield _table(widths, gap, [[_cell(row, column) for column in widths]])
                yield from _below(row)
        yield from self._captions(widths)

    @property
    def _uniform(self) -> bool:
        return len({row.cells[LEVEL] for row in self.rows}) == 1

    def _widths(self, room: int, gap: int) -> dict[int, int]:
        """Columns that are shown, each as wide as what is in it; the title gets what is left."""
        widths = {column: self._width(column) for column in range(len(HEADINGS))}
        if self._uniform and room < ROOMY:
            del widths[LEVEL]
        wanted = min(widths[TITLE], READABLE_TITLE)
        for heading in FIRST_TO_GO:
            if _left(widths, room, gap) < wanted:
                widths.pop(HEADINGS.index(heading), None)
        widths[TITLE] = max(1, min(widths[TITLE], _left(widths, room, gap)))
        return widths

    def _width(self, column: int) -> int:
        width = max(_width(HEADINGS[column]), *(_width(row.cells[column]) for row in self.rows))
        return min(width, WIDEST.get(HEADINGS[column], width))

    def _captions(self, shown: Container[int]) -> Iterator[RenderableType]:
        said = ["faults: rules that triggered, of those given"]
        if self.repeated:
            said.append("figures of a scenario: those of its worst run")
        if self._uniform and LEVEL not in shown:
            said.append(f"level: {self.rows[0].cells[LEVEL]}")
        if any(row.cells[LEVEL] == "virtual" for row in self.rows):
            said.append("seconds at level virtual: of virtual time")
        no_room = [heading for heading in FIRST_TO_GO if HEADINGS.index(heading) not in shown]
        no_room = [heading for heading in no_room if heading != "level" or not self._uniform]
        if no_room:
            said.append(f"no room for: {', '.join(no_room)}")
        yield Text("; ".join(said), "dim")


def _row(record: ScenarioRecord) -> _Row:
    run = worst_run(record)
    cells = (VERDICTS[record.verdict], title(record), record.level, outcomes(record.of()), *run_figures(run))
    below = () if record.verdict == "held" else tuple(_findings(record))
    seed = "" if run is None else f"  seed {run.seed}"
    source = "" if record.verdict == "waiting" else f"{cut(record.file, LONGEST_TITLE)}{seed}"
    return _Row(record.verdict, cells, below, source)


def _findings(record: ScenarioRecord) -> list[str]:
    """What there is to say against a scenario, of its worst run."""
    return findings(record, worst_run(record), MOST_FINDINGS)


def _cell(row: _Row, column: int) -> Text:
    style = STYLES[row.verdict] if column == 0 else ""
    return Text(row.cells[column], style, overflow="fold")


def _below(row: _Row) -> Iterator[RenderableType]:
    style = "dim" if row.verdict == "waiting" else "red"
    for sentence in row.below:
        yield Padding(Text(sentence, style, overflow="fold"), (0, 0, 0, 4))
    if row.source:
        yield Padding(Text(row.source, "dim", overflow="fold"), (0, 0, 0, 4))


def _table(widths: Mapping[int, int], gap: int, rows: Sequence[Sequence[Text]]) -> Table:
    columns = [
        Column(width=width, justify="right" if HEADINGS[column] in TO_THE_RIGHT else "left", overflow="fold")
        for column, width in widths.items()
    ]
    table = Table(*columns, box=None, show_header=False, padding=(0, gap, 0, 0), pad_edge=False)
    for cells in rows:
        table.add_row(*cells)
    return table


def _left(widths: Mapping[int, int], room: int, gap: int) -> int:
    """What the other columns leave to the title."""
    return room - sum(width + gap for column, width in widths.items() if column != TITLE)


def _width(text: str) -> int:
    return max((cell_len(line) for line in text.splitlines()), default=0)


# ---------------------------------------------------------------- totals


def _left_out(figures: Totals) -> str:
    quiet = [f"{figures.held:,} that held"]
    if figures.waiting:
        quiet.append(f"{figures.waiting:,} that wait")
    return f"not listed: {' and '.join(quiet)}, of {count(figures.scenarios, 'scenario')}"


def _headline(figures: Totals) -> Text:
    ran = figures.scenarios - figures.waiting
    if ran == 0:
        return Text(headline(figures), "bold yellow")
    return Text(headline(figures), "bold green" if figures.held == ran else "bold red")


def _lines(lines: Sequence[Line]) -> Table:
    table = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
    for line in lines:
        table.add_row(Text(line.label, "dim"), Text(line.text, TONES[line.tone]))
    return table
