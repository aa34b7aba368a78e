"""``agentroute``: the commands, each loaded when it is used, so that ``--help`` answers at once."""

import importlib
import logging
import os
import sys
from typing import Any

import click

from agentroute.errors import AgentrouteError

COMMANDS = {
    "plan": ("agentroute.cli.plan:plan", "Print the route that a run would take; nothing is called."),
    "run": ("agentroute.cli.run:run", "Pursue a goal with real calls."),
    "budget": ("agentroute.cli.budget:budget", "Learn which model tier is worth its price."),
    "scenario": ("agentroute.cli.scenario:scenario", "Break tools on purpose, and judge what came of it."),
    "schema": ("agentroute.cli.schema:schema", "Print the JSON Schema of a file format."),
    "trace": ("agentroute.cli.trace:trace", "Inspect what runs did."),
}

EXAMPLES = """\b
Examples:
  agentroute plan graphs/examples/travel.yaml
  agentroute plan graphs/travel/agent.py:agent --down price_flight_a
  agentroute run my_agents.py:support --input order_id=1042
  agentroute scenario run scenarios/paper
  agentroute trace show latest
"""

INVALID = 2


class LazyGroup(click.Group):
    """Lists commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in order of use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        return getattr(importlib.import_module(module), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Describe the commands from the table above; importing them all would take a second."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Turn errors of the library into a message and exit status 2."""
        try:
            _configure_logs()
            return super().invoke(ctx)
        except AgentrouteError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(INVALID)
        except BrokenPipeError:
            raise  # whoever read has enough; click knows what to do
        except OSError as error:  # such as a disk that is full
            click.echo(f"error: {error}", err=True)
            sys.exit(INVALID)


def _configure_logs() -> None:
    """Send logs to standard error; what runs do is shown as progress unless ``AGENTROUTE_LOG`` asks for logs."""
    from agentroute.adapters.logs import configure
    from agentroute.adapters.redaction import Redactor

    configure(os.environ, Redactor.from_environment(os.environ))
    if "AGENTROUTE_LOG" not in os.environ:
        logging.getLogger("agentroute.runs").setLevel(logging.CRITICAL)


@click.group(cls=LazyGroup, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="agentroute")
def main() -> None:
    """Run agents over a cost-weighted graph of tools and models: they reroute instead of re-reason.

    TARGET is a graph file, path/to/file.py:name, or package.module:name of an Agent.
    """
