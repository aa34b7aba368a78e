"""``agentroute run``: pursue a goal with real calls."""

import sys
from pathlib import Path

import click

EXAMPLES = """\b
Examples:
  agentroute run my_agents.py:travel --input 'Trip={"to": "LIS"}' --input city=Lisbon
  agentroute run my_agents.py:travel --inputs trip.json --fault error:search_amadeus
  agentroute run flow.yaml --mcp mcp.json --goal reported --json

\b
Exit status: 0 succeeded, 3 demoted, 4 escalated, 5 cancelled, 2 invalid input.
Faults: TYPE[=VALUE]:TOOL[@CALLS], such as down:search_*, error=500:book@1, rate_limit=2:search_a, latency=3:book@2-.
TYPE is one of error, rate_limit, down, flap, reset, timeout, hang, secret_echo, latency, ramp, tail, malformed,
truncated, renamed_field, type_change, empty, error_in_200, wrong, stale, injection, output_bomb, ack_lost,
late_success, duplicate_delivery, crash, price_change; CALLS counts the calls of a run from 1.
"""


@click.command(epilog=EXAMPLES)
@click.argument("target")
@click.option("--goal", help="Goal to pursue; the agent's first if left out.")
@click.option("--input", "named", multiple=True, metavar="NAME=JSON", help="An artifact at hand (repeat).")
@click.option(
    "--inputs", "file", type=click.Path(path_type=Path), help="JSON file with a mapping of artifacts at hand."
)
@click.option("--fault", "faults", multiple=True, metavar="TYPE:TOOL", help="Inject a fault (repeat).")
@click.option("--escalate", help="Who chooses when no route is left: policy, human, or the name of a model.")
@click.option("--mcp", type=click.Path(path_type=Path), help="MCP configuration (mcpServers JSON) for a graph file.")
@click.option(
    "--priors",
    type=click.Path(path_type=Path),
    help="File with what earlier runs have shown; what this run shows is added to it.",
)
@click.option("--seed", type=int, help="Make jitter and fault injection reproducible.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
def run(
    target: str,
    *,
    goal: str | None,
    named: tuple[str, ...],
    file: Path | None,
    faults: tuple[str, ...],
    escalate: str | None,
    mcp: Path | None,
    priors: Path | None,
    seed: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Pursue a goal of TARGET with real calls, and print how it ended."""
    from agentroute.cli import pursue

    agent = pursue.prepare(target, mcp=mcp, escalate=escalate, priors=priors, seed=seed, faults=faults, quiet=quiet)
    inputs = {**pursue.read_inputs(file), **dict(pursue.parse_input(agent, text) for text in named)}
    result = pursue.to_the_end(agent, goal, inputs)
    click.echo(pursue.as_json(result) if as_json else pursue.as_text(agent, result))
    if priors is not None and not faults:  # what was broken on purpose says nothing about a tool
        pursue.keep_what_was_learned(agent, priors)
    sys.exit(pursue.EXIT[result.outcome])
