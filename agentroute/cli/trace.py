"""``agentroute trace``: what runs did, read from their traces."""

import json
import os
import shutil
import sys
from pathlib import Path

import click

from agentroute.adapters.logs import printable
from agentroute.adapters.telemetry.provider import default_store, traces_folder
from agentroute.inspect.traces import Run, find_runs, list_runs

EXAMPLES = """\b
Examples:
  agentroute trace list
  agentroute trace show latest
"""

LIST_EXAMPLES = """\b
Examples:
  agentroute trace list
  agentroute trace list --limit 100 --json
"""

SHOW_EXAMPLES = """\b
Examples:
  agentroute trace show latest
  agentroute trace show 3f2a
  agentroute trace show 3f2a --json

WHICH may be cut short as long as it fits one run only.
"""

HEADINGS = ("RUN", "AGENT", "GOAL", "OUTCOME", "STARTED", "DURATION", "ATTEMPTS", "RETRIES", "REROUTES", "COST USD")
TO_THE_RIGHT = frozenset({"DURATION", "ATTEMPTS", "RETRIES", "REROUTES", "COST USD"})

store_option = click.option(
    "--store", type=click.Path(path_type=Path), help="The store; $AGENTROUTE_HOME or .agentroute if left out."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


class NoTraceError(click.ClickException):
    """What was asked for is not there, or not only once."""

    exit_code = 2


@click.group(epilog=EXAMPLES)
def trace() -> None:
    """Inspect what runs did: steps, attempts, reroutes, cost."""


@trace.command("list", epilog=LIST_EXAMPLES)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many runs.")
@store_option
@json_option
def list_command(limit: int, store: Path | None, *, as_json: bool) -> None:
    """List runs, the newest first."""
    runs = list_runs(_folder(store), limit=limit)
    if as_json:
        click.echo(json.dumps([run.summary() for run in runs], indent=2))
    elif runs:
        click.echo(_table([_row(run) for run in runs]))
    else:
        click.echo(f"no traces in {_folder(store)}", err=True)


@trace.command(epilog=SHOW_EXAMPLES)
@click.argument("which", metavar="RUN_ID|TRACE_ID|latest")
@store_option
@json_option
def show(which: str, store: Path | None, *, as_json: bool) -> None:
    """Print a run as a tree."""
    run = _one(which, _folder(store))
    if as_json:
        from agentroute.inspect.trace_json import run_data

        click.echo(json.dumps(run_data(run), indent=2))
        return
    from rich.console import Console

    from agentroute.inspect.tree import run_tree

    # A pipe has no width: let lines be as long as they are.
    width = None if sys.stdout.isatty() else max(shutil.get_terminal_size((200, 24)).columns, 200)
    Console(width=width, highlight=False, emoji=False, markup=False).print(run_tree(run))


def _folder(store: Path | None) -> Path:
    return traces_folder(store if store is not None else default_store(os.environ))


def _one(which: str, folder: Path) -> Run:
    found = find_runs(folder, which) if which else []
    if not found:
        what = "no traces" if which == "latest" else f"no run or trace that begins with {which!r}"
        raise NoTraceError(f"{what} in {folder}; `agentroute trace list` shows what is there")
    if len(found) > 1:
        ids = "\n".join(f"  {printable(run.run_id)}  {printable(run.agent)}  {run.started_at}" for run in found)
        raise NoTraceError(f"{which!r} fits {len(found)} runs; give more of the id:\n{ids}")
    return found[0]


def _row(run: Run) -> tuple[str, ...]:
    return (
        printable(run.run_id),
        printable(run.agent),
        printable(run.goal) or "-",
        printable(run.outcome),
        run.started_at,
        f"{run.duration_s:.3f} s",
        str(run.attempts),
        str(run.retries),
        str(run.reroutes),
        f"{run.cost / 1e9:.6f}",
    )


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in [HEADINGS, *rows]) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if heading in TO_THE_RIGHT else cell.ljust(width)
            for cell, width, heading in zip(row, widths, HEADINGS, strict=True)
        ).rstrip()
        for row in [HEADINGS, *rows]
    )
