"""Finds what a command or a scenario file names: an agent, or anything else that lies in Python code."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentroute.agent import Agent
from agentroute.errors import ConfigurationError

if TYPE_CHECKING:
    from agentroute.adapters.mcp.servers import McpServers

GRAPH_FILES = (".yaml", ".yml", ".json")


def load_agent(target: str, *, mcp: "McpServers | None" = None, base: Path | None = None) -> Agent:
    """Load an agent: from a graph file, ``path/to/file.py:name``, or ``package.module:name``.

    A name may also be that of a function without parameters, which makes the agent.

    Args:
        target: What to load.
        mcp: Servers for the tools of a graph file that name some.
        base: Folder that paths are seen from; the working directory if left out.

    Raises:
        ConfigurationError: There is no such file, module or name, or it is not an Agent.
        DefinitionError: The agent or graph file is wrong.
    """
    if is_graph_file(target):
        return Agent.from_graph(target if base is None else base / target, mcp=mcp)
    module, place, name = _load(target, base)
    found = getattr(module, name, None)
    if callable(found) and not isinstance(found, (Agent, type)):
        found = found()
    if isinstance(found, Agent):
        return found
    agents = [key for key, value in vars(module).items() if isinstance(value, Agent)]
    there = f"it has: {', '.join(agents)}" if agents else "it has none"
    raise ConfigurationError(f"{place} has no Agent named {name!r}; {there}")


def load_object(target: str, *, base: Path | None = None) -> Any:
    """Load whatever ``path/to/file.py:name`` or ``package.module:name`` names.

    Raises:
        ConfigurationError: There is no such file, module or name.
    """
    module, place, name = _load(target, base)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ConfigurationError(f"{place} has nothing named {name!r}") from None


def is_graph_file(target: str) -> bool:
    """Whether a target is a graph file, by its ending."""
    return target.endswith(GRAPH_FILES)


def _load(target: str, base: Path | None) -> tuple[ModuleType, str, str]:
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise ConfigurationError(
            f"{target!r} is no target; give a graph file (.yaml), path/to/file.py:name, or package.module:name"
        )
    if place.endswith(".py"):
        return _load_file(Path(place) if base is None else base / place), place, name
    return _load_module(place), place, name


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
    module = _load_module(name)
    return module if _is_from(module, resolved) else _load_apart(resolved)


def _is_from(module: ModuleType, path: Path) -> bool:
    found = getattr(module, "__file__", None)
    return found is not None and Path(found).resolve() == path


def _load_apart(path: Path) -> ModuleType:
    """Import a file whose name another module has already taken, such as a second ``agent.py``."""
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} cannot be imported")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception):
            raise ConfigurationError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
        raise
    return module


def _load_module(name: str) -> ModuleType:
    _make_importable(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            raise ConfigurationError(f"there is no module {name!r} (looked below the working directory too)") from error
        raise ConfigurationError(f"{name} cannot be imported: {error}") from error
    except Exception as error:  # whatever its code does while it is imported
        raise ConfigurationError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
