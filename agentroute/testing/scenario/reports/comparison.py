"""agentroute and others on the same scenarios, side by side in the terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from agentroute.testing.scenario.record import ScenarioRecord, Session, Trial
from agentroute.testing.scenario.reports.paper import REPORTED, SCENARIOS, Reported, ids
from agentroute.testing.scenario.reports.totals import SystemTotals, totals
from agentroute.testing.scenario.reports.words import caveats, cut, duration, title

HEADINGS: Final = (
    "system",
    "correct",
    "silent",
    "model\ncalls",
    "tool\ncalls",
    "recoveries",
    "double\neffects",
    "recovery\np50",
    "recovery\np99",
)

LONGEST_NAME: Final = 30
"""Characters of a system's name."""

ROOMY: Final = 100
"""Width of a terminal from which on columns stand well apart."""

KEY: Final = (
    "correct: the end that the scenario expects, by the ground truth; silent: it claims a success that is none, or "
    "passes over a failure; the number is that of model calls"
)


def comparison_table(session: Session) -> RenderableType:
    """Draw every scenario as every system met it, and their totals.

    If every title begins with the id of one of the paper's scenarios, the paper's totals stand below ours.
    """
    systems = totals(session).systems
    table = Table(
        Column(Text("scenario", "bold"), overflow="fold"),
        *(Column(Text(cut(each.system, LONGEST_NAME), "bold"), overflow="fold") for each in systems),
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for record in session.scenarios:
        table.add_row(Text(title(record)), *(met(record, each.system) for each in systems))
    return Group(table, Text(KEY, "dim"), "", *_totals(session, systems))


def met(record: ScenarioRecord, system: str) -> Text:
    """How a system met a scenario: whether its end is right, and how many model calls that took."""
    runs = record.of(system)
    if not runs:
        return Text("not run", "dim")
    silent, correct = sum(run.silent > 0 for run in runs), sum(run.correct for run in runs)
    if silent:
        mark, style = _mark("SILENT", silent, runs), "bold red"
    elif correct == len(runs):
        mark, style = "correct", "green"
    else:
        mark, style = _mark("wrong", len(runs) - correct, runs), "yellow"
    return Text(f"{mark:7}  ", style).append(str(sum(run.llm_calls for run in runs)), "default not bold")


def _mark(word: str, many: int, runs: Sequence[Trial]) -> str:
    return word if len(runs) == 1 else f"{word} in {many} of {len(runs)}"


# ---------------------------------------------------------------- totals


def _totals(session: Session, systems: Sequence[SystemTotals]) -> list[RenderableType]:
    found = ids(session)
    rows = list[list[Text]]()
    for each in systems:
        rows.append(_row(each))
        if found and each.system in REPORTED:
            rows.append(_reported(REPORTED[each.system]))
    notes = [] if not found or len(found) == len(session.scenarios) == SCENARIOS else [_of_all(found)]
    return [_Totals(rows), *(Text(note, "yellow") for note in [*notes, *caveats(session, systems)])]


@dataclass(frozen=True, slots=True)
class _Totals:
    """Rows that stand closer together where there is little room."""

    rows: Sequence[Sequence[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        table = Table(
            *(
                Column(Text(each, "bold"), justify="right" if at else "left", no_wrap=True)
                for at, each in enumerate(HEADINGS)
            ),
            box=None,
            pad_edge=False,
            padding=(0, 2 if options.max_width >= ROOMY else 1, 0, 0),
        )
        for row in self.rows:
            table.add_row(*row)
        yield table


def _row(each: SystemTotals) -> list[Text]:
    return [
        Text(cut(each.system, LONGEST_NAME)),
        Text(f"{each.correct}/{each.runs}", "green" if each.correct == each.runs else "yellow"),
        Text(str(each.silent), "bold red" if each.silent else "green"),
        Text(str(each.llm_calls)),
        Text(str(each.tool_calls)),
        Text(str(each.recoveries)),
        Text(str(each.duplicates), "bold red" if each.duplicates else "green"),
        Text(duration(each.recovery_s.p50)),
        Text(duration(each.recovery_s.p99)),
    ]


def _reported(row: Reported) -> list[Text]:
    cells = [
        f"  paper: {row.name}",
        f"{row.correct}/{SCENARIOS}",
        "-" if row.silent is None else str(row.silent),
        str(row.llm_calls),
        str(row.tool_calls),
        "-" if row.recoveries is None else str(row.recoveries),
        "-",
        "-",
        "-",
    ]
    return [Text(cell, "dim") for cell in cells]


def _of_all(found: set[str]) -> str:
    return f"the paper's totals are of its {SCENARIOS} scenarios; here are {len(found)} of them"
