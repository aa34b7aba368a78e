"""``agentroute schema``: the JSON Schema of the files people write."""

import json

import click


@click.command(
    "schema",
    short_help="Print the JSON Schema of graph files.",
    epilog="""\b
Example:
  agentroute schema graph > graph.schema.json

Then let your editor check graph files while you write them. With yaml-language-server, begin a file with:

\b
  # yaml-language-server: $schema=graph.schema.json""",
)
@click.argument("kind", type=click.Choice(["graph"]))
def schema(kind: str) -> None:
    """Print the JSON Schema (draft 2020-12) of one KIND of file: graph."""
    del kind  # there is only one so far
    from agentroute.graph.document import graph_schema

    click.echo(json.dumps(graph_schema(), indent=2, ensure_ascii=False))
