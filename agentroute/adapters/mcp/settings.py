"""How connections to MCP servers are handled."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentroute.adapters.mcp.restart import Restart


@dataclass(frozen=True, slots=True)
class Settings:
    """How connections are handled.

    Attributes:
        startup_timeout_s: Seconds that a server has from its start to its list of tools.
        restart: When a server that died is started again.
        chance: Draws numbers from 0 to 1.
        log_folder: Where the standard error of child processes goes; None discards it.
    """

    startup_timeout_s: float
    restart: Restart
    chance: Callable[[], float]
    log_folder: Path | None
