"""Finds the agent that a command is about."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import click

from agentroute.agent import Agent
from agentroute.errors import ConfigurationError

GRAPH_FILES = (".yaml", ".yml", ".json")


def load_agent(target: str, *, mcp: Path | None = None) -> Agent:
    """Load an agent: from a graph file, ``path/to/file.py:name``, or ``package.module:name``.

    Raises:
        ConfigurationError: There is no such file, module or name, or it is not an Agent.
        DefinitionError: The agent or graph file is wrong.
    """
    if target.endswith(GRAPH_FILES):
        return _from_graph(target, mcp)
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise ConfigurationError(
            f"{target!r} is no target; give a graph file (.yaml), path/to/file.py:name, or package.module:name"
        )
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    found = getattr(module, name, None)
    if isinstance(found, Agent):
        return found
    agents = [key for key, value in vars(module).items() if isinstance(value, Agent)]
    there = f"it has: {', '.join(agents)}" if agents else "it has none"
    raise ConfigurationError(f"{place} has no Agent named {name!r}; {there}")


def _from_graph(target: str, mcp: Path | None) -> Agent:
    if mcp is None:
        return Agent.from_graph(target)
    from agentroute.adapters.mcp.servers import McpServers  # only for those who use MCP

    servers = McpServers.from_file(mcp)
    for ignored in servers.ignored:
        click.echo(f"note: {mcp}: {ignored} is not used", err=True)
    return Agent.from_graph(target, mcp=servers)


def _load_file(path: Path) -> ModuleType:
    """Import a Python file, as part of the package it lies in, if it lies in one."""
    if not path.is_file():
        raise ConfigurationError(f"there is no file {str(path)!r}")
    resolved = path.resolve()
    folder, name = resolved.parent, resolved.stem
    while (folder / "__init__.py").exists():
        folder, name = folder.parent, f"{folder.name}.{name}"
    _make_importable(Path.cwd())
    _make_importable(folder)
    return _load_module(name)


def _load_module(name: str) -> ModuleType:
    _make_importable(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            raise ConfigurationError(f"there is no module {name!r} (looked below the working directory too)") from error
        raise ConfigurationError(f"{name} cannot be imported: {error}") from error
    except (ImportError, SyntaxError, NameError) as error:
        raise ConfigurationError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
