"""``agentroute plan``: the route a run would take."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from agentroute import Agent, RoutePlan

EXAMPLES = """\b
Examples:
  agentroute plan graphs/examples/travel.yaml
  agentroute plan graphs/examples/travel.yaml --have trip --down book_flight_a --json
  agentroute plan my_agents.py:support --goal refunded
  agentroute plan graphs/examples/travel.yaml --explain

Exit status: 0 feasible, 1 not, 2 invalid input.
"""


@click.command(epilog=EXAMPLES)
@click.argument("target")
@click.option("--goal", help="Goal to plan for; the agent's first if left out.")
@click.option(
    "--have", multiple=True, metavar="ARTIFACT", help="At hand (repeat); all inputs of the graph if left out."
)
@click.option("--down", multiple=True, metavar="TOOL", help="A tool to do without (repeat).")
@click.option("--priors", type=click.Path(path_type=Path), help="File with what earlier runs have shown; only read.")
@click.option("--explain", is_flag=True, help="Say what each tool weighs, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def plan(  # one parameter per option
    target: str,
    *,
    goal: str | None,
    have: tuple[str, ...],
    down: tuple[str, ...],
    priors: Path | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Print the route that a run of TARGET would take. Nothing is called."""
    from agentroute.adapters.priors import Priors
    from agentroute.loading import load_agent

    agent = load_agent(target)
    if priors is not None:
        agent = agent.with_options(priors=Priors.load(priors))
    found = agent.plan(goal=goal, have=have or None, down=down, explain=explain)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    elif found.feasible:
        proof = "proven cheapest" if found.optimal else "best found, not proven cheapest"
        click.echo(f"{found.goal}: {' -> '.join(found.tools) or 'nothing to do'}")
        click.echo(f"expected cost {found.weight:.6f} USD{_included(agent)} ({proof})")
        for warning in found.warnings:
            click.echo(f"warning: {warning}")
    else:
        click.echo(f"{found.goal}: no route. {found.reason}")
    if explain and not as_json:
        _explain(found)
    sys.exit(0 if found.feasible else 1)


def _explain(found: "RoutePlan") -> None:
    """Say what each tool weighs; of tiers, what policies make of it."""
    for factors in found.weighed:
        click.echo(f"{'*' if factors.tool in found.tools else ' '} {factors}")
    for step, tiers in found.tiers.items():
        click.echo(f"tiers of {step}, as far as it can be told before it is asked:")
        for tier in tiers:
            click.echo(f"{'*' if tier.tool in found.tools else ' '} {tier}")


def _included(agent: "Agent") -> str:
    """What the expected cost holds besides money."""
    rates = agent.rates
    parts = ["time", "risk"] if rates.usd_per_second or rates.usd_per_risk or rates.usd_per_wh else []
    parts += ["energy"] if rates.usd_per_wh else []
    return f", {', '.join(parts[:-1])}{' and ' if parts[1:] else ''}{parts[-1]} included" if parts else ""
