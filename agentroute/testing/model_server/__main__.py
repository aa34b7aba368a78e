"""Runs the scripted model server as a process: prints its address, then serves until it is stopped."""

import argparse
import sys
import threading
from pathlib import Path

from agentroute.testing.model_server import ModelServer, read_script


def main() -> None:
    """Serve a script from a file."""
    parser = argparse.ArgumentParser(prog="python -m agentroute.testing.model_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 (the default) takes a free one")
    parser.add_argument("--script", type=Path, required=True, help="JSON file: one reply, or a list of replies")
    options = parser.parse_args()
    with ModelServer(read_script(options.script.read_bytes()), port=options.port) as server:
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
