"""The figures as a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from rich.table import Table

from tests.benchmarks.health_lab.measures import Figures


@dataclass(frozen=True, slots=True)
class Column:
    """One figure: where it is found, and how it is shown."""

    name: str
    figure: Callable[[Figures], float | None]
    shown: Callable[[float], str]


COLUMNS: Final[Sequence[Column]] = (
    Column("detect s", lambda f: f.detect_s, "{:.1f}".format),
    Column("wasted", lambda f: f.wasted, "{:,.0f}".format),
    Column("refused", lambda f: f.refused, "{:,.0f}".format),
    Column("return s", lambda f: f.return_s, "{:.1f}".format),
    Column("flaps", lambda f: f.flaps, "{:.0f}".format),
    Column("primary", lambda f: f.primary, "{:.0%}".format),
    Column("cost", lambda f: f.cost_ratio, "{:.2f}".format),
    Column("saved", lambda f: f.saved, "{:,.0f}".format),
    Column("succeeded", lambda f: f.succeeded, "{:,.0f}".format),
    Column("demoted", lambda f: f.demoted, "{:,.0f}".format),
    Column("escalated", lambda f: f.escalated, "{:,.0f}".format),
    Column("p50 s", lambda f: f.p50_s, "{:.2f}".format),
    Column("p99 s", lambda f: f.p99_s, "{:.2f}".format),
    Column("calls a run", lambda f: f.attempts, "{:.2f}".format),
)

LEGEND: Final = """\
Median of the seeds (least-most). detect: from the first bad call until under 10% of new calls go to a bad tool. wasted:
bad calls of bad tools after the first. refused: calls that others refused. return: from healing until most new calls go
to the primary. flaps: changes of what most runs begin with, after the first. primary: runs that begin with it. cost:
money, time, and 0.1 USD for each run that does not reach the goal, against the same for the oracle. saved: runs for
which the oracle reaches it. -: not while the load lasted."""


def table(rows: Sequence[Sequence[Figures]]) -> Table:
    """One line for each load and mode, whose figures of several seeds make a row."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("load", overflow="fold")
    drawn.add_column("health")
    for column in COLUMNS:
        drawn.add_column(column.name, justify="right", no_wrap=True)
    last = ""
    for row in rows:
        name = "" if row[0].load == last else row[0].load
        last = row[0].load
        drawn.add_row(name, row[0].mode, *(spread([column.figure(f) for f in row], column.shown) for column in COLUMNS))
    return drawn


def spread(values: Sequence[float | None], shown: Callable[[float], str]) -> str:
    """Median and range; what never came is later than all that did."""
    ordered = sorted(values, key=lambda value: float("inf") if value is None else value)
    least, most = (_shown(value, shown) for value in (ordered[0], ordered[-1]))
    known = [float("inf") if value is None else value for value in ordered]
    middle = median(known)
    centre = _shown(None if middle == float("inf") else middle, shown)
    return centre if least == most else f"{centre} ({least}-{most})"


def _shown(value: float | None, shown: Callable[[float], str]) -> str:
    return "-" if value is None else shown(value)
