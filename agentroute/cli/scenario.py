"""``agentroute scenario``: fault injection over runs, before customers do it."""

import sys
from pathlib import Path
from typing import Any

import click

GROUP_EXAMPLES = """\b
Examples:
  agentroute scenario run scenarios/paper
  agentroute scenario generate --count 300 --seed 7 --out drawn && agentroute scenario run drawn
"""

RUN_EXAMPLES = """\b
Examples:
  agentroute scenario run scenarios/paper --compare react,static
  agentroute scenario run checkout.yaml --repeat 20 --seed 100
  agentroute scenario run scenarios --junit report.xml --html report.html
  agentroute scenario run refund.yaml --var order=1043 --dry-run

PATH is a scenario file, or a folder of them.

\b
Exit status: 0 held, 1 deviated, 2 invalid, 3 baseline not met, 130 interrupted.
"""

GENERATE_EXAMPLES = """\b
Examples:
  agentroute scenario generate --count 3000 --seed 1 --out drawn
  agentroute scenario run drawn --jobs 2
"""

SHRINK_EXAMPLES = """\b
Examples:
  agentroute scenario shrink drawn/0042-dag-timeout.yaml --out scenarios/regressions/late-answer.yaml
"""

INTERRUPTED = 130


@click.group(epilog=GROUP_EXAMPLES)
def scenario() -> None:
    """Break tools on purpose, and see that no failure is silent."""


@scenario.command(epilog=RUN_EXAMPLES, short_help="Run scenarios and judge what came of them.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--compare", metavar="SYSTEMS", help="Let other systems run too: react, static, or both with a comma.")
@click.option("--repeat", type=click.IntRange(1, 100_000), default=1, show_default=True, help="Runs of each scenario.")
@click.option("--seed", type=click.IntRange(0, 2**53), help="First seed, in place of each scenario's own.")
@click.option(
    "--level", type=click.Choice(["virtual", "call", "wire", "process"]), help="In place of the one a scenario says."
)
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Value of a ${NAME} (repeat).")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes for simulated scenarios; as many as processors.")
@click.option("--dry-run", is_flag=True, help="Check files, agents and faults; no run is made.")
@click.option("--all", "all_rows", is_flag=True, help="List every scenario, also where there are many.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML for CI.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page that needs nothing else.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Write the comparison as SVG.")
@click.option("--journal", type=click.Path(path_type=Path, dir_okay=False), help="Where the journal goes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def run(paths: tuple[str, ...], *, dry_run: bool, as_json: bool, all_rows: bool, quiet: bool, **options: Any) -> None:
    """Run scenarios: first without faults, then with them, and judge what came of it from outside."""
    from agentroute.cli import rehearse

    settings = rehearse.settings(options)
    files = rehearse.files(paths, settings.variables)
    if dry_run and (options["junit"] or options["html"] or options["plot"] or options["journal"]):
        raise click.UsageError("--dry-run plays nothing, so there is nothing to report")
    if dry_run:
        session, interrupted = rehearse.check(files, settings), False
    else:
        session, interrupted = rehearse.play(files, settings, jobs=options["jobs"], quiet=quiet)
    rehearse.show(session, as_json=as_json, all_rows=all_rows, dry_run=dry_run)
    rehearse.write_reports(session, options, journal=not dry_run)
    sys.exit(INTERRUPTED if interrupted else rehearse.exit_status(session))


@scenario.command(epilog=GENERATE_EXAMPLES, short_help="Write random scenarios.")
@click.option("--count", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0, 2**53), default=1, show_default=True, help="What they are drawn from.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write them to.")
def generate(count: int, seed: int, out: Path) -> None:
    """Write random scenarios: graphs, faults and schedules; the same for the same seed."""
    from agentroute.cli import rehearse

    written = rehearse.generate(count, seed, out)
    click.echo(f"{written} scenarios in {out}; run them with: agentroute scenario run {out}", err=True)


@scenario.command(epilog=SHRINK_EXAMPLES, short_help="Make one that does not hold smaller.")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; standard output if left out."
)
@click.option("--steps", type=click.IntRange(1, 1_000_000), default=2000, show_default=True, help="Scenarios to try.")
def shrink(path: Path, out: Path | None, steps: int) -> None:
    """Make a scenario that does not hold as small as it can be and still not hold."""
    from agentroute.cli import rehearse

    text = rehearse.shrink(str(path), steps, Path() if out is None else out.parent)
    if out is None:
        click.echo(text, nl=False)
    else:
        rehearse.write(out, text)
        click.echo(f"written to {out}", err=True)
