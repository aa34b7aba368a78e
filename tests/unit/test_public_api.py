"""What users import: the names, where they come from, and that they come late."""

import ast
import subprocess
import sys
from pathlib import Path

import agentroute

SOURCE = Path(agentroute.__file__)


def imports_for_type_checkers() -> dict[str, str]:
    """Public names by module, as the ``if TYPE_CHECKING`` block of the package says."""
    (block,) = [node for node in ast.parse(SOURCE.read_text("utf-8")).body if isinstance(node, ast.If)]
    found: dict[str, str] = {}
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            module = statement.module or ""
            found[alias.name] = f"{module}.{alias.name}" if alias.name == "events" else module
    return found


def test_type_checkers_and_the_interpreter_see_the_same_names() -> None:
    assert imports_for_type_checkers() == agentroute._WHERE
    assert sorted(agentroute._WHERE) == sorted(agentroute.__all__)


def test_every_public_name_can_be_imported_and_is_documented() -> None:
    for name in agentroute.__all__:
        assert getattr(agentroute, name).__doc__, name
    assert set(agentroute.__all__) <= set(dir(agentroute))


def test_a_name_that_is_not_there_is_no_surprise() -> None:
    assert not hasattr(agentroute, "no_such_name")


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import agentroute, sys; from agentroute import Agent, tool, Goal; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"networkx", "litellm", "opentelemetry", "mcp", "httpx", "rich", "structlog", "yaml"} & set(loaded)
