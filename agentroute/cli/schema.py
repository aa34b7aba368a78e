"""``agentroute schema``: the JSON Schema of the files people write."""

import json

import click


@click.command(
    "schema",
    short_help="Print the JSON Schema of graph or scenario files.",
    epilog="""\b
Example:
  agentroute schema graph > graph.schema.json

Then let your editor check graph files while you write them. With yaml-language-server, begin a file with:

\b
  # yaml-language-server: $schema=graph.schema.json""",
)
@click.argument("kind", type=click.Choice(["graph", "scenario"]))
def schema(kind: str) -> None:
    """Print the JSON Schema (draft 2020-12) of one KIND of file: graph or scenario."""
    if kind == "graph":
        from agentroute.graph.document import graph_schema as found
    else:
        from agentroute.testing.scenario.document import scenario_schema as found

    click.echo(json.dumps(found(), indent=2, ensure_ascii=False))
