"""``agentroute schema``."""

import json

from click.testing import CliRunner

from agentroute.cli.schema import schema
from agentroute.graph.document import graph_schema


def test_the_schema_and_nothing_else_is_printed() -> None:
    result = CliRunner().invoke(schema, ["graph"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == graph_schema()
    assert not result.stderr


def test_another_kind_is_refused() -> None:
    result = CliRunner().invoke(schema, ["grpah"])
    assert result.exit_code == 2
    assert not result.stdout
    assert "'graph'" in result.stderr


def test_help_has_an_example() -> None:
    assert "agentroute schema graph > graph.schema.json" in CliRunner().invoke(schema, ["--help"]).stdout
