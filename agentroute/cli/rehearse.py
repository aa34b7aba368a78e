"""What ``agentroute scenario`` does: prepare, play, write reports, say how it went."""

import os
import shutil
import sys
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from agentroute.adapters.clock import SystemClock
from agentroute.adapters.files import read_text
from agentroute.adapters.logs import configure_structlog, printable
from agentroute.adapters.telemetry.provider import default_store
from agentroute.errors import AgentrouteError, InputError
from agentroute.testing.scenario.drawing.generate import generate as draw
from agentroute.testing.scenario.record import Session
from agentroute.testing.scenario.reports import (
    SessionProgress,
    as_text,
    comparison_svg,
    comparison_table,
    exit_status,
    journal_json,
    junit_xml,
    page_html,
    session_json,
    session_table,
)
from agentroute.testing.scenario.session import Rehearsal, scenario_files
from agentroute.testing.scenario.theatre import READY, Settings, Theatre
from agentroute.testing.scenario.variables import parse_variable, refuse_unused

__all__ = ["check", "exit_status", "files", "generate", "play", "settings", "show", "shrink", "write", "write_reports"]

MANY = 500
"""Runs above which the journal keeps no events, only what came of them."""


def settings(options: Mapping[str, Any]) -> Settings:
    """Read the options that say how to play.

    Raises:
        InputError: A variable or a system makes no sense.
    """
    systems = [name.strip() for name in (options["compare"] or "").split(",") if name.strip()]
    for name in systems:
        if name not in ("react", "static"):
            raise InputError(f"--compare {name}: there is react and static")
    return Settings(
        seed=options["seed"],
        repeat=options["repeat"],
        level=options["level"],
        variables=dict(parse_variable(text) for text in options["variables"]),
        compare=tuple(systems),
    )


def files(paths: Sequence[str], variables: Collection[str]) -> list[str]:
    """The scenario files that paths name.

    Raises:
        InputError: There are none, or none of them uses one of the variables.
    """
    found = scenario_files(paths)
    if variables:
        refuse_unused(variables, _texts(found))
    return found


def _texts(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        with suppress(AgentrouteError):  # told where it is played
            yield read_text(path)


def check(paths: Sequence[str], chosen: Settings) -> Session:
    """Put everything in its place for each scenario, and play none."""
    configure_structlog()
    clock = SystemClock()
    with _stdout_aside(), Theatre(chosen, clock) as theatre:
        return Session(scenarios=[theatre.check(path) for path in paths], started=clock.wall())


def play(paths: Sequence[str], chosen: Settings, *, jobs: int | None, quiet: bool) -> tuple[Session, bool]:
    """Play each scenario, with progress on standard error; whether it was interrupted comes with it."""
    configure_structlog()  # a tool that logs must not write between our results
    kept = replace(chosen, keep_events=len(paths) * chosen.repeat <= MANY)
    rehearsal = Rehearsal(kept, SystemClock(), jobs or os.cpu_count() or 1)
    with _stdout_aside(), nullcontext() if quiet else SessionProgress(len(paths)) as progress:
        if progress is not None:
            rehearsal.started, rehearsal.finished = progress.started, progress.finished
        return rehearsal.run(paths)


@contextmanager
def _stdout_aside() -> Generator[None]:
    """Send what tools print to standard error: standard output is for the results."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def write_reports(session: Session, options: Mapping[str, Any], *, journal: bool) -> None:
    """Write the reports that were asked for, and the journal."""
    for name, render in (("junit", junit_xml), ("html", page_html), ("plot", comparison_svg)):
        if options[name] is not None:
            write(options[name], render(session))
    if not journal:
        return
    try:
        write(options["journal"] or _journal_file(session), as_text(journal_json(session)))
    except InputError as error:
        if options["journal"] is not None:
            raise
        click.echo(f"no journal was written: {error}", err=True)  # nobody asked for it


def _journal_file(session: Session) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(session.started))
    return default_store(os.environ) / "scenarios" / f"{stamp}-{os.getpid()}.json"


def write(file: Path, text: str) -> None:
    """Write a file; the folder is made if it is not there.

    Raises:
        InputError: It cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror or error}") from error


def show(session: Session, *, as_json: bool, all_rows: bool, dry_run: bool) -> None:
    """Print what came of it."""
    if as_json:
        click.echo(as_text(session_json(session)), nl=False)
        return
    # A pipe has no width: let lines be as long as they are.
    width = None if sys.stdout.isatty() else max(shutil.get_terminal_size((160, 24)).columns, 100)
    console = Console(width=width, highlight=False, emoji=False, markup=False)
    if dry_run:
        for record in session.scenarios:
            words = "ready" if record.reason == READY else f"{record.verdict}: {record.reason}"
            for line in f"{record.level:8} {record.title}: {words}".splitlines():
                console.print(Text(printable(line)), soft_wrap=True)
        return
    console.print(session_table(session, all_rows=all_rows))
    if len(session.systems) > 1:
        console.print(comparison_table(session))


def generate(count: int, seed: int, folder: Path) -> int:
    """Write random scenarios into a folder; how many.

    Raises:
        InputError: The folder has something in it, or cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; name a folder that is, or that is not there yet")
    written = 0
    for drawn in draw(count, seed):
        write(folder / drawn.file, drawn.text)
        written += 1
    return written


def shrink(file: str, steps: int, folder: Path) -> str:
    """Make a scenario that does not hold as small as it can be and still not hold; its text, for a folder to lie in.

    Raises:
        InputError: It holds as it is.
    """
    from agentroute.testing.scenario.shrinking.smallest import smallest

    with _stdout_aside(), Theatre(Settings(keep_events=False), SystemClock()) as theatre:
        return smallest(file, theatre, steps, folder=folder, told=partial(click.echo, err=True))
