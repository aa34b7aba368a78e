"""What ``agentroute budget`` does and prints."""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from agentroute.adapters.logs import printable
from agentroute.adapters.outcome_log import read_outcomes
from agentroute.adapters.tier_model import TierModel
from agentroute.errors import ConfigurationError, DefinitionError
from agentroute.ids import nanos
from agentroute.routing.tiers.outcome import Outcome
from agentroute.routing.tiers.policy import policy_named
from agentroute.training.diagram import reliability_diagram
from agentroute.training.estimates import Estimate
from agentroute.training.replay import Plan, Replayed, question_of, replay, told, unseen_chances
from agentroute.training.spending import spending
from agentroute.training.train import HOW_TO_JUDGE, SILENT, TierReport, Trained, train

Tell = Callable[[str], None]

NOTHING_SAID = 1

BAR = 30
"""Characters of a bar."""

MOST_ASKED = 2_000
"""Steps of the log that spending is told from."""


def check_files(log: Path, out: Path | None, plot: Path | None) -> None:
    """Refuse to write over the log, or over what was not written by this command.

    Raises:
        BadParameter: With the option.
    """
    for option, file, others in (("--out", out, (log,)), ("--plot", plot, (log, out))):
        if file is not None and any(other is not None and _is_same(file, other) for other in others):
            raise click.BadParameter(
                f"{file} would write over {log if _is_same(file, log) else '--out'}", param_hint=option
            )
    if out is None or not out.exists() or not out.stat().st_size:
        return
    try:
        TierModel.load(out)
    except DefinitionError as error:
        raise click.BadParameter(f"there is a file that is no model: {error}", param_hint="--out") from None


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def train_command(
    log: Path,
    out: Path | None,
    plot: Path | None,
    *,
    held_out: float,
    unverified: bool,
    seed: int,
    as_json: bool,
    tell: Tell,
) -> None:
    """Learn, write what was asked for, and print the report."""
    outcomes = _read(log, tell)
    trained = train(outcomes, held_out=held_out, unverified=unverified, seed=seed, tell=tell)
    if out is not None:
        asked = [
            question_of(outcome, told(trained.chances, outcome), Plan(policy_named("learned")))
            for outcome in outcomes[:: max(1, len(outcomes) // MOST_ASKED)]
        ]
        TierModel(trained.chances, trained.outcomes, spending(asked)).save(out)
        tell(f"written to {out}")
    if plot is not None:
        _write(plot, reliability_diagram(trained.reports))
    if as_json:
        click.echo(json.dumps(_trained_json(trained), indent=2))
    else:
        _print_trained(trained)


def replay_command(
    log: Path,
    policies: Sequence[str],
    *,
    model: Path | None,
    worth: float,
    alone: bool,
    least: float | None,
    explore: float | None,
    detection: float | None,
    unverified: bool,
    seed: int,
    as_json: bool,
    tell: Tell,
) -> None:
    """Replay each policy, and print what that says."""
    takes = {"threshold": {"least": least}, "learned": {"explore": explore}}
    wanted = {
        name: Plan(policy_named(name, **takes.get(name, {})), nanos(worth), compound=not alone, detection=detection)
        for name in policies
    }
    chances = None if model is None else TierModel.load(model).chances
    outcomes = _read(log, tell)
    if chances is None:
        said = unseen_chances(outcomes, unverified=unverified, seed=seed, tell=tell)
    else:
        said = [told(chances, outcome) for outcome in outcomes]
    found = {name: replay(outcomes, plan, said=said, unverified=unverified) for name, plan in wanted.items()}
    if as_json:
        click.echo(json.dumps({name: _replayed_json(each) for name, each in found.items()}, indent=2, allow_nan=False))
    else:
        _print_replayed(found)
    sys.exit(NOTHING_SAID if any(each.right is None for each in found.values()) else 0)


def _read(log: Path, tell: Tell) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for outcome in read_outcomes(log):
        outcomes.append(outcome)
        if len(outcomes) % 50_000 == 0:
            tell(f"{len(outcomes):,} records read")
    return outcomes


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from error


# ---------------------------------------------------------------- training


def _trained_json(trained: Trained) -> dict[str, Any]:
    return {
        "outcomes": dict(trained.outcomes),
        "left_out": dict(trained.left_out),
        "together": trained.together,
        "doubts": list(trained.doubts),
        "held_out": {tier: asdict(report) for tier, report in trained.reports.items()},
    }


def _print_trained(trained: Trained) -> None:
    click.echo("Judged by runs that were held out:\n")
    rows = [("TIER", "LEARNED FROM", "HELD OUT", "RIGHT", "LOG LOSS", "WITHOUT", "RANKING", "CALIBRATION ERROR")]
    rows += [_row(tier, report) for tier, report in trained.reports.items()]
    click.echo(_columns(rows))
    for tier, report in trained.reports.items():
        click.echo(f"\n{printable(tier)}: said, and came true")
        for each in report.bins:
            mark = round(each.said * BAR)
            bar = "".join("|" if n == mark else "#" if n < round(each.came * BAR) else "." for n in range(BAR + 1))
            click.echo(f"  {each.said:6.1%}  {bar}  {each.came:6.1%} of {each.count:,}")
    if not trained.reports:
        click.echo("Nothing was held out: there are too few runs.")
    for doubt in trained.doubts:
        click.echo(f"\nwarning: {doubt}")
    if trained.together:
        known = (
            "outcomes are known by how right their run was as a whole: each counts with the chance that it was right"
        )
        click.echo(f"\n{trained.together:,} {known}")
    for why, count in trained.left_out.items():
        hint = f"; {HOW_TO_JUDGE}" if why == SILENT else ""
        click.echo(f"\n{count:,} outcomes left out: {printable(why)}{hint}")


def _row(tier: str, report: TierReport) -> tuple[str, ...]:
    return (
        printable(tier),
        f"{report.outcomes:,}",
        f"{report.held_out:,}",
        f"{report.rate:.1%}",
        f"{report.log_loss:.3f}",
        f"{report.base_log_loss:.3f}",
        "-" if report.ranking is None else f"{report.ranking:.3f}",
        f"{report.error:.3f} ({report.raw_error:.3f} before)",
    )


# ---------------------------------------------------------------- replay


def _replayed_json(each: Replayed) -> dict[str, Any]:
    data = asdict(each)
    data["overlap"]["why_not"] = each.overlap.why_not
    return json.loads(json.dumps(data), parse_constant=lambda _: None)  # an interval without an end: null


def _print_replayed(found: Mapping[str, Replayed]) -> None:
    first = next(iter(found.values()))
    rows = [("POLICY", "RIGHT", "USD A STEP", "RIGHT, ROBUST", "USD, ROBUST", "WORTH STEPS")]
    rows.append(("as logged", _share(first.logged_right), _usd(first.logged_usd), "", "", f"{first.steps:,}"))
    for name, each in found.items():
        estimates = (_share(each.right), _usd(each.usd), _share(each.robust_right), _usd(each.robust_usd))
        rows.append((name, *estimates, f"{each.overlap.effective:,.0f}"))
    click.echo(_columns(rows))
    click.echo("\nMeans and 95% intervals, a step with all its attempts. Steps are taken as they came.")
    if first.left_out:
        click.echo(f"{first.left_out:,} records left out: without a verdict, or not verified; {HOW_TO_JUDGE}")
    for name, each in found.items():
        if each.overlap.why_not is not None:
            click.echo(f"{name}: the log does not say; {each.overlap.why_not}")
    by_doubt: dict[str, list[str]] = {}
    for name, each in found.items():
        for doubt in each.doubts:
            by_doubt.setdefault(doubt, []).append(name)
    for doubt, names in by_doubt.items():
        who = "" if len(names) == len(found) else f"{', '.join(names)}: "
        click.echo(f"warning: {who}{printable(doubt)}")


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.mean:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"


def _usd(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    high = f"{estimate.high:.6f}" if math.isfinite(estimate.high) else "-"  # of a single run nobody can tell
    return f"{estimate.mean:.6f} [{estimate.low:.6f}, {high}]"


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
