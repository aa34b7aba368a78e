"""``agentroute budget``: what the choice between model tiers is learned from, and judged by beforehand."""

import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from agentroute.errors import ConfigurationError, InputError

EXAMPLES = """\b
Examples:
  agentroute budget train outcomes.jsonl --out tiers.json
  agentroute budget replay outcomes.jsonl --policy learned --worth 0.05
  agentroute budget judge outcomes.jsonl 584e669d29f7cd521c61199a --right 0
"""

JUDGE_EXAMPLES = """\b
Examples:
  agentroute budget judge outcomes.jsonl 584e669d29f7cd521c61199a --right 1
  agentroute budget judge outcomes.jsonl 584e669d29f7cd521c61199a --right 0 --step answer

A line is added; nothing is rewritten. The last judgement counts. Of a run that was
wrong and took several model steps nobody knows which one it was, unless --step says so.
"""

TRAIN_EXAMPLES = """\b
Examples:
  agentroute budget train outcomes.jsonl --out tiers.json
  agentroute budget train outcomes.jsonl --json --quiet
  agentroute budget train outcomes.jsonl --out tiers.json --plot reliability.svg

LOG has a line of JSON for each attempt of a model step. Without --out, nothing
is kept: only the report is printed.
"""

REPLAY_EXAMPLES = """\b
Examples:
  agentroute budget replay outcomes.jsonl
  agentroute budget replay outcomes.jsonl --policy learned --policy always-cheap --worth 0.05
  agentroute budget replay tuesday.jsonl --policy threshold --least 0.8 --model monday.json
  agentroute budget replay outcomes.jsonl --policy cascade --detection 0.9 --alone --json

Without --model, chances come from the log itself: each run is decided by what
others have shown.

\b
Exit status: 0 done, 1 the log says nothing about one of the policies, 2 invalid input.
"""

INTERRUPTED = 130

POLICY_NAMES = ("always-cheap", "always-expensive", "threshold", "cascade", "learned")


class Number(click.FloatRange):
    """A number within a range; NaN is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what no comparison would."""
        number = super().convert(value, param, ctx)
        return self.fail(f"{value} is no number", param, ctx) if math.isnan(number) else number


class Interruptible(click.Group):
    """Whoever interrupts it is told so by the exit status, not that something went wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)


log_argument = click.argument("log", type=click.Path(path_type=Path))
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="Which runs are set apart."
)
unverified_option = click.option("--unverified", is_flag=True, help="Believe outcomes that nobody has checked, too.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress on standard error.")


@click.group(cls=Interruptible, epilog=EXAMPLES)
def budget() -> None:
    """Learn which model tier is worth its price, and judge it by what was logged."""


@budget.command(epilog=TRAIN_EXAMPLES, short_help="Learn how likely each tier is to be right.")
@log_argument
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Model file to write.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Write the reliability diagram as SVG.")
@click.option(
    "--held-out",
    type=Number(0.05, 0.5),
    default=0.2,
    show_default=True,
    help="Share of the runs that the report is made from.",
)
@unverified_option
@seed_option
@json_option
@quiet_option
def train(log: Path, *, out: Path | None, plot: Path | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Learn from LOG how likely each tier is to be right, and print how far that can be believed."""
    _need_numpy()
    from agentroute.cli import learn

    learn.check_files(log, out, plot)
    learn.train_command(log, out, plot, as_json=as_json, tell=_teller(quiet=quiet), **options)


@budget.command(epilog=REPLAY_EXAMPLES, short_help="Say what a policy would have cost, and been right in.")
@log_argument
@click.option("--policy", "policies", multiple=True, type=click.Choice(POLICY_NAMES), help="All, if left out (repeat).")
@click.option("--model", type=click.Path(path_type=Path, dir_okay=False), help="Model file that chances come from.")
@click.option("--worth", type=Number(0, 1e9), default=1.0, show_default=True, help="What success is worth, in USD.")
@click.option("--alone", is_flag=True, help="Steps stand alone: a wrong one does not spoil the run.")
@click.option("--least", type=Number(0, 1), help="For threshold: the chance a tier must reach.  [default: 0.7]")
@click.option("--explore", type=Number(0, 1), help="For learned: share of steps to experiment in.")
@click.option("--detection", type=Number(0, 1), help="Chance that a wrong answer is noticed; as logged if left out.")
@unverified_option
@seed_option
@json_option
@quiet_option
def replay(log: Path, *, policies: tuple[str, ...], as_json: bool, quiet: bool, **options: Any) -> None:
    """Estimate from LOG what other policies would have cost, and how often they would have been right.

    A step that was decided by chance says something about every tier that might have been taken; steps count by the
    inverse of the logged propensity. Where the log says nothing about a policy, that is said.
    """
    wanted = policies or POLICY_NAMES
    for option, policy in (("explore", "learned"), ("least", "threshold")):
        if options[option] is not None and policy not in wanted:
            raise click.UsageError(f"--{option} is for the policy {policy}, which is not replayed")
    given = click.get_current_context().get_parameter_source("seed")
    if options["model"] is not None and given is not ParameterSource.DEFAULT:
        raise click.UsageError("--seed is of no use with --model: nothing is learned, so no runs are set apart")
    _need_numpy()
    from agentroute.cli import learn

    learn.replay_command(log, wanted, as_json=as_json, tell=_teller(quiet=quiet), **options)


@budget.command(epilog=JUDGE_EXAMPLES, short_help="Say how right a run turned out to be.")
@log_argument
@click.argument("run")
@click.option("--right", type=Number(0, 1), required=True, help="From 0 (wrong) to 1 (right).")
@click.option("--step", help="Name of the model step; the run as a whole, if left out.")
def judge(log: Path, run: str, *, right: float, step: str | None) -> None:
    """Add to LOG how right RUN turned out to be: train and replay go by it."""
    from agentroute.adapters.outcome_log import steps_of, write_outcomes
    from agentroute.routing.tiers.outcome import Judgement

    steps = steps_of(log, run)
    if not steps or step not in {None, *steps}:
        what = f"run {run!r} took no step {step!r}; it took: {', '.join(sorted(steps))}" if steps else f"no run {run!r}"
        raise InputError(f"{log}: {what}")
    write_outcomes(log, [Judgement(run, right, step)])
    click.echo(f"{run}: {right:g} right{f' in {step}' if step else ''}, from {log}'s next reading on")


def _need_numpy() -> None:
    if importlib.util.find_spec("numpy") is None:
        raise ConfigurationError("agentroute budget needs numpy: pip install 'agentroute[train]'")


def _teller(*, quiet: bool) -> Callable[[str], None]:
    def tell(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    return tell
