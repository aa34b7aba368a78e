"""The figures as a table."""

from collections.abc import Callable, Sequence
from typing import Final

from rich.table import Table

from tests.benchmarks.health_lab.measures import Figures

COLUMNS: Final[Sequence[tuple[str, Callable[[Figures], str]]]] = (
    ("detect s", lambda f: _seconds(f.detect_s)),
    ("wasted", lambda f: f"{f.wasted:,}"),
    ("refused", lambda f: f"{f.refused:,}"),
    ("return s", lambda f: _seconds(f.return_s)),
    ("flaps", lambda f: str(f.flaps)),
    ("primary", lambda f: f"{f.primary:.0%}"),
    ("cost", lambda f: f"{f.cost_ratio:.2f}"),
    ("saved", lambda f: f"{f.saved:,}"),
    ("succ / dem / esc", lambda f: f"{f.succeeded:,} / {f.demoted} / {f.escalated}"),
    ("p50 s", lambda f: f"{f.p50_s:.2f}"),
    ("p99 s", lambda f: f"{f.p99_s:.2f}"),
    ("calls a run", lambda f: f"{f.attempts:.2f}"),
)

LEGEND: Final = """\
detect: from the first bad call until under 10% of new calls go to a bad tool. wasted: bad calls of bad tools after the
first. refused: calls that others refused. return: from healing until most new calls go to the primary. flaps: changes
of what most runs begin with, after the first. primary: runs that begin with it. cost: money, time, and 0.1 USD for each
run that the oracle saved and the agent did not, against what the oracle paid. -: not while the load lasted."""


def table(rows: Sequence[Figures]) -> Table:
    """One line for each load and mode."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("load", overflow="fold")
    drawn.add_column("health")
    for name, _ in COLUMNS:
        drawn.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        drawn.add_row(row.load if row.mode == "on" else "", row.mode, *(show(row) for _, show in COLUMNS))
    return drawn


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
