"""Side effects: the key under which one may happen, derived from what would make it the same effect."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from agentroute.ids import ArtifactId, RunId, ToolId


def idempotency_key(run: RunId, tool: ToolId, inputs: Mapping[ArtifactId, Any]) -> str:
    """Return the key of one effect: the same for every attempt of this run, tool and inputs.

    Args:
        run: The run.
        tool: The tool.
        inputs: Its inputs as plain JSON data.

    Returns:
        32 hexadecimal digits of SHA-256 over the canonical JSON of the three.
    """
    canonical = json.dumps([run, tool, inputs], sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
