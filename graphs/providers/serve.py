"""Run one provider: ``python -m graphs.providers.serve support stripe --db truth.db``.

Prints one line of JSON with its port when it is ready, and ends when its standard input closes: whoever started it is
gone then, however that came about.
"""

import argparse
import json
import os
import sys
import threading
from pathlib import Path

from graphs.providers.domain import Domain
from graphs.providers.server import Service, make_server


def load(name: str) -> Domain:
    """Return the domain of that name: support, travel or moderation."""
    match name:
        case "support":
            from graphs.providers import support as module
        case "travel":
            from graphs.providers import travel as module
        case "moderation":
            from graphs.providers import moderation as module
        case _:
            raise SystemExit(f"no domain {name!r}: support, travel, moderation")
    return module.DOMAIN


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("domain")
    parser.add_argument("provider")
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ignore-keys", action="store_true", help="do not honour Idempotency-Key")
    options = parser.parse_args()
    endpoints = load(options.domain).providers.get(options.provider)
    if endpoints is None:
        parser.error(f"no provider {options.provider!r} in {options.domain}")
    service = Service(options.provider, options.db, endpoints, honours_keys=not options.ignore_keys)
    with make_server(service, options.port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(json.dumps({"provider": service.name, "port": server.server_port}), flush=True)
        sys.stdin.buffer.read()
        os._exit(0)


if __name__ == "__main__":
    main()
