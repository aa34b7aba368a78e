"""Writes the catalogue's scenario files: ``python -m agentroute.testing.scenario.catalogue DIR``."""

import sys
from pathlib import Path

from agentroute.testing.scenario.catalogue import catalogue


def main() -> None:
    """Write every file, over what is there."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m agentroute.testing.scenario.catalogue DIR")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in catalogue().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
